"""The queue of records that are on their way to Redis."""

import json
import socket
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from threading import Thread

import pytest

from echo.background_writer import QUEUE_ENTRIES
from echo.net.records import ConnectionRecord
from echo.redis_records import RecordsUnavailable, RedisRecords, check_redis_url
from tests.pipes import DEADLINE

RECORD = ConnectionRecord(**{field.name: 1 for field in fields(ConnectionRecord)})


@contextmanager
def records_at(url, notices):
    records = RedisRecords(url, notices.append)
    yield records
    records.close(DEADLINE)


@pytest.fixture
def never_answers():
    """The URL of a listener that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


def test_the_queue_is_bounded(never_answers):
    notices = []
    records = RedisRecords(never_answers, notices.append)
    for _ in range(QUEUE_ENTRIES + 1000):
        records.closed(RECORD)
    # The thread may have taken a batch of 100, and may have given it up.
    assert 900 <= records.dropped <= 1100
    records.close(0.0)
    assert len(notices) == 1


def test_closing_does_not_wait_longer_than_it_may(never_answers):
    records = RedisRecords(never_answers, [].append)
    for _ in range(QUEUE_ENTRIES):
        records.closed(RECORD)
    records.close(0.0)
    assert QUEUE_ENTRIES - 300 <= records.dropped <= QUEUE_ENTRIES


def test_each_line_counts_what_was_dropped_since_the_one_before(unused_tcp_port, monkeypatch):
    monkeypatch.setattr("echo.redis_records._SILENCE", 0.0)
    notices = []
    records = RedisRecords(f"redis://127.0.0.1:{unused_tcp_port}", notices.append)
    for _ in range(1200):
        records.closed(RECORD)
    records.close(DEADLINE)
    assert records.dropped == 1200
    counts = [int(line.split(": ")[1]) for line in notices]
    assert sum(counts) == 1200
    assert len(counts) >= 3


@pytest.fixture
def unused_tcp_port():
    """A port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_bad_url_is_an_error():
    with pytest.raises(ValueError, match="must specify one of the following"):
        RedisRecords("http://localhost", [].append)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host/abc",
        "redis://host/1/2",
        "redis://host/-1",
        "redis://host/1a",
        "redis://host/%31",
        "redis://host//",
        "redis://:secret/more@host",
        "rediss://host/abc",
        "redis:host",
        "redis://host?db=abc",
        "redis://host:port",
        "redis://host:70000",
        "redis://host?colour=red",
        "unix://",
        "unix://?db=1",
        "host:6379",
        "http://host",
    ],
)
def test_url_that_is_not_one_of_redis_is_refused(url):
    with pytest.raises(ValueError, match=r"\w") as refused:
        check_redis_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://host",
        "redis://host/",
        "redis://host/15",
        "redis://[::1]:6379/0",
        "redis://user:pass%2Fword@host:6379/1",
        "redis://host?db=3",
        "rediss://host/1",
        "unix:///run/redis.sock",
        "unix://:password@/run/redis.sock?db=2",
    ],
)
def test_url_of_redis_is_taken(url):
    check_redis_url(url)


ID = "connection-of-a-test-1"
GOOD = ConnectionRecord(
    id=ID,
    state="closed",
    peer="127.0.0.1:1",
    path="/ws/echo",
    began="2026-01-01T00:00:00.000Z",
    duration_ms=1.5,
    ended_by="peer",
    cause="reset",
    code=1006,
    code_name="abnormal closure",
    reason="",
    messages_in=1,
    messages_out=2,
    bytes_in=3,
    bytes_out=4,
    last_round_trip_ms=None,
)


def bulk(text):
    """A string as Redis sends it."""
    return b"$%d\r\n%s\r\n" % (len(text), text)


class Impostor:
    """Listens in place of Redis, and answers every lookup with the same bytes."""

    def __init__(self, answer):
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = []
        self._start(self._accept)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), "a connection is still open"

    def _start(self, target, *arguments):
        self._threads.append(Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._start(self._serve, client)

    def _serve(self, client):
        with client, client.makefile("rb") as commands, suppress(OSError):
            while count := commands.readline():
                words = []
                for _ in range(int(count[1:])):
                    size = int(commands.readline()[1:])
                    words.append(commands.read(size + 2)[:-2])
                client.sendall(self._answer if words[0] == b"GETRANGE" else b"+OK\r\n")


def look_up(answer):
    """What a lookup finds when Redis answers so, and what it gives notice of."""
    notices = []
    with (
        closing(Impostor(answer)) as redis,
        records_at(redis.url, notices) as records,
    ):
        try:
            return records.find(ID), notices
        except RecordsUnavailable as failure:
            return failure, notices


def test_record_is_found():
    assert look_up(bulk(json.dumps(GOOD.as_json()).encode())) == (GOOD, [])


def test_empty_value_is_no_record():
    assert look_up(bulk(b"")) == (None, [])


def changed(**changes):
    return json.dumps(GOOD.as_json() | changes).encode()


SPOILED = {
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe",
    "UTF-16": '{"id": 1}'.encode("utf-16"),
    "deep lists": b"[" * 8000,
    "deep objects": b'{"a":' * 1600,
    "deep and whole": b"[" * 4000 + b"]" * 4000,
    "a number": b"1",
    "a long number": b"9" * 8000,
    "null": b"null",
    "a string": b'"text"',
    "a list": b"[]",
    "an empty object": b"{}",
    "another object": b'{"colour": "red"}',
    "a field too many": changed(colour="red"),
    "too large": changed(reason="x" * 41_000),
    "another connection": changed(id="connection-of-a-test-2"),
    "another version": changed(version=2),
    "a version that equals 1": changed(version=True),
    "a number as a text": changed(peer=1),
    "a text as a number": changed(bytes_in="1"),
    "a truth value as a number": changed(bytes_in=True),
    "a fraction of a message": changed(messages_in=1.5),
    "not a number": changed(duration_ms=float("nan")),
    "infinity": changed(duration_ms=float("inf")),
    "a nested value": changed(reason=["x"]),
    "a deep value": changed(reason=0).replace(b'"reason": 0', b'"reason": ' + b"[" * 7000),
    "a missing value": changed(path=None),
    "another state": changed(state="asleep"),
    "another cause": changed(cause="bad luck"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_value_that_is_not_the_record_is_a_failed_lookup_and_a_line_in_the_log(name):
    found, notices = look_up(bulk(SPOILED[name]))
    assert isinstance(found, RecordsUnavailable)
    (line,) = notices
    assert line.startswith("cannot look up records of connections in Redis: ")
    assert len(line) < 300


@pytest.mark.parametrize(
    "answer",
    [
        b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        b"-ERR " + b"x" * 100_000 + b"\r\n",
        b":5\r\n",
        b"+OK\r\n",
        b"*2\r\n:1\r\n:2\r\n",
        b"*1\r\n" * 5000,
        b"$99999999999999999999\r\n",
        b"$x\r\n",
        b"*x\r\n",
        b"*-5\r\n",
        b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xff\r\n",
    ],
    ids=lambda answer: repr(answer[:20]),
)
def test_answer_that_redis_would_not_give_is_a_failed_lookup(answer):
    found, notices = look_up(answer)
    assert isinstance(found, RecordsUnavailable)
    assert len(notices[0]) < 300


def test_failed_lookups_are_one_line_a_minute():
    notices = []
    with (
        closing(Impostor(bulk(b"{"))) as redis,
        records_at(redis.url, notices) as records,
    ):
        for _ in range(3):
            with pytest.raises(RecordsUnavailable):
                records.find(ID)
    assert len(notices) == 1
