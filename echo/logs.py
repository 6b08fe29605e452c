"""The logs of a process. They never block the service, and never let a peer forge a line."""

import os
import re
import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from time import monotonic, time
from typing import Final, TextIO

from echo.background_writer import BackgroundWriter, close_all
from echo.log_formats import URL, Format, one_each
from echo.net.events import Answer
from echo.net.records import ConnectionRecord
from echo.protocol.excerpts import ENTRY_EXCERPT, excerpt
from echo.protocol.rfc6455 import Opcode

try:
    import fcntl
except ImportError:  # not on Windows, where there are no workers to share an output with
    fcntl = None  # type: ignore[assignment]

TEXT: Final = Opcode.TEXT

#: Bytes of a text message that its line shows; the line says how many were left out.
MESSAGE_BYTES: Final = 1024

#: Bytes of a binary message that its line shows, in hex.
HEX_BYTES: Final = 32

#: Seconds in which a fault that happens again is counted instead of logged.
FAULT_PERIOD: Final = 60.0

#: Faults that are logged within FAULT_PERIOD; all others are only counted.
DISTINCT_FAULTS: Final = 20

#: Lines of a traceback that are logged: its first and its last.
_FAULT_LINES: Final = (20, 80)

#: The places in a traceback, and the classes of the exceptions.
_PLACE: Final = re.compile(r'^  File ".*', re.MULTILINE)
_ERROR: Final = re.compile(r"^[A-Za-z_][\w.]*(?=:|$)", re.MULTILINE)

#: A function that makes a line, and its arguments: lines are made by the thread that writes them.
_Line = tuple[Callable[..., str], tuple[object, ...]]


class LogOutput:
    """One output of a log, such as standard error, and the thread that writes to it.

    Attributes:
        writer: takes the lines.
        form: makes them.
    """

    def __init__(
        self,
        stream: TextIO,
        form: Format,
        *,
        shared: bool = False,
        each_minute: Callable[[], object] | None = None,
    ) -> None:
        """``stream`` must have a file descriptor; nothing else should write to it, except, with
        ``shared``, the logs of other processes. ``each_minute``: as BackgroundWriter's.
        """
        self.form = form
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._shared = shared
        self.writer: BackgroundWriter[_Line] = BackgroundWriter(
            f"log-{self._descriptor}", self._write, each_minute=each_minute
        )

    def put(self, size: int, make_line: Callable[..., str], *values: object) -> None:
        """Queue the line that ``make_line(*values)`` is, or drop and count it. Never blocks.

        ``size``: bytes of what a peer sent among the values.
        """
        self.writer.put((make_line, values), size)

    def _write(self, entries: Sequence[_Line], dropped: int) -> None:
        """Make the lines and write them; the writer's thread calls it."""
        lines = [make_line(*values) for make_line, values in entries]
        if dropped:
            lines.append(self.form.dropped(time(), dropped))
        data = one_each(lines).encode(self._encoding, "backslashreplace")
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


class MessageLog:
    """What arrives at the WebSockets: a line for each message."""

    __slots__ = ("_make_line", "_put")

    def __init__(self, output: LogOutput | None) -> None:
        """``output``: None to log no messages."""
        self._put: Callable[[_Line, int], None] | None = None
        if output is not None:
            self._put, self._make_line = output.writer.put, output.form.message

    def write(self, peer: str, kind: Opcode, message: bytes) -> None:
        """Log that ``peer`` sent ``message``; of a long one only the beginning is kept.

        Never blocks.
        """
        if self._put is not None:
            beginning = message[: MESSAGE_BYTES if kind is TEXT else HEX_BYTES]
            values = (time(), peer, kind, beginning, len(message))
            self._put((self._make_line, values), len(beginning))


@dataclass(slots=True)
class _Fault:
    """A fault that was logged ``since`` (seconds of the monotonic clock), and again since then."""

    since: float
    error: str
    again: int = 0


class FaultLog:
    """Tracebacks. A fault that happens again within a minute is counted, not logged again.

    Also enough of a stream for what writes tracebacks to one.
    """

    def __init__(self, output: LogOutput, period: float = FAULT_PERIOD) -> None:
        """``period``: seconds in which a fault is not logged again."""
        self._output = output
        self._period = period
        self._lock = Lock()
        self._faults: dict[str, _Fault] = {}
        self._others = 0

    def write(self, text: str) -> None:
        """Log a traceback, or count it. Never blocks."""
        places, errors = _PLACE.findall(text), _ERROR.findall(text)
        # What an exception says may be another text each time.
        identity = "\n".join([*places, *errors[:1]]) or text[:ENTRY_EXCERPT]
        now = monotonic()
        with self._lock:
            fault = self._faults.get(identity)
            if fault is not None and now - fault.since < self._period:
                fault.again += 1
                return
            if fault is None and len(self._faults) >= DISTINCT_FAULTS:
                self._others += 1
                return
            self._faults[identity] = _Fault(now, errors[0] if errors else "")
        if fault is not None:
            self._tell(fault)
        for line in _shortened(text.split("\n")):
            self._put(line)

    def flush(self) -> None:
        """Nothing is kept back."""

    def summarise(self, *, all_of_them: bool = False) -> None:
        """Log how often faults happened again whose period is over. May be called by any thread."""
        now = monotonic()
        with self._lock:
            over = {
                identity: fault
                for identity, fault in self._faults.items()
                if all_of_them or now - fault.since >= self._period
            }
            for identity in over:
                del self._faults[identity]
            others, self._others = self._others, 0
        for fault in over.values():
            self._tell(fault)
        if others:
            self._put(f"{others} more faults happened")

    def _tell(self, fault: _Fault) -> None:
        if fault.again:
            times = "once more" if fault.again == 1 else f"{fault.again} more times"
            self._put(f"the same fault happened {times}: {excerpt(fault.error, ENTRY_EXCERPT)}")

    def _put(self, line: str) -> None:
        line = excerpt(line, ENTRY_EXCERPT)
        self._output.put(len(line), self._output.form.fault, time(), line)


def _shortened(lines: Sequence[str]) -> list[str]:
    """The lines that are not empty; of too many the first and the last."""
    lines = [line for line in lines if line]
    first, last = _FAULT_LINES
    left_out = len(lines) - first - last
    if left_out <= 0:
        return lines
    return [*lines[:first], f"  ... {left_out} lines left out", *lines[-last:]]


class Logs:
    """The logs of a process, which listen to the events of its server.

    Attributes:
        messages: what arrives at the WebSockets.
        faults: tracebacks; enough of a stream for what writes them to one.
    """

    def __init__(
        self,
        output: TextIO,
        errors: TextIO,
        form: Format,
        *,
        quiet: bool,
        shared: bool = False,
    ) -> None:
        """``output`` gets the messages, unless ``quiet``; ``errors`` gets the rest.

        ``shared``: with the logs of other processes, see LogOutput.
        """
        self._form = form
        self._output = LogOutput(output, form, shared=shared)
        self._errors = LogOutput(errors, form, shared=shared, each_minute=self._each_minute)
        self.messages = MessageLog(None if quiet else self._output)
        self.faults = FaultLog(self._errors)

    def closed(self, record: ConnectionRecord) -> None:
        """Log that a connection is over. Never blocks."""
        self._errors.put(len(record.reason or ""), self._form.closed, time(), record)

    def answered(self, answer: Answer) -> None:
        """Log an HTTP request that was answered, or refused. Never blocks."""
        size = len(answer.request) + len(answer.reason)
        self._errors.put(size, self._form.answered, time(), answer)

    def tls_failed(self, peer: str, reason: str) -> None:
        """Log a TLS handshake that failed. Never blocks."""
        self.notice(f"{peer} TLS: {reason}")

    def notice(self, text: str) -> None:
        """Log something that an operator should know. Never blocks."""
        self._errors.put(len(text), self._form.notice, time(), text)

    def fault(self, text: str) -> None:
        """Log a traceback, or count it. Never blocks."""
        self.faults.write(text)

    def started(self, url: URL) -> None:
        """Say where the service is."""
        for line in announcement(self._form, url):
            self._output.put(0, str, line)

    def stopped(self) -> None:
        """Say that it has ended."""
        for line in self._form.stopped(time()):
            self._output.put(0, str, line)

    def dropped(self) -> int:
        """Lines that were dropped since the start."""
        return self._output.writer.dropped + self._errors.writer.dropped

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most ``timeout`` seconds."""
        self.faults.summarise(all_of_them=True)
        close_all([self._output.writer, self._errors.writer], timeout)

    def _each_minute(self) -> None:
        self.faults.summarise()


def announcement(form: Format, url: URL) -> list[str]:
    """The lines that say where the service is."""
    return form.started(time(), url)
