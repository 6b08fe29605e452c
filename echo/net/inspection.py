"""A connection under observation: it tells its peer what arrived, frame by frame."""

import json
from datetime import UTC, datetime
from time import monotonic
from typing import Final, NoReturn

from echo.net.connection import Connection
from echo.net.http_handler import Environ
from echo.net.upgrade import switch_protocols
from echo.protocol.deflate import Inflater
from echo.protocol.errors import ProtocolViolation
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.http_head import RequestHead
from echo.protocol.messages import Event, MessageParser
from echo.protocol.observer import FrameObserver, Moment
from echo.protocol.partial_message import ReceiveBudget
from echo.protocol.reports import (
    Report,
    control_report,
    failure_report,
    handshake_report,
    message_report,
)
from echo.protocol.rfc6455 import Opcode

#: Bytes that are parsed at a time. A frame costs a report, fifty times the work of an echo.
_STEP: Final = 1024


class ObservedParser(MessageParser):
    """A parser that takes small steps, and an observer that sees what it sees.

    Attributes:
        observer: what has arrived as far as it was parsed.
    """

    __slots__ = ("_began", "_busy", "_pending", "observer")

    def __init__(
        self, max_message_size: int, budget: ReceiveBudget, inflater: Inflater | None, began: float
    ) -> None:
        """As MessageParser; ``began``: when the connection did, by the monotonic clock."""
        super().__init__(max_message_size, budget, inflater)
        self.observer = FrameObserver()
        self._began = began
        self._pending = b""
        # Whether the parser itself has kept back what it took.
        self._busy = False

    def feed(self, data: bytes | bytearray, size: int) -> list[Event]:
        """As MessageParser.feed, of a step's bytes; ``more`` says that there are others."""
        self._pending += data[:size]
        step = b"" if self._busy else self._pending[:_STEP]
        self._pending = self._pending[len(step) :]
        self.observer.feed(step, self.moment())
        events = super().feed(step, len(step))
        self._busy = self.more
        self.more = self.more or (bool(self._pending) and not self._over)
        return events

    def moment(self) -> Moment:
        """Now."""
        return Moment(datetime.now(UTC), monotonic() - self._began)


class InspectedConnection(Connection):
    """A connection whose peer also gets what the server saw, as messages of JSON.

    Control frames and violations are reported on their own; for messages, see write_report.
    """

    __slots__ = ("_observed",)

    _observed: ObservedParser

    def write_report(self, kind: Opcode, message: bytes) -> None:
        """Send the report of the message that read_message has given. Raises ConnectionClosed."""
        observed = self._observed.observer.whole.popleft()
        number = self.messages_in
        self._write(message_report(self._observed.moment(), number, kind, message, observed))

    def write_handshake_report(self, head: RequestHead, response: bytes) -> None:
        """Send the report of the opening handshake. Raises ConnectionClosed."""
        moment = self._observed.moment()
        self._write(handshake_report(moment, self.id, self.peer, head, response))

    def _write(self, report: Report) -> None:
        self.write_message(Opcode.TEXT, json.dumps(report, separators=(",", ":")).encode())

    def _make_parser(self, budget: ReceiveBudget, inflater: Inflater | None) -> MessageParser:
        self._observed = ObservedParser(self._limits.max_message_size, budget, inflater, self.began)
        return self._observed

    def _take_control_frame(self, opcode: Opcode, payload: bytes) -> None:
        (frame,) = self._observed.observer.whole.popleft().frames
        self._write(control_report(self._observed.moment(), frame, payload))
        super()._take_control_frame(opcode, payload)

    def _fail(self, violation: ProtocolViolation) -> NoReturn:
        broken = self._observed.observer.broken()
        self._write(failure_report(self._observed.moment(), violation, broken))
        super()._fail(violation)


def inspect(environ: Environ, policy: HandshakePolicy) -> InspectedConnection:
    """As ``upgrade``, with a connection that reports what arrives, the handshake first."""
    connection, head, response = switch_protocols(environ, policy, InspectedConnection)
    connection.write_handshake_report(head, response)
    return connection
