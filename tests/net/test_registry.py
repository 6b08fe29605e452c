"""The registry: connections by their ids, and which of them it remembers after their end."""

import math
import random
from collections import Counter
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from echo.net.registry import ConnectionRecord, Registry, is_id, new_id
from echo.protocol.errors import ClosedByPeer


def connection(name, ended=None, peer="192.0.2.1:5000"):
    """What the registry looks at of a Connection."""
    counts = dict.fromkeys(("messages_in", "messages_out", "bytes_in", "bytes_out"), 7)
    return SimpleNamespace(
        id=name, path="/", peer=peer, ended=ended, began=0.0, last_round_trip=None, **counts
    )


def remember(registry, name, peer):
    """Let a connection begin and end."""
    one = connection(name, peer=peer)
    registry.add(one)
    one.ended = ClosedByPeer(1000)
    registry.close(one)


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


def test_the_oldest_of_one_client_is_forgotten():
    registry = Registry(remembered=2)
    for port, name in enumerate("abc"):
        remember(registry, name, f"192.0.2.1:{port}")
    assert [name in registry for name in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    ("victim", "flood"),
    [
        ("192.0.2.1:5000", "192.0.2.2:{}"),
        ("192.0.2.1:5000", "[2001:db8::1]:{}"),
        ("[2001:db8::1]:5000", "192.0.2.1:{}"),
        # As a trusted proxy may say it, without a port.
        ("192.0.2.1", "192.0.2.2"),
        ("[2001:db8::1]", "[2001:db8:0:1::1]"),
        # One host can have as many addresses as it likes below its own prefix.
        ("[2001:db8::1]:5000", "[2001:db8:0:1::{:x}]:5000"),
        # IPv4 clients of a socket that listens on [::] are clients like any others.
        ("[::ffff:192.0.2.1]:5000", "[::ffff:192.0.2.2]:{}"),
    ],
)
def test_a_client_does_not_push_out_the_records_of_another(victim, flood):
    registry = Registry(remembered=10)
    remember(registry, "victim", victim)
    for number in range(100):
        remember(registry, str(number), flood.format(number))
    # Who knows the id cannot have it: it is taken, and still tells of the same connection.
    assert "victim" in registry
    assert registry.find("victim").peer == victim
    assert [number for number in range(100) if str(number) in registry] == [*range(91, 100)]


def test_several_clients_together_push_out_nobody_who_has_less_than_they():
    registry = Registry(remembered=100)
    for number in range(5):
        remember(registry, f"victim {number}", "192.0.2.1:5000")
    for number in range(1000):
        remember(registry, str(number), f"198.51.100.{number % 10}:5000")
    assert all(f"victim {number}" in registry for number in range(5))


def test_a_record_that_was_kept_long_enough_goes_before_newer_ones():
    registry = Registry(remembered=2, kept=0.0)
    remember(registry, "a", "192.0.2.1:5000")
    remember(registry, "b", "192.0.2.2:5000")
    remember(registry, "c", "192.0.2.2:5000")
    assert [name in registry for name in "abc"] == [False, True, True]


def test_among_clients_with_one_record_each_the_oldest_goes():
    registry = Registry(remembered=2)
    for number, name in enumerate("abc"):
        remember(registry, name, f"192.0.2.{number}:5000")
    assert [name in registry for name in "abc"] == [False, True, True]


@pytest.mark.parametrize("kept", [0.0, math.inf])
@pytest.mark.parametrize("most", [0, 1, 2, 7, 50])
def test_it_forgets_what_a_plain_search_would_forget(most, kept):
    """Against a list that is searched from the front each time."""
    rng = random.Random(most)
    registry = Registry(remembered=most, kept=kept)
    expected = []  # client and id
    # Since when each client has as many records as it has.
    changed = {}
    for number in range(300):
        # Bursts of few clients between many that come once.
        client = f"192.0.2.{int(rng.expovariate(0.2))}"
        remember(registry, str(number), f"{client}:{number}")
        expected.append((client, str(number)))
        changed[client] = number, 0
        if len(expected) > most:
            counts = Counter(client for client, _ in expected)
            greediest = max(counts, key=lambda one: (counts[one], [-n for n in changed[one]]))
            dropped = next(one for one in expected if kept == 0.0 or one[0] == greediest)
            expected.remove(dropped)
            changed[dropped[0]] = number, 1
        known = {str(one) for one in range(number + 1) if str(one) in registry}
        assert known == {name for _, name in expected}


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
