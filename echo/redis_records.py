"""The records of connections in Redis: written by a thread, behind a bounded queue.

However Redis does, a connection neither waits for it nor ends otherwise; records that it does not
take are dropped and counted. The library takes a sixth of the service's start and 7 MB of memory,
so this file is imported only where there is a Redis.
"""

import json
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Final

import gevent
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from echo.net.connection import Connection
from echo.net.registry import ConnectionRecord
from echo.records import LocalRecords, RecordsUnavailable

#: What the names of the records in Redis begin with; their ids follow.
PREFIX: Final = "echo:connection:"

#: Seconds that Redis keeps a record.
EXPIRY: Final = 3600

#: Records that may wait to be written; what comes while so many wait is dropped.
QUEUE_RECORDS: Final = 20_000

#: Records that are written at a time: they take some milliseconds, in which others wait.
_BATCH: Final = 100

#: Seconds that the thread gathers records before it writes them, and that it waits after a failure.
_GATHER: Final = 0.02
_PAUSE: Final = 1.0

#: Seconds that Redis has for an answer; and those that a lookup has in all.
_REDIS_TIMEOUT: Final = 1.0
_LOOKUP_TIMEOUT: Final = 2.0

#: Seconds between two lines in the log.
_SILENCE: Final = 60.0

#: What goes wrong with Redis, or with what it holds.
_FAILURES: Final = (RedisError, OSError, ValueError, TypeError)


class RedisRecords(LocalRecords):
    """The records of all processes that use the same Redis.

    Attributes:
        dropped: records that could not be written so far.
    """

    unknown = "No process knows a connection of that id, or it was forgotten."

    def __init__(self, url: str, notice: Callable[[str], object]) -> None:
        """Nothing is asked of Redis before there is something to write or to find.

        Raises ValueError when ``url`` is not one of Redis. ``log`` gets a line a minute at most.
        """
        self.dropped = 0
        self._redis = _client(url)
        self._notice = notice
        self._reported = (0, -_SILENCE)
        self._queue: SimpleQueue[ConnectionRecord | None] = SimpleQueue()
        self._closing = Event()
        self._thread = Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    def opened(self, connection: Connection) -> None:
        self.put(ConnectionRecord.of(connection))

    def closed(self, record: ConnectionRecord) -> None:
        self.put(record)

    def put(self, record: ConnectionRecord) -> None:
        """Queue a record, or drop and count it when the queue is full."""
        if self._queue.qsize() >= QUEUE_RECORDS:
            self.dropped += 1
            return
        self._queue.put(record)

    def find(self, connection_id: str) -> ConnectionRecord | None:
        """Ask Redis, in a thread; the calling greenlet waits, two seconds at most."""
        late = RecordsUnavailable(f"no answer within {_LOOKUP_TIMEOUT:g} s")
        with gevent.Timeout(_LOOKUP_TIMEOUT, late):
            found = gevent.get_hub().threadpool.apply(self._get, (connection_id,))
        if isinstance(found, RecordsUnavailable):
            raise found
        return found

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued, for at most ``timeout`` seconds, and end the thread."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self.dropped += max(0, self._queue.qsize() - 1)
        self._report()

    def _get(self, connection_id: str) -> ConnectionRecord | RecordsUnavailable | None:
        """Read a record, in a thread of gevent's pool, which would print what is raised."""
        try:
            found = self._redis.get(PREFIX + connection_id)
            return None if found is None else ConnectionRecord(**json.loads(found))
        except _FAILURES as error:
            return RecordsUnavailable(str(error))

    def _run(self) -> None:
        """The thread: wait for records, gather some more, write them all at once."""
        while (record := self._queue.get()) is not None:
            self._closing.wait(_GATHER)
            batch = [record]
            try:
                while len(batch) < _BATCH and (record := self._queue.get_nowait()) is not None:
                    batch.append(record)
            except Empty:
                pass
            self._write(batch)
            if record is None:
                return

    def _write(self, batch: list[ConnectionRecord]) -> None:
        """Write records, or drop them."""
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for one in batch:
                    pipeline.set(PREFIX + one.id, json.dumps(one.as_json()), ex=EXPIRY)
                pipeline.execute()
        except _FAILURES as error:
            self.dropped += len(batch)
            self._report(f": {error}")
            self._closing.wait(_PAUSE)
        else:
            self._report()

    def _report(self, reason: str = "") -> None:
        """Say how many records were dropped, if it is time for it."""
        reported, at = self._reported
        now = monotonic()
        if self.dropped > reported and now - at >= _SILENCE:
            self._reported = (self.dropped, now)
            count = self.dropped - reported
            text = f"records of connections dropped, as Redis took none: {count}{reason}"
            self._notice(text)


def check_redis_url(url: str) -> None:
    """Raises ValueError when ``url`` is not one of Redis."""
    _client(url)


def _client(url: str) -> Redis:
    """A client that connects when it is used; it may be used by any thread.

    Raises ValueError when ``url`` is not one of Redis.
    """
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
