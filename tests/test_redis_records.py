"""The queue of records that are on their way to Redis."""

import socket
from dataclasses import fields

import pytest

from echo.net.registry import ConnectionRecord
from echo.redis_records import QUEUE_RECORDS, RedisRecords

RECORD = ConnectionRecord(**{field.name: 1 for field in fields(ConnectionRecord)})


class Log(list):
    write = list.append


@pytest.fixture
def never_answers():
    """The URL of a listener that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


def test_the_queue_is_bounded(never_answers):
    log = Log()
    records = RedisRecords(never_answers, log)
    for _ in range(QUEUE_RECORDS + 1000):
        records.put(RECORD)
    # The thread may have taken one batch.
    assert 900 <= records.dropped <= 1000
    records.close(0.0)
    assert len(log) == 1


def test_closing_does_not_wait_longer_than_it_may(never_answers):
    records = RedisRecords(never_answers, Log())
    for _ in range(QUEUE_RECORDS):
        records.put(RECORD)
    records.close(0.0)
    assert QUEUE_RECORDS - 300 <= records.dropped <= QUEUE_RECORDS


def test_each_line_counts_what_was_dropped_since_the_one_before(unused_tcp_port, monkeypatch):
    monkeypatch.setattr("echo.redis_records._SILENCE", 0.0)
    log = Log()
    records = RedisRecords(f"redis://127.0.0.1:{unused_tcp_port}", log)
    for _ in range(1200):
        records.put(RECORD)
    records.close(30.0)
    assert records.dropped == 1200
    counts = [int(line.split(": ")[1]) for line in map(str, log)]
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
        RedisRecords("http://localhost", Log())
