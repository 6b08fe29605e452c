"""All logs of the service together, as text for people or as JSON for programs."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any, Final, TextIO

from pythonjsonlogger.json import JsonFormatter

from echo.logs import (
    HEX_BYTES,
    MESSAGE_BYTES,
    ErrorLog,
    LineLog,
    LogQueue,
    MessageLog,
    SilentMessageLog,
    text_dropped_line,
)
from echo.net.events import Answer
from echo.net.registry import ConnectionRecord
from echo.protocol.rfc6455 import Opcode

#: Makes the object: when, what, in which process, then the entry's own fields. All that is not
#: ASCII is escaped, so that no message can command a terminal.
_FORMATTER: Final = JsonFormatter(
    ["timestamp", "message", "process"],
    timestamp="at",
    rename_fields={"timestamp": "at", "message": "event", "process": "pid"},
    json_ensure_ascii=True,
)


#: The service's root for a scheme, http or ws (see HTTPServer.url).
URL = Callable[[str], str]


@dataclass
class _Entry:
    event: str
    text: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        return self.text

    def as_json(self) -> dict[str, Any]:
        return self.fields


class Logs:
    """The logs of a process.

    Attributes:
        messages: what arrives at the WebSockets.
        entries: what the server says of requests and connections.
        faults: tracebacks.
    """

    messages: MessageLog
    entries: "LineLog | _JSONEntryLog"
    faults: "ErrorLog | _JSONErrorLog"

    def __init__(
        self,
        output: TextIO,
        errors: TextIO,
        dropped_line: Callable[[int], str] = text_dropped_line,
        *,
        shared: bool = False,
    ) -> None:
        """``shared``: with the logs of other processes, see LogQueue."""
        self._output = LogQueue(output, dropped_line, shared=shared)
        self._errors = LogQueue(errors, dropped_line, shared=shared)

    def closed(self, record: ConnectionRecord) -> None:
        self.entries.write(_Entry("closed", str(record), record.as_json()))

    def answered(self, answer: Answer) -> None:
        event = "refused" if answer.status >= "400" else "answered"
        text = f'{answer.peer} "{answer.request}" {answer.status} {answer.reason}'.rstrip()
        status = int(answer.status) if answer.status.isdigit() else None
        fields = {
            "peer": answer.peer,
            "request": answer.request,
            "status": status,
            "reason": answer.reason,
        }
        self.entries.write(_Entry(event, text, fields))

    def tls_failed(self, peer: str, reason: str) -> None:
        self.notice(f"{peer} TLS: {reason}")

    def notice(self, text: str) -> None:
        self.entries.write(_Entry("notice", text, {"text": text}))

    def fault(self, text: str) -> None:
        self.faults.write(text)

    @staticmethod
    def announcement(url: URL) -> list[str]:
        """The lines that say where the service is."""
        raise NotImplementedError

    def started(self, url: URL) -> None:
        """Say where the service is."""
        for line in self.announcement(url):
            self._output.put(str, line)

    def stopped(self) -> None:
        """Say that it is over."""
        raise NotImplementedError

    def dropped(self) -> int:
        """Lines that were dropped since the start."""
        return self._output.dropped + self._errors.dropped

    def close(self) -> None:
        """Write what is queued, as far as it can be written soon."""
        self._output.close()
        self._errors.close()


class TextLogs(Logs):
    """Logs as text: see ``echo.logs``."""

    def __init__(
        self, output: TextIO, errors: TextIO, *, quiet: bool, shared: bool = False
    ) -> None:
        """``output`` has the messages, unless ``quiet``; ``errors`` has the rest."""
        super().__init__(output, errors, shared=shared)
        self.messages = SilentMessageLog() if quiet else MessageLog(self._output)
        self.entries = LineLog(self._errors)
        self.faults = ErrorLog(self._errors)

    @staticmethod
    def announcement(url: URL) -> list[str]:
        """Two lines."""
        page, websocket = _places(url)
        return [f"Page:      {page}", f"WebSocket: {websocket}"]

    def stopped(self) -> None:
        """A person sees it."""


class JSONLogs(Logs):
    """Logs as JSON: each line is an object with ``at`` (UTC), ``event``, ``pid`` and more."""

    def __init__(
        self, output: TextIO, errors: TextIO, *, quiet: bool, shared: bool = False
    ) -> None:
        """As TextLogs."""
        super().__init__(output, errors, _dropped_line, shared=shared)
        self.messages = SilentMessageLog() if quiet else _JSONMessageLog(self._output)
        self.entries = _JSONEntryLog(self._errors)
        self.faults = _JSONErrorLog(self._errors)

    @staticmethod
    def announcement(url: URL) -> list[str]:
        """An object with both URLs."""
        page, websocket = _places(url)
        return [_line(time(), "start", {"page": page, "websocket": websocket})]

    def stopped(self) -> None:
        """An object without more."""
        self._output.put(_line, time(), "stop", {})


#: The values of --log-format.
FORMATS: Final = {"text": TextLogs, "json": JSONLogs}


class _JSONEntryLog:
    def __init__(self, queue: LogQueue) -> None:
        self._put = queue.put

    def write(self, entry: _Entry) -> None:
        self._put(_entry_line, time(), entry)


class _JSONErrorLog:
    def __init__(self, queue: LogQueue) -> None:
        self._put = queue.put

    def write(self, text: str) -> None:
        for line in text.split("\n"):
            if line:
                self._put(_line, time(), "error", {"text": line})

    def flush(self) -> None:
        """Nothing is kept back."""


class _JSONMessageLog(MessageLog):
    def write(self, peer: str, kind: Opcode, message: bytes) -> None:
        beginning = message[: MESSAGE_BYTES if kind is Opcode.TEXT else HEX_BYTES]
        self._put(_message_line, time(), peer, kind, beginning, len(message))


def _places(url: URL) -> tuple[str, str]:
    """The page and the WebSocket."""
    return f"{url('http')}/ws/echo_display", f"{url('ws')}/ws/echo"


def _line(at: float, event: str, fields: Mapping[str, Any]) -> str:
    """A JSON object on one line; ``at`` in seconds since 1970."""
    record = logging.makeLogRecord({"created": at, "msg": event, **fields})
    return _FORMATTER.format(record)


def _entry_line(at: float, entry: _Entry) -> str:
    return _line(at, entry.event, entry.as_json())


def _message_line(at: float, peer: str, kind: Opcode, beginning: bytes, size: int) -> str:
    fields: dict[str, Any] = {"peer": peer, "kind": kind.name.lower(), "bytes": size}
    if kind is Opcode.TEXT:
        # A character that the cut went through is left out, and its bytes with it.
        text = beginning.decode("utf-8", "ignore")
        fields |= {"text": text, "omitted": size - len(text.encode())}
    else:
        fields |= {"hex": beginning.hex(), "omitted": size - len(beginning)}
    return _line(at, "message", fields)


def _dropped_line(count: int) -> str:
    return _line(time(), "dropped", {"lines": count})
