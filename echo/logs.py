"""Logs that never block the service and never let a peer forge a line.

A line is put into a bounded queue and written by a thread of the operating system. When the output
is slow or stuck the queue fills and further lines are dropped, counted, and the count is reported
once the output flows again; whoever logs goes on undisturbed.
"""

import fcntl
import os
import re
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from threading import Event, Thread
from typing import Final, TextIO
from unicodedata import category

from echo.protocol.messages import TEXT
from echo.protocol.rfc6455 import Opcode

#: Entries that may wait to be written; what comes while so many wait is dropped.
QUEUE_ENTRIES: Final = 20_000

#: Bytes of a message that its line shows; the line says how many were left out.
MESSAGE_BYTES: Final = 1024

#: Bytes of a binary message that its line shows, in hex.
HEX_BYTES: Final = 32

#: Seconds that the thread gathers entries before it writes them. Waking it for each line would
#: cost the service more than the line.
_GATHER: Final = 0.02

#: What could break a line, command a terminal or disguise a text.
_UNSAFE: Final = re.compile(
    "["
    # Controls, line and paragraph separators, surrogates.
    "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
    # Format characters (Cf): zero-width ones, those that set the direction of text, tags.
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # Others that are not seen (Default_Ignorable_Code_Point): fillers, variation selectors.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
    "]+"
)

#: The blocks with all that is unsafe though it is printable: combining marks, and what is not seen.
_SUSPECT: Final = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u1cff\u1dc0-\u1dff\u20d0-\u20ff\u2cef-\u2cf1\u2d7f"
    "\u2de0-\u2dff\u302a-\u302d\u3099\u309a\u3164\ua66f-\ua6f1\ua802-\uabff\ufb1e\ufe00-\ufe2f"
    "\uffa0\U00010000-\U0001efff\U000e0100-\U000e01ef]"
)

#: Text without any of them needs no closer look, which costs ten times as much.
_ANY_SUSPECT: Final = re.compile(_SUSPECT)

#: Combining marks that a character may carry; more of them are drawn over the lines around.
_MARKS: Final = 5

#: Where more marks in a row may be: no mark is a letter or a digit. That the pattern begins with
#: the set lets the search run to the next one quickly.
_MANY_MARKS: Final = re.compile(rf"{_SUSPECT}(?<!\w)(?:{_SUSPECT}(?<!\w)){{{_MARKS},}}")

#: What is left of ASCII, and what is between lines.
_PLAIN: Final = bytes(range(ord(" "), ord("~") + 1)) + b"\n"


def escape(text: str) -> str:
    r"""``text`` on one line, all of it visible: unsafe characters as ``\n``, ``\x1b``, ``\u200b``.

    So are combining marks after the fifth in a row.
    """
    if text.isprintable() and (text.isascii() or not _ANY_SUSPECT.search(text)):
        return text
    return _MANY_MARKS.sub(_cut_marks, _UNSAFE.sub(_escaped, text))


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


def _cut_marks(match: re.Match[str]) -> str:
    """The characters, those combining marks escaped that are too many in a row."""
    shown = ""
    for are_marks, characters in groupby(match[0], _is_mark):
        row = "".join(characters)
        shown += row[:_MARKS] + ascii(row[_MARKS:])[1:-1] if are_marks else row
    return shown


def _is_mark(character: str) -> bool:
    return category(character) in {"Mn", "Me"}


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
            (self._write_alone if self._shared else self._write_all)(data)

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
