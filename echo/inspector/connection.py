"""A connection under observation: it tells its peer what arrived, frame by frame."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from secrets import token_bytes
from time import monotonic
from typing import Final, cast

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
from echo.net.http import Environ
from echo.net.upgrade import Upgraded, upgraded
from echo.protocol.budget import BudgetShare
from echo.protocol.deflate import Inflater
from echo.protocol.errors import ProtocolViolation
from echo.protocol.handshake import HandshakePolicy
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


class Inspector:
    """Reports to a client what the server sees of its connection, as messages of JSON.

    A client that floods it with tiny frames gets brief reports of them.
    """

    def __init__(
        self, upgraded: Upgraded, parser: ObservedParser, *, show_credentials: bool
    ) -> None:
        """``parser``: the connection's."""
        self.connection, self._head, self._response = upgraded
        self._parser = parser
        self._hash_key = None if show_credentials else token_bytes(_KEY_SIZE)
        self._allowance = ReportAllowance()

    def write_handshake_report(self) -> None:
        """Send the report of the opening handshake. Raises ConnectionClosed."""
        connection = self.connection
        self._write(
            handshake_report(
                self._parser.moment(),
                connection.id,
                connection.peer,
                self._head,
                self._response,
                hash_key=self._hash_key,
            )
        )

    def write_report(self, event: Event | ProtocolViolation) -> None:
        """Send the report of what read_event has given. Raises ConnectionClosed."""
        moment, observer = self._parser.moment(), self._parser.observer
        if isinstance(event, ProtocolViolation):
            self._write(failure_report(moment, event, observer.broken()))
            return
        observed = observer.whole.popleft()
        is_data = event[0] in {Opcode.TEXT, Opcode.BINARY}
        report = self._message_report if is_data else self._control_report
        self._write(report(moment, *event, observed))

    def _message_report(
        self, moment: Moment, kind: Opcode, message: bytes, observed: ObservedMessage
    ) -> Report:
        number = self.connection.messages_in
        if self._may_be_full(observed, moment):
            return message_report(moment, number, kind, message, observed)
        return brief_message_report(number, kind, message, observed)

    def _control_report(
        self, moment: Moment, opcode: Opcode, payload: bytes, observed: ObservedMessage
    ) -> Report:
        if self._may_be_full(observed, moment) or opcode is Opcode.CLOSE:
            return control_report(moment, observed.frames[0], payload)
        return brief_control_report(observed)

    def _may_be_full(self, observed: ObservedMessage, moment: Moment) -> bool:
        """Whether the report of what has arrived may be a full one."""
        return self._allowance.earn(observed.count, observed.size, moment.elapsed)

    def _write(self, report: Report) -> None:
        payload = json.dumps(report, separators=(",", ":")).encode()
        self._allowance.spend(len(payload))
        self.connection.write_message(Opcode.TEXT, payload)


@contextmanager
def inspect(
    environ: Environ, policy: HandshakePolicy, *, show_credentials: bool = False
) -> Iterator[Inspector]:
    """Answer the opening handshake as ``upgrade`` does, and inspect its WebSocket.

    ``show_credentials``: whether the report of the handshake has the values of cookies, tokens and
    keys, or their lengths and hashes. Raises as ``upgrade``.
    """
    handshake = upgraded(environ, policy, ObservedParser)
    with handshake.connection as connection:
        parser = cast(ObservedParser, connection.session.parser)
        yield Inspector(handshake, parser, show_credentials=show_credentials)
