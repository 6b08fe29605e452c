"""Logs that never block the service and never let a peer forge a line.

A line is put into a bounded queue and written by a thread of the operating system. When the output
is slow or stuck the queue fills and further lines are dropped, counted, and the count is reported
once the output flows again; whoever logs goes on undisturbed.
"""

import os
import re
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Final, TextIO

from echo.protocol.messages import TEXT
from echo.protocol.rfc6455 import Opcode

try:
    import fcntl
except ImportError:  # not on Windows, where there are no workers to share an output with
    fcntl = None  # type: ignore[assignment]

#: Entries that may wait to be written; what comes while so many wait is dropped.
QUEUE_ENTRIES: Final = 20_000

#: Bytes of a message that its line shows; the line says how many were left out.
MESSAGE_BYTES: Final = 1024

#: Bytes of a binary message that its line shows, in hex.
HEX_BYTES: Final = 32

#: Seconds that the thread gathers entries before it writes them. Waking it for each line would
#: cost the service more than the line.
_GATHER: Final = 0.02

#: C0 and C1 controls and DEL, line and paragraph separators, surrogates, and the characters that
#: change the direction of text: what could break a line, command a terminal or disguise a text.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


#: What is left of ASCII, and what is between lines.
_PLAIN: Final = bytes(range(ord(" "), ord("~") + 1)) + b"\n"


def escape(text: str) -> str:
    r"""``text`` on one line and without commands: the unsafe characters as ``\n``, ``\x1b``."""
    if text.isprintable():
        return text
    return _UNSAFE.sub(lambda unsafe: ascii(unsafe[0])[1:-1], text)


def _one_each(lines: list[str]) -> str:
    """The lines, escaped, with a line break behind each."""
    text = "\n".join(lines)
    # Most of them need no escaping, which costs a fraction to see of all together.
    if (
        not text.isascii()
        or text.count("\n") != len(lines) - 1
        or text.encode().translate(None, _PLAIN)
    ):
        text = "\n".join(map(escape, lines))
    return f"{text}\n"


def text_dropped_line(count: int) -> str:
    """The line in the place of entries that were dropped."""
    return f"({count} log lines dropped: the output was too slow)"


class LogQueue:
    """A bounded queue of log entries, and the thread that writes each as a line.

    ``put`` may be called from any greenlet or thread.

    Attributes:
        dropped: entries that were dropped since the start.
    """

    def __init__(
        self,
        stream: TextIO,
        dropped_line: Callable[[int], str] = text_dropped_line,
        *,
        shared: bool = False,
    ) -> None:
        """``stream`` must have a file descriptor; nothing else should write to it, but with
        ``shared`` the LogQueues of other processes.

        ``dropped_line`` makes the line that says how many entries were dropped.
        """
        self.dropped = 0
        self._dropped_line = dropped_line
        self._descriptor = stream.fileno()
        self._shared = shared
        self._encoding = stream.encoding
        self._entries: deque[tuple[Callable[..., str], tuple[object, ...]]] = deque()
        self._reported = 0
        self._closing = False
        self._idle = True
        self._wake = Event()
        self._thread = Thread(target=self._run, name=f"log-{self._descriptor}", daemon=True)
        self._thread.start()

    def put(self, make_line: Callable[..., str], *values: object) -> None:
        """Queue an entry, or drop and count it when the queue is full. Never blocks.

        The thread makes the line, as ``make_line(*values)``, and escapes it.
        """
        if len(self._entries) >= QUEUE_ENTRIES:
            self.dropped += 1
            return
        self._entries.append((make_line, values))
        if self._idle:
            self._idle = False
            self._wake.set()

    def close(self, timeout: float = 1.0) -> None:
        """Write what is queued, for at most ``timeout`` seconds, and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        """The thread: wait for entries, gather some more, write them all at once."""
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            if not self._closing:
                time.sleep(_GATHER)
            self._drain()
            self._idle = True
            # Whoever put an entry between the last look and the flag has woken nobody.
            if self._entries:
                self._idle = False
                self._wake.set()
        self._drain()

    def _drain(self) -> None:
        """Write the entries that are queued now."""
        lines = []
        for _ in range(len(self._entries)):
            make_line, values = self._entries.popleft()
            lines.append(make_line(*values))
        dropped = self.dropped
        if dropped > self._reported:
            lines.append(self._dropped_line(dropped - self._reported))
            self._reported = dropped
        if lines:
            data = _one_each(lines).encode(self._encoding, "backslashreplace")
            (self._write_alone if self._shared and fcntl else self._write_all)(data)

    def _write_alone(self, data: bytes) -> None:
        """As _write_all, while no other process does: a full pipe takes a line in pieces."""
        with suppress(OSError):
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            self._write_all(data)
        finally:
            with suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _write_all(self, data: bytes) -> None:
        """Write all bytes, however long it takes; give up when there is nobody to read them."""
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Unlike select() this has no bound on descriptors.
                room = select.poll()
                room.register(self._descriptor, select.POLLOUT)
                room.poll()
            except OSError:
                return


class LineLog:
    """A log of lines."""

    def __init__(self, queue: LogQueue) -> None:
        self._put = queue.put

    def write(self, line: object) -> None:
        """Log one line, the ``str`` of what is given; its line break is added. Never blocks."""
        self._put(str, line)


class ErrorLog:
    """A log of text in several lines, such as tracebacks; enough of a stream for what writes them.

    Each line is marked, so that what a peer sent cannot pass for a line of another kind.
    """

    def __init__(self, queue: LogQueue) -> None:
        self._put = queue.put

    def write(self, text: str) -> None:
        """Log the lines of a text. Never blocks."""
        for line in text.split("\n"):
            if line:
                self._put("! {}".format, line)

    def flush(self) -> None:
        """Nothing is kept back."""


class MessageLog:
    """The article's line for each message: ``ADDRESS sent: MESSAGE``."""

    def __init__(self, queue: LogQueue) -> None:
        self._put = queue.put

    def write(self, peer: str, kind: Opcode, message: bytes) -> None:
        """Log that ``peer`` sent ``message``; of a long one only the beginning is kept.

        Never blocks.
        """
        self._put(_message_line, peer, kind, message[:MESSAGE_BYTES], len(message))


class SilentMessageLog(MessageLog):
    """A message log that is turned off."""

    def __init__(self) -> None:
        """Without a queue: nothing is ever put."""

    def write(self, peer: str, kind: Opcode, message: bytes) -> None:
        """Do nothing."""


def _message_line(peer: str, kind: Opcode, beginning: bytes, size: int) -> str:
    """The line of a message of ``size`` bytes."""
    if kind is TEXT:
        if size == len(beginning):
            return f"{peer} sent: {beginning.decode()}"
        # A character that the cut went through is left out, and its bytes with it.
        shown = beginning.decode("utf-8", "ignore")
        left_out = size - (len(shown) if shown.isascii() else len(shown.encode()))
    else:
        shown = f"{size} bytes {beginning[:HEX_BYTES].hex(' ')}".rstrip()
        left_out = max(0, size - HEX_BYTES)
    more = f" ... {left_out} more bytes" if left_out else ""
    return f"{peer} sent: {shown}{more}"
