"""A connection under observation: it tells its peer what arrived, frame by frame."""

import json
from datetime import UTC, datetime
from secrets import token_bytes
from time import monotonic
from typing import Any, Final, cast

from echo.inspector.allowance import ReportAllowance
from echo.inspector.frames import FrameObserver, Moment, ObservedMessage
from echo.inspector.reports import (
    Report,
    brief_control_report,
    brief_message_report,
    control_report,
    failure_report,
    handshake_report,
    message_report,
)
from echo.net.connection import Connection
from echo.net.http_handler import Environ
from echo.net.upgrade import switch_protocols
from echo.protocol.budget import BudgetShare
from echo.protocol.deflate import Inflater
from echo.protocol.errors import ProtocolViolation
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.http_head import RequestHead
from echo.protocol.messages import Event, MessageParser
from echo.protocol.rfc6455 import Opcode

#: Bytes of the key of a handshake's hashes.
_KEY_SIZE: Final = 16

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

        They must be taken before there are new ones.
        """
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

    A peer that floods it with tiny frames gets brief reports of them.

    Attributes:
        handshake: the request's head, the response's and the key by which credentials are replaced
            (None to show them), until they are reported.
    """

    __slots__ = ("_allowance", "handshake")

    handshake: tuple[RequestHead, bytes, bytes | None]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, parser_class=ObservedParser)
        self._allowance = ReportAllowance()

    @property
    def _observed(self) -> ObservedParser:
        return cast(ObservedParser, self.session.parser)

    def write_report(self, event: Event | ProtocolViolation) -> None:
        """Send the report of what read_event has given. Raises ConnectionClosed."""
        moment, observer = self._observed.moment(), self._observed.observer
        if isinstance(event, ProtocolViolation):
            self._write(failure_report(moment, event, observer.broken()))
            return
        observed = observer.whole.popleft()
        report = (
            self._message_report
            if event[0] in {Opcode.TEXT, Opcode.BINARY}
            else self._control_report
        )
        self._write(report(moment, *event, observed))

    def _message_report(
        self, moment: Moment, kind: Opcode, message: bytes, observed: ObservedMessage
    ) -> Report:
        if self._may_be_full(observed, moment):
            return message_report(moment, self.messages_in, kind, message, observed)
        return brief_message_report(self.messages_in, kind, message, observed)

    def _control_report(
        self, moment: Moment, opcode: Opcode, payload: bytes, observed: ObservedMessage
    ) -> Report:
        if self._may_be_full(observed, moment) or opcode is Opcode.CLOSE:
            return control_report(moment, observed.frames[0], payload)
        return brief_control_report(observed)

    def write_handshake_report(self) -> None:
        """Send the report of the opening handshake. Raises ConnectionClosed."""
        head, response, hash_key = self.handshake
        moment = self._observed.moment()
        report = handshake_report(moment, self.id, self.peer, head, response, hash_key=hash_key)
        del self.handshake
        self._write(report)

    def _may_be_full(self, observed: ObservedMessage, moment: Moment) -> bool:
        """Whether the report of what has arrived may be a full one."""
        return self._allowance.earn(observed.count, observed.size, moment.elapsed)

    def _write(self, report: Report) -> None:
        payload = json.dumps(report, separators=(",", ":")).encode()
        self._allowance.spend(len(payload))
        self.write_message(Opcode.TEXT, payload)


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
