"""What the server tells of itself: entries for the log, and a watcher that counts."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from echo.net.connection import Connection
from echo.net.registry import ConnectionRecord


class Entry(Protocol):
    """One line of the log: ``str`` gives it as text."""

    @property
    def event(self) -> str:
        """What happened, in a word."""

    def as_json(self) -> dict[str, Any]:
        """What there is to say of it, as a JSON object."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP request that was answered.

    Attributes:
        peer: the address of who asked.
        request: the request line, as much of it as has come.
        status: of the response; ``-`` for none.
        reason: why it was refused, for a person; empty for a request that was not.
    """

    peer: str
    request: str
    status: str
    reason: str

    @property
    def event(self) -> str:
        """``answered``, or ``refused`` for the statuses of errors."""
        return "refused" if self.status >= "400" else "answered"

    def __str__(self) -> str:
        # A quote would end the quoted part, and a backslash pass for an escape.
        request = self.request.replace("\\", r"\\").replace('"', r"\"")
        return f'{self.peer} "{request}" {self.status} {self.reason}'.rstrip()

    def as_json(self) -> dict[str, Any]:
        """The fields, the status as a number or None."""
        status = int(self.status) if self.status.isdigit() else None
        return asdict(self) | {"status": status}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the server that an operator should know."""

    text: str
    event = "notice"

    def __str__(self) -> str:
        return self.text

    def as_json(self) -> dict[str, Any]:
        """The text."""
        return {"text": self.text}


class LogWriter(Protocol):
    """Where the server's log goes."""

    def write(self, entry: Entry, /) -> object:
        """Take what will be one line. Must not block."""


class TextWriter(Protocol):
    """Where tracebacks go."""

    def write(self, text: str, /) -> object:
        """Take a text of some lines. Must not block."""


class NoticeWriter:
    """Texts of some lines, such as tracebacks, in a log of entries."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log

    def write(self, text: str) -> None:
        """Log the text as one entry."""
        self._log.write(Notice(text))


class Watcher(Protocol):
    """Whoever wants to know what becomes of connections. Nothing here may block."""

    def opened(self, connection: Connection, /) -> object:
        """A request has become a WebSocket."""

    def closed(self, record: ConnectionRecord, /) -> object:
        """A WebSocket is over."""

    def refused(self, reason: str, /) -> object:
        """A request was refused. ``reason``: an exception class of ``echo.protocol.errors``, by
        its name, or the status of the response; one of a few dozen, whatever peers send.
        """


class NoWatcher:
    """A watcher that does not look."""

    def opened(self, connection: Connection, /) -> None:
        """Do nothing."""

    def closed(self, record: ConnectionRecord, /) -> None:
        """Do nothing."""

    def refused(self, reason: str, /) -> None:
        """Do nothing."""
