"""A bounded queue and the thread that writes what is in it, so that no greenlet ever waits."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Final, Generic, TypeVar

#: Entries that may wait to be written; more are dropped.
QUEUE_ENTRIES: Final = 20_000

#: Bytes that the entries in the queue may have in all; more are dropped.
QUEUE_BYTES: Final = 8 * 1024 * 1024

#: Entries that are written at a time: while they are made into lines or commands they exist twice.
BATCH: Final = 500

#: Seconds that the thread gathers entries before it writes them. Waking it for each would cost the
#: service more than the entry.
_GATHER: Final = 0.02

#: Seconds between two calls of ``each_minute``.
_MINUTE: Final = 60.0

_Entry = TypeVar("_Entry")


class BackgroundWriter(Generic[_Entry]):
    """Writes entries in batches, in a thread of the operating system.

    When writing is slow or stuck the queue fills up and further entries are dropped and counted;
    the caller of ``put`` goes on undisturbed.

    Attributes:
        dropped: entries that were dropped since the start.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[_Entry], int], object],
        *,
        batch: int = BATCH,
        each_minute: Callable[[], object] | None = None,
    ) -> None:
        """``name``: of the thread.

        ``write(entries, dropped)`` is called by the thread with at most ``batch`` entries, and with
        the number of entries that were dropped behind them. It may block, but must not raise.
        ``each_minute`` is called by the thread once a minute; it may put entries.
        """
        self.dropped = 0
        self._write = write
        self._batch = batch
        self._each_minute = each_minute
        self._entries: deque[tuple[int, _Entry]] = deque()
        # Of the bytes ever put and ever taken each is counted by one side alone: a lock would cost
        # more than all the rest of put.
        self._put_bytes = 0
        self._taken_bytes = 0
        self._reported = 0
        self._idle = True
        self._wake = Event()
        self._closing = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, entry: _Entry, size: int = 0) -> None:
        """Queue an entry, or drop and count it when the queue is full. Never blocks.

        ``size``: its bytes, as far as a peer decides on them. May be called by any thread.
        """
        waiting = self._put_bytes - self._taken_bytes
        if waiting >= QUEUE_BYTES or len(self._entries) >= QUEUE_ENTRIES:
            self.dropped += 1
            return
        self._put_bytes += size
        self._entries.append((size, entry))
        if self._idle:
            self._idle = False
            self._wake.set()

    def pause(self, seconds: float) -> None:
        """Wait in the thread, but no longer than until the writer is closed."""
        self._closing.wait(seconds)

    def close(self, timeout: float) -> int:
        """Write what is queued, for at most ``timeout`` seconds, and end the thread.

        Returns how many entries are still not taken.
        """
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        return len(self._entries) if self._thread.is_alive() else 0

    def _run(self) -> None:
        """Wait for entries, gather some more, write them; the thread."""
        due = monotonic() + _MINUTE
        while not self._closing.is_set():
            if self._wake.wait(max(0.0, due - monotonic())):
                self._wake.clear()
                self._closing.wait(_GATHER)
                self._drain()
                self._idle = True
                # Whoever put an entry between the last look and the flag has woken nobody.
                if self._entries:
                    self._idle = False
                    self._wake.set()
            if monotonic() >= due:
                due += _MINUTE
                if self._each_minute is not None:
                    self._each_minute()
        self._drain()

    def _drain(self) -> None:
        """Write the entries that are queued now."""
        left = len(self._entries)
        while True:
            entries = []
            for _ in range(min(left, self._batch)):
                size, entry = self._entries.popleft()
                self._taken_bytes += size
                entries.append(entry)
            left -= len(entries)
            dropped = 0 if left else self.dropped - self._reported
            self._reported += dropped
            if entries or dropped:
                self._write(entries, dropped)
            if not left:
                return


def close_all(writers: Sequence[BackgroundWriter[_Entry]], timeout: float) -> None:
    """Close writers, all at the same time, within ``timeout`` seconds."""
    deadline = monotonic() + timeout
    for writer in writers:
        writer.close(0)
    for writer in writers:
        writer.close(max(0.0, deadline - monotonic()))
