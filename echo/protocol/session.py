"""One WebSocket after its opening handshake, in both directions, without I/O.

RFC 6455, sections 5 to 7: a Session is given the bytes that arrive and gives the bytes to send. It
answers pings, takes part in the closing handshake and fails the connection when the peer breaks a
rule. Whoever owns the socket moves the bytes and closes TCP: see echo/net/connection.py.
"""

from collections.abc import Iterable, Iterator
from enum import Enum, auto
from time import monotonic
from typing import Final

from echo.protocol.budget import BudgetShare
from echo.protocol.deflate import Deflater, PerMessageDeflate
from echo.protocol.errors import (
    Cause,
    ClosedByPeer,
    ClosedByServer,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionLost,
    ProtocolViolation,
)
from echo.protocol.frames import Close, Frame, serialize_header
from echo.protocol.messages import BINARY, TEXT, Event, MessageParser
from echo.protocol.rfc6455 import LENGTH_16, MAX_CONTROL_PAYLOAD, RSV1, Opcode

#: Headers of unmasked messages in one short frame, by payload length: most messages are short.
SHORT_TEXT: Final = [serialize_header(TEXT, length) for length in range(LENGTH_16)]
SHORT_BINARY: Final = [serialize_header(BINARY, length) for length in range(LENGTH_16)]


class State(Enum):
    """The states of a WebSocket whose opening handshake is done."""

    OPEN = auto()
    #: This side has sent a close frame and waits for the peer's.
    CLOSING = auto()
    #: Nothing more is read. What is still queued, such as a close frame, can be sent.
    CLOSED = auto()


#: The events of a receive that brought none.
_NONE: Final[Iterator[Event]] = iter(())

#: Looked up for every receive, which members of an enumeration are slow at.
_OPEN: Final = State.OPEN


class Session:
    """The server's side of a WebSocket.

    Nothing here raises for what a peer sends: a broken rule becomes ``failure``, an end of the
    connection becomes ``ended``. Once it has ended, send_message and ping raise ``ended``.

    Attributes:
        state: OPEN, CLOSING or CLOSED.
        ended: how the connection ended; None while it is open.
        events: the messages and control frames that have arrived and were not taken, in order; a
            control frame must be passed to ``respond``, a failure of the parser to ``fail``.
        parser: turns the bytes that arrive into events.
        deflater: compresses what is sent; None without permessage-deflate.
        share: counts the memory that the connection holds.
        messages_out: data messages queued so far.
        queue: the bytes to send, in pieces; data_to_send takes them.
        queued: payload bytes queued since data_to_send was last called.
        last_round_trip: seconds from the last answered ping to its pong; None before.
    """

    __slots__ = (
        "_ping",
        "deflater",
        "ended",
        "events",
        "last_round_trip",
        "messages_out",
        "parser",
        "queue",
        "queued",
        "share",
        "state",
    )

    def __init__(
        self, parser: MessageParser, share: BudgetShare, deflate: PerMessageDeflate | None = None
    ) -> None:
        self.state = State.OPEN
        self.ended: ConnectionClosed | None = None
        self.parser = parser
        self.share = share
        self.deflater = None if deflate is None else deflate.deflater
        self.messages_out = 0
        self.last_round_trip: float | None = None
        self.events = _NONE
        self.queue: list[bytes] = []
        self.queued = 0
        # The payload of the last unanswered ping, and when it was queued.
        self._ping: tuple[bytes, float] | None = None

    # ---- What arrives

    def receive(self, data: bytes | bytearray, size: int) -> None:
        """Take ``data[:size]``, without keeping a reference to ``data``.

        The events before must have been taken. While CLOSING, everything up to
        the peer's close frame is discarded (section 1.4).
        """
        events = self.parser.feed(data, size)
        if self.state is _OPEN:
            self.events = iter(events) if events else _NONE
        else:
            self._look_for_close(events)

    def receive_eof(self) -> ConnectionLost:
        """Take the end of the peer's stream; returns what it means unless this side is CLOSING."""
        where = "between messages" if self.parser.idle else "in the middle of a message"
        reason = f"end of stream {where}, without a close frame"
        lost = ConnectionLost(reason, Cause.END_OF_STREAM)
        self.lose(lost)
        return lost

    def respond(self, opcode: Opcode, payload: bytes) -> None:
        """Do what a control frame asks for (section 5.5)."""
        if opcode is Opcode.PING:
            self.queue.append(Frame(Opcode.PONG, payload).serialize())
        elif opcode is Opcode.PONG:
            if self._ping is not None and payload == self._ping[0]:
                self.last_round_trip = monotonic() - self._ping[1]
                self._ping = None
        elif opcode is Opcode.CLOSE:
            # 5.5.1. A close frame is answered with one that has the same code
            close = Close.parse(payload)
            self._end(ClosedByPeer(close.code, close.reason), Close(close.code))
            self.stop()

    # ---- What is sent

    def send_message(self, kind: Opcode, message: bytes) -> int:
        """Queue a message of the kind Opcode.TEXT (then it is UTF-8) or BINARY, as one frame.

        Returns ``queued``. Raises ConnectionClosed.
        """
        if self.ended is not None:
            raise self.ended
        size = len(message)
        if size < LENGTH_16:
            header = (SHORT_TEXT if kind is TEXT else SHORT_BINARY)[size]
        else:
            header = serialize_header(kind, size)
        queue = self.queue
        queue.append(header)
        queue.append(message)
        self.messages_out += 1
        self.queued = queued = self.queued + size
        return queued

    def deflate_message(self, deflater: Deflater, kind: Opcode, message: bytes) -> Iterator[None]:
        """As send_message, compressed where that makes it smaller (RFC 7692, section 7.2.1).

        Yields between the steps of the work, which end with the message in the queue.
        """
        if self.ended is not None:
            raise self.ended
        pieces: list[bytes] = []
        for piece in deflater.deflate(message):
            if pieces:
                yield
            pieces.append(piece)
        size = sum(map(len, pieces))
        if not deflater.must_send(size, len(message)):
            self.send_message(kind, message)
            return
        self.queue.append(serialize_header(kind, size, rsv=RSV1))
        self.queue += pieces
        self.messages_out += 1
        self.queued += size

    def ping(self, payload: bytes = b"") -> None:
        """Queue a ping (section 5.5.2).

        Raises ValueError for a payload above 125 bytes, and ConnectionClosed.
        """
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a ping carries at most {MAX_CONTROL_PAYLOAD} bytes")
        if self.ended is not None:
            raise self.ended
        self.queue.append(Frame(Opcode.PING, payload).serialize())
        self._ping = (payload, monotonic())

    def data_to_send(self) -> list[bytes]:
        """The bytes to send now, in pieces; the caller owns the list."""
        queue = self.queue
        self.queue = []
        self.queued = 0
        return queue

    # ---- The end

    def close(self, end: ClosedByServer) -> None:
        """Start the closing handshake (section 7.1.2). Does nothing when it has ended.

        Raises ValueError for a code that may not be sent.
        """
        if self.ended is None:
            self._end(end, Close(end.code, end.reason))
            self.state = State.CLOSING
            self._look_for_close(self.events)

    def fail(self, violation: ProtocolViolation) -> ConnectionFailed:
        """Fail the WebSocket Connection (section 7.1.7): a close frame, and nothing is read.

        Returns how the connection ended, caused by ``violation``.
        """
        failed = ConnectionFailed(violation)
        failed.__cause__ = violation
        self._end(failed, Close(violation.code, violation.reason))
        self.stop()
        return failed

    def lose(self, lost: ConnectionLost) -> None:
        """The TCP connection is gone, or given up: nothing more can be sent."""
        if self.ended is None:
            self.ended = lost
        self.queue = []
        self.stop()

    def stop(self) -> None:
        """Read nothing more, and discard the events not taken and the unfinished message."""
        self.state = State.CLOSED
        self.events = _NONE
        self.parser.discard()

    def _end(self, ended: ConnectionClosed, close: Close) -> None:
        self.queue.append(Frame(Opcode.CLOSE, close.serialize()).serialize())
        self.ended = ended

    def _look_for_close(self, events: Iterable[Event]) -> None:
        """End the closing handshake at the peer's close frame, or where it breaks a rule."""
        if any(kind is Opcode.CLOSE for kind, _ in events) or self.parser.failure is not None:
            self.stop()
