"""A connection under observation: it tells its peer what arrived, frame by frame."""

import json
from datetime import UTC, datetime
from secrets import token_bytes
from time import monotonic
from typing import Final, NoReturn

from echo.net.connection import Connection
from echo.net.http_handler import Environ
from echo.net.upgrade import switch_protocols
from echo.protocol.allowance import ReportAllowance
from echo.protocol.deflate import Inflater
from echo.protocol.errors import ConnectionClosed, ProtocolViolation
from echo.protocol.frames import Close, serialize_header
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.http_head import RequestHead
from echo.protocol.messages import Event, MessageParser
from echo.protocol.observer import FrameObserver, Moment, ObservedMessage
from echo.protocol.partial_message import ReceiveBudget
from echo.protocol.reports import (
    Report,
    brief_control_report,
    brief_message_report,
    control_report,
    failure_report,
    handshake_report,
    message_report,
)
from echo.protocol.rfc6455 import Opcode

#: Bytes of the key of a handshake's hashes.
_KEY_SIZE: Final = 16

#: Bytes that are parsed at a time. A frame costs a report, fifty times the work of an echo.
_STEP: Final = 512


class ObservedParser(MessageParser):
    """A parser that takes small steps, and an observer that sees what it sees.

    Attributes:
        observer: has what has arrived as far as it was parsed; None when nobody looks any more.
    """

    __slots__ = ("_arrived", "_began", "_busy", "_pending", "observer")

    def __init__(
        self, max_message_size: int, budget: ReceiveBudget, inflater: Inflater | None, began: float
    ) -> None:
        """As MessageParser; ``began``: when the connection did, by the monotonic clock."""
        super().__init__(max_message_size, budget, inflater)
        self.observer: FrameObserver | None = FrameObserver()
        self._began = began
        self._pending = memoryview(b"")
        self._arrived = self.moment()
        # Whether the parser itself has kept back what it took.
        self._busy = False

    def feed(self, data: bytes | bytearray, size: int) -> list[Event]:
        """As MessageParser.feed, of a step's bytes; ``more`` says that there are others.

        They must be taken before there are new ones.
        """
        if size:
            self._pending = memoryview(bytes(data[:size]))
            self._arrived = self.moment()
        step = b"" if self._busy else bytes(self._pending[:_STEP])
        self._pending = self._pending[len(step) :]
        if self.observer is not None:
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

    Control frames and violations are reported on their own; for the handshake and for messages,
    see write_handshake_report and write_report. A peer that floods it with tiny frames gets brief
    reports of them.

    Attributes:
        handshake: the request's head, the response's and the key by which credentials are replaced
            (None to show them), until they are reported.
    """

    __slots__ = ("_allowance", "_observed", "handshake")

    _allowance: ReportAllowance
    _observed: ObservedParser
    handshake: tuple[RequestHead, bytes, bytes | None]

    def write_report(self, kind: Opcode, message: bytes) -> None:
        """Send the report of the message that read_message has given. Raises ConnectionClosed."""
        observer = self._observed.observer
        if observer is not None:
            observed = observer.whole.popleft()
            moment = self._observed.moment()
            if self._may_be_full(observed, moment):
                report = message_report(moment, self.messages_in, kind, message, observed)
            else:
                report = brief_message_report(self.messages_in, kind, message, observed)
            self.write_message(Opcode.TEXT, self._spend(report))

    def write_handshake_report(self) -> None:
        """Send the report of the opening handshake. Raises ConnectionClosed."""
        head, response, hash_key = self.handshake
        moment = self._observed.moment()
        report = handshake_report(moment, self.id, self.peer, head, response, hash_key=hash_key)
        del self.handshake
        self.write_message(Opcode.TEXT, self._spend(report))

    def _queue_report(self, report: Report) -> None:
        """Queue a report in front of what is written next; it does not wait for the peer."""
        payload = self._spend(report)
        self._queue += (serialize_header(Opcode.TEXT, len(payload)), payload)
        self.messages_out += 1

    def _may_be_full(self, observed: ObservedMessage, moment: Moment) -> bool:
        """Whether the report of what has arrived may be a full one."""
        return self._allowance.earn(observed.count, observed.size, moment.elapsed)

    def _spend(self, report: Report) -> bytes:
        """A report as it is sent."""
        payload = json.dumps(report, separators=(",", ":")).encode()
        self._allowance.spend(len(payload))
        return payload

    def _make_parser(self, budget: ReceiveBudget, inflater: Inflater | None) -> MessageParser:
        self._allowance = ReportAllowance()
        self._observed = ObservedParser(self._limits.max_message_size, budget, inflater, self.began)
        return self._observed

    def _take_control_frame(self, opcode: Opcode, payload: bytes) -> None:
        if self._observed.observer is not None:
            observed = self._observed.observer.whole.popleft()
            moment = self._observed.moment()
            if self._may_be_full(observed, moment) or opcode is Opcode.CLOSE:
                report = control_report(moment, observed.frames[0], payload)
            else:
                report = brief_control_report(observed)
            self._queue_report(report)
        super()._take_control_frame(opcode, payload)

    def _fail(self, violation: ProtocolViolation) -> NoReturn:
        if self._observed.observer is not None:
            broken = self._observed.observer.broken()
            self._queue_report(failure_report(self._observed.moment(), violation, broken))
        super()._fail(violation)

    def _end(
        self, ended: ConnectionClosed, close: Close, timeout: float | None = None
    ) -> ConnectionClosed:
        # What comes from now on is thrown away, and nobody would take it from the observer.
        self._observed.observer = None
        return super()._end(ended, close, timeout)


def inspect(
    environ: Environ, policy: HandshakePolicy, *, show_credentials: bool = False
) -> InspectedConnection:
    """As ``upgrade``, with a connection that reports what arrives.

    ``show_credentials``: whether the report of the handshake has the values of cookies, tokens and
    keys, or their lengths and hashes.
    """
    connection, head, response = switch_protocols(environ, policy, InspectedConnection)
    key = None if show_credentials else token_bytes(_KEY_SIZE)
    connection.handshake = (head, response, key)
    return connection
