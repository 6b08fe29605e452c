"""The registry: connections by their ids, and for how many of them it remembers the end."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest

from echo.net.registry import ConnectionRecord, Registry, is_id, new_id
from echo.protocol.errors import ClosedByPeer


def connection(name, ended=None):
    """What the registry looks at of a Connection."""
    counts = dict.fromkeys(("messages_in", "messages_out", "bytes_in", "bytes_out"), 7)
    return SimpleNamespace(
        id=name, path="/", peer="x:1", ended=ended, began=0.0, last_round_trip=None, **counts
    )


def test_an_open_connection_is_found():
    registry = Registry()
    one = connection("one")
    registry.add(one)
    assert "one" in registry
    assert registry.find("one").state == "open"


def test_an_unknown_one_is_not_found():
    assert Registry().find("one") is None
    assert "one" not in Registry()


def test_a_closed_one_is_remembered():
    registry = Registry()
    one = connection("one")
    registry.add(one)
    one.ended = ClosedByPeer(1000)
    record = registry.close(one)
    assert registry.find("one") is record
    assert (record.state, record.code, record.cause) == ("closed", 1000, "peer-close")


def test_the_oldest_is_forgotten():
    registry = Registry(remembered=2)
    for name in "abc":
        one = connection(name)
        registry.add(one)
        one.ended = ClosedByPeer(1000)
        registry.close(one)
    assert [name in registry for name in "abc"] == [False, True, True]


def test_an_id_is_taken_from_the_moment_it_is_reserved():
    registry = Registry()
    registry.reserve("one")
    assert "one" in registry
    assert registry.find("one") is None
    registry.cancel("one")
    assert "one" not in registry


def test_the_record_of_an_open_one_is_of_now():
    registry = Registry()
    one = connection("one")
    registry.add(one)
    one.messages_in = 8
    assert registry.find("one").messages_in == 8


def test_a_record_as_json():
    record = ConnectionRecord.of(connection("one"))
    assert record.as_json() == asdict(record)


def test_new_ids_may_be_chosen_and_differ():
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_id(one) for one in ids)


@pytest.mark.parametrize("text", ["", "a" * 21, "a" * 65, "a" * 22 + "\n", "ä" * 22, "a " * 11])
def test_what_is_no_id(text):
    assert not is_id(text)
