"""The registry: connections by their ids, and which of them it remembers after their end."""

import math
import random
from collections import Counter
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from echo.net.records import ConnectionRecord
from echo.net.registry import Registry, chosen_id, is_id
from echo.protocol.errors import BadRequest, ClosedByPeer


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


def known(registry, names):
    """Those of the names of which something is known."""
    return [name for name in names if registry.find(name) is not None]


def test_an_open_connection_is_found():
    registry = Registry()
    one = connection("one")
    registry.add(one)
    assert registry.find("one").state == "open"


def test_an_unknown_one_is_not_found():
    assert Registry().find("one") is None


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
    assert known(registry, "abc") == ["b", "c"]


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
    assert registry.find("victim").peer == victim
    assert known(registry, map(str, range(100))) == [*map(str, range(91, 100))]


def test_several_clients_together_push_out_nobody_who_has_less_than_they():
    registry = Registry(remembered=100)
    for number in range(5):
        remember(registry, f"victim {number}", "192.0.2.1:5000")
    for number in range(1000):
        remember(registry, str(number), f"198.51.100.{number % 10}:5000")
    assert len(known(registry, (f"victim {number}" for number in range(5)))) == 5


def test_a_record_that_was_kept_long_enough_goes_before_newer_ones():
    registry = Registry(remembered=2, kept=0.0)
    remember(registry, "a", "192.0.2.1:5000")
    remember(registry, "b", "192.0.2.2:5000")
    remember(registry, "c", "192.0.2.2:5000")
    assert known(registry, "abc") == ["b", "c"]


def test_among_clients_with_one_record_each_the_oldest_goes():
    registry = Registry(remembered=2)
    for number, name in enumerate("abc"):
        remember(registry, name, f"192.0.2.{number}:5000")
    assert known(registry, "abc") == ["b", "c"]


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
        found = known(registry, map(str, range(number + 1)))
        assert set(found) == {name for _, name in expected}


ID = "0123456789-abcdefghij_"
QUERY = f"echo-id={ID}"


def test_the_id_of_a_connection_is_the_one_in_its_query():
    assert Registry().reserve(f"a=1&{QUERY}&id=2") == ID


@pytest.mark.parametrize("query", ["", "id=42", "id=anything strange", "xecho-id=1", "echo-idx=1"])
def test_without_one_an_id_is_made_that_nobody_can_guess(query):
    registry = Registry()
    ids = {registry.reserve(query) for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_id(one) for one in ids)


@pytest.mark.parametrize(
    "text", ["", "a" * 21, "a" * 65, "a" * 22 + "%0A", "%C3%A4" * 22, "a+" * 11]
)
def test_an_id_that_could_be_guessed_or_is_none_is_refused(text):
    with pytest.raises(BadRequest, match=r"^echo-id '.* is not valid: it has 22 to 64 letters"):
        Registry().reserve(f"echo-id={text}")


def test_an_id_is_taken_from_the_moment_it_is_reserved():
    registry = Registry()
    registry.reserve(QUERY)
    assert registry.find(ID) is None
    with pytest.raises(BadRequest, match="names a connection that is open: choose another"):
        registry.reserve(QUERY)
    registry.cancel(ID)
    assert registry.reserve(QUERY) == ID


def test_an_id_of_a_connection_that_is_over_may_be_used_again():
    registry = Registry(remembered=3)
    for port in range(10):
        registry.reserve(QUERY)
        remember(registry, ID, f"192.0.2.1:{port}")
        assert registry.find(ID).peer == f"192.0.2.1:{port}"
    for number in range(2):
        remember(registry, str(number), "192.0.2.1:0")
    # What is dropped are the older ones of the same id.
    assert registry.find(ID).peer == "192.0.2.1:9"
    remember(registry, "2", "192.0.2.1:0")
    assert registry.find(ID) is None


# ---- Handshakes that were refused

LINE = "GET /ws/echo HTTP/1.1"


def refuse(registry, query="", *, peer="192.0.2.1:5000", fields=(), **changes):
    said = {"status": 403, "reason": "no", "cures": ("a", "b")} | changes
    return registry.refuse(peer, LINE, fields, query, **said)


def test_a_refused_handshake_is_remembered_under_the_id_in_its_query():
    registry = Registry()
    record = refuse(registry, QUERY, fields=[("Host", "a"), ("Origin", "http://b")])
    assert registry.find(ID) is record
    shown = record.as_json()
    assert shown.pop("began").endswith("Z")
    assert shown == {
        "version": 1,
        "id": ID,
        "state": "refused",
        "peer": "192.0.2.1:5000",
        "request_line": LINE,
        "headers": [["Host", "a"], ["Origin", "http://b"]],
        "headers_omitted": 0,
        "status": 403,
        "reason": "no",
        "cures": ["a", "b"],
    }


@pytest.mark.parametrize("query", ["", "echo-id=short", "id=1"])
def test_a_refused_handshake_without_an_id_gets_one(query):
    registry = Registry()
    record = refuse(registry, query)
    assert is_id(record.id)
    assert registry.find(record.id) is record


def test_a_refused_handshake_does_not_hide_a_connection_that_is_open():
    registry = Registry()
    registry.add(connection(ID))
    assert refuse(registry, QUERY).id != ID
    assert registry.find(ID).state == "open"


def test_of_one_id_the_last_end_is_told():
    registry = Registry()
    refuse(registry, QUERY)
    remember(registry, ID, "192.0.2.1:5000")
    assert registry.find(ID).state == "closed"
    refuse(registry, QUERY)
    assert registry.find(ID).state == "refused"


def test_refused_handshakes_do_not_push_out_the_records_of_connections():
    registry = Registry(remembered=1, refusals=2)
    remember(registry, "one", "192.0.2.1:5000")
    refused = [refuse(registry).id for _ in range(5)]
    assert known(registry, ["one", *refused]) == ["one", *refused[-2:]]


def test_a_refused_handshake_shows_credentials_only_if_told_so():
    fields = [("Cookie", "secret=1"), ("Host", "a")]
    assert refuse(Registry(show_credentials=True), fields=fields).headers == [*map(list, fields)]
    shown = dict(refuse(Registry(), fields=fields).headers)
    assert shown["Host"] == "a"
    assert shown["Cookie"].startswith("(redacted: 8 bytes; hash ")


def test_of_a_long_handshake_the_beginning_is_kept():
    fields = [(f"X-{number}", "v" * 2000) for number in range(100)]
    record = refuse(Registry(), fields=fields, reason="r" * 10_000)
    assert len(str(record.as_json())) < 6000
    assert len(record.headers) + record.headers_omitted == 100
    assert record.headers[0] == ["X-0", "v" * 512 + "..."]


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("", None),
        ("echo-id", ""),
        ("echo-id=", ""),
        ("echo-id=a&echo-id=b", "a"),
        ("x=echo-id", None),
        ("echo-id=a%2Db", "a-b"),
    ],
)
def test_the_id_in_a_query(query, chosen):
    assert chosen_id(query) == chosen


def test_the_record_of_an_open_one_is_of_now():
    registry = Registry()
    one = connection("one")
    registry.add(one)
    one.messages_in = 8
    assert registry.find("one").messages_in == 8


def test_a_record_as_json():
    record = ConnectionRecord.of(connection("one"))
    assert record.as_json() == asdict(record)
