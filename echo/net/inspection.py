"""A connection under observation: it tells its peer what arrived, frame by frame."""

import json
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, cast

from echo.net.connection import Connection
from echo.net.http_handler import Environ
from echo.net.upgrade import switch_protocols
from echo.protocol.budget import BudgetShare
from echo.protocol.deflate import Inflater
from echo.protocol.errors import ProtocolViolation
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.http_head import RequestHead
from echo.protocol.messages import Event, MessageParser
from echo.protocol.observer import FrameObserver, Moment
from echo.protocol.reports import (
    Report,
    control_report,
    failure_report,
    handshake_report,
    message_report,
)
from echo.protocol.rfc6455 import Opcode

#: Bytes that are parsed at a time. A frame costs a report, fifty times the work of an echo.
_STEP: Final = 512


class ObservedParser(MessageParser):
    """A parser that takes small steps, and an observer that sees what it sees.

    Attributes:
        observer: what has arrived as far as it was parsed.
    """

    __slots__ = ("_arrived", "_began", "_busy", "_pending", "observer")

    def __init__(
        self, max_message_size: int, share: BudgetShare, inflater: Inflater | None = None
    ) -> None:
        """As MessageParser."""
        super().__init__(max_message_size, share, inflater)
        self.observer = FrameObserver()
        self._began = monotonic()
        self._pending = memoryview(b"")
        self._arrived = self.moment()
        # Whether the parser itself has kept back what it took.
        self._busy = False

    def feed(self, data: bytes | bytearray, size: int) -> list[Event]:
        """As MessageParser.feed, of a step's bytes; ``more`` says that there are others.

        They must be taken before there are new ones, and what was observed before the next step.
        """
        # While the connection is closing nobody takes what is observed.
        self.observer.whole.clear()
        if size:
            self._pending = memoryview(bytes(data[:size]))
            self._arrived = self.moment()
        step = b"" if self._busy else bytes(self._pending[:_STEP])
        self._pending = self._pending[len(step) :]
        self.observer.feed(step, self._arrived)
        events = super().feed(step, len(step))
        self._busy = self.more
        self.more = self.more or (len(self._pending) > 0 and not self._over)
        return events

    def moment(self) -> Moment:
        """Now."""
        return Moment(datetime.now(UTC), monotonic() - self._began)


class InspectedConnection(Connection):
    """A connection whose peer also gets what the server saw, as messages of JSON.

    Attributes:
        handshake: the request's head and the response's, until they are reported.
    """

    __slots__ = ("handshake",)

    handshake: tuple[RequestHead, bytes]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, parser_class=ObservedParser)

    @property
    def _observed(self) -> ObservedParser:
        return cast(ObservedParser, self.session.parser)

    def write_report(self, event: Event | ProtocolViolation) -> None:
        """Send the report of what read_event has given. Raises ConnectionClosed."""
        moment, observer = self._observed.moment(), self._observed.observer
        if isinstance(event, ProtocolViolation):
            report = failure_report(moment, event, observer.broken())
        else:
            kind, payload = event
            observed = observer.whole.popleft()
            if kind in {Opcode.TEXT, Opcode.BINARY}:
                number = self.messages_in
                report = message_report(moment, number, kind, payload, observed)
            else:
                report = control_report(moment, observed.frames[0], payload)
        self.write_message(Opcode.TEXT, _as_json(report))

    def write_handshake_report(self) -> None:
        """Send the report of the opening handshake. Raises ConnectionClosed."""
        report = handshake_report(self._observed.moment(), self.id, self.peer, *self.handshake)
        del self.handshake
        self.write_message(Opcode.TEXT, _as_json(report))


def inspect(environ: Environ, policy: HandshakePolicy) -> InspectedConnection:
    """As ``upgrade``, with a connection that reports what arrives."""
    connection, head, response = switch_protocols(environ, policy, InspectedConnection)
    connection.handshake = (head, response)
    return connection


def _as_json(report: Report) -> bytes:
    return json.dumps(report, separators=(",", ":")).encode()
