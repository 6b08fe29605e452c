"""The records of connections in Redis: written by a thread, behind a bounded queue.

However Redis does, a connection neither waits for it nor ends otherwise; records that it does not
take are dropped and counted. The library takes a sixth of the service's start and 7 MB of memory,
so this file is imported only where there is a Redis.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import EnumType
from math import isfinite
from time import monotonic
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import gevent
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from echo.background_writer import BackgroundWriter
from echo.net.connection import Connection
from echo.net.records import ConnectionRecord, Record, RefusedHandshake
from echo.protocol.excerpts import excerpt

#: What the names of the records in Redis begin with; their ids follow.
PREFIX: Final = "echo:connection:"

#: Seconds that Redis keeps a record.
EXPIRY: Final = 3600

#: Records that are written at a time: they take some milliseconds, in which others wait.
_BATCH: Final = 100

#: Seconds that the thread waits after a failure.
_PAUSE: Final = 1.0

#: Seconds that Redis has for an answer; and those that a lookup has in all.
_REDIS_TIMEOUT: Final = 1.0
_LOOKUP_TIMEOUT: Final = 2.0

#: Seconds between two lines in the log.
_SILENCE: Final = 60.0


def _types_of(kind: type[Record]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


#: Bytes of a record, as JSON; one that was put has less.
_RECORD_BYTES: Final = 40 * 1024

#: The types of the fields, for each kind of record.
_TYPES: Final = {kind: _types_of(kind) for kind in (ConnectionRecord, RefusedHandshake)}

#: Characters of an error that a line of the log repeats.
_ERROR_EXCERPT: Final = 200

#: What stands behind the host in a Redis URL: the number of a database, or nothing.
_DATABASE: Final = re.compile("/?|/[0-9]+")


class RecordsUnavailable(OSError):
    """A lookup failed: nobody can say now whether there is such a record."""


class RedisRecords:
    """The records of all processes that use the same Redis."""

    def __init__(self, url: str, notice: Callable[[str], object]) -> None:
        """Nothing is asked of Redis before there is something to write or to find.

        Raises ValueError when ``url`` is not one of Redis. ``notice`` is told at most once a minute
        of each kind of failure.
        """
        self._redis = _client(url)
        self._notice = notice
        self._failed = 0
        self._reason = ""
        self._reported = (0, -_SILENCE)
        self._lookup_reported = -_SILENCE
        self._writer: BackgroundWriter[Record] = BackgroundWriter(
            "records", self._write, batch=_BATCH, each_minute=self._report
        )

    @property
    def dropped(self) -> int:
        """Records that could not be written so far."""
        return self._writer.dropped + self._failed

    def opened(self, connection: Connection) -> None:
        """Queue the record of a connection as it begins. Never blocks."""
        self.closed(ConnectionRecord.of(connection))

    def closed(self, record: ConnectionRecord) -> None:
        """Queue a record, or drop and count it when the queue is full. Never blocks."""
        self._writer.put(record)

    def refused(self, record: RefusedHandshake) -> None:
        """Queue the record of a refused handshake, as ``closed`` does."""
        self._writer.put(record)

    def find(self, connection_id: str) -> Record | None:
        """What any process has put; None for what is unknown.

        Asks Redis in a thread; the calling greenlet waits, two seconds at most. Raises
        RecordsUnavailable.
        """
        late = RecordsUnavailable(f"no answer within {_LOOKUP_TIMEOUT:g} s")
        try:
            with gevent.Timeout(_LOOKUP_TIMEOUT, late):
                found = gevent.get_hub().threadpool.apply(self._get, (connection_id,))
            if isinstance(found, RecordsUnavailable):
                raise found
        except RecordsUnavailable as failure:
            self._report_lookup(failure)
            raise
        return found

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most ``timeout`` seconds, and end the thread."""
        # The thread counts too until it has ended.
        not_taken = self._writer.close(timeout)
        self._failed += not_taken
        self._report()
        self._redis.close()

    def _get(self, connection_id: str) -> Record | RecordsUnavailable | None:
        """Read a record, in a thread of gevent's pool, which would print what is raised."""
        try:
            # An absent key is an empty string here; a value may have half a gigabyte.
            found = self._redis.getrange(PREFIX + connection_id, 0, _RECORD_BYTES)
            return None if found in (b"", "") else _record(connection_id, found)
        # Anybody may have written the value, and anything may answer in place of Redis.
        except Exception as error:  # noqa: BLE001
            return RecordsUnavailable(_text(error))

    def _write(self, records: Sequence[Record], _: int) -> None:
        """Write records, or drop them; the writer's thread calls it."""
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for one in records:
                    pipeline.set(PREFIX + one.id, json.dumps(one.as_json()), ex=EXPIRY)
                pipeline.execute()
        # The thread lives on, whatever answers in place of Redis.
        except Exception as error:  # noqa: BLE001
            self._failed += len(records)
            self._reason = f": {_text(error)}"
            self._report()
            self._writer.pause(_PAUSE)
        else:
            self._report()

    def _report(self) -> None:
        """Say how many records were dropped, if it is time for it."""
        reported, at = self._reported
        now = monotonic()
        dropped = self.dropped
        if dropped > reported and now - at >= _SILENCE:
            self._reported = (dropped, now)
            count = dropped - reported
            text = f"records of connections dropped, as Redis took none: {count}{self._reason}"
            self._notice(text)

    def _report_lookup(self, failure: RecordsUnavailable) -> None:
        """Say why nobody can be told of a record, if it is time for it."""
        now = monotonic()
        if now - self._lookup_reported >= _SILENCE:
            self._lookup_reported = now
            self._notice(f"cannot look up records of connections in Redis: {failure}")


def _record(connection_id: str, text: str | bytes) -> Record:
    """The record that a value in Redis is.

    Raises ValueError, TypeError or RecursionError for anything but the record of that id.
    """
    if len(text) > _RECORD_BYTES:
        raise ValueError(f"the value has more than {_RECORD_BYTES} bytes")
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("the value is not a record")
    refused = values.get("state") == "refused"
    kind: type[Record] = RefusedHandshake if refused else ConnectionRecord
    hints = _TYPES[kind]
    if values.keys() != hints.keys():
        raise ValueError("the value is not a record")
    for name, hint in hints.items():
        if not _fits(values[name], hint):
            raise ValueError(f"the value is not a record: its {name} is of another type")
    if values["id"] != connection_id:
        raise ValueError("the value is the record of another connection")
    return kind(**values)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value from JSON has a type that a field may have."""
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return any(_fits(value, alternative) for alternative in get_args(hint))
    if get_origin(hint) is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(hint))
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        return type(value) is list and all(_fits(one, item) for one in value)
    if isinstance(hint, EnumType):
        return value in list(hint)
    if hint is float:
        return type(value) is int or (type(value) is float and isfinite(value))
    return type(value) is hint


def _text(error: Exception) -> str:
    """What an error says, short enough for a line of the log."""
    return excerpt(f"{error}" or type(error).__name__, _ERROR_EXCERPT)


def check_redis_url(url: str) -> None:
    """Raises ValueError when ``url`` is not one of Redis."""
    _client(url)


def _client(url: str) -> Redis:
    """A client that connects when it is used; it may be used by any thread.

    Raises ValueError when ``url`` is not one of Redis.
    """
    parts = urlsplit(url)
    # The library takes what is no number for database 0.
    if parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path):
        raise ValueError("the path of the URL is not the number of a database")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("the URL lacks the path of a socket")
    try:
        client = Redis.from_url(
            url,
            socket_timeout=_REDIS_TIMEOUT,
            socket_connect_timeout=_REDIS_TIMEOUT,
            # A connection that Redis has closed meanwhile is worth another one, a late answer not.
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
            # Every version of Redis speaks it.
            protocol=2,
        )
        # Whether the arguments in the URL exist is known when the first connection is made.
        client.connection_pool.make_connection()
    except (ValueError, TypeError, RedisError) as error:
        raise ValueError(str(error)) from error
    return client
