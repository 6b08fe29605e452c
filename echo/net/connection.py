"""One WebSocket, from the 101 response to its end: blocking calls for one greenlet."""

from collections.abc import Iterator
from time import monotonic
from types import TracebackType
from typing import Final, NoReturn, Self

from gevent import GreenletExit

from echo.net.channel import Channel, Interrupted, receive_buffer
from echo.net.limits import Limits
from echo.protocol.deflate import Deflater, Inflater, PerMessageDeflate
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
from echo.protocol.partial_message import ReceiveBudget
from echo.protocol.rfc6455 import LENGTH_16, MAX_CONTROL_PAYLOAD, RSV1, CloseCode, Opcode
from echo.protocol.tally import round_trips, tally_of

#: Seconds for the closing handshake of a connection whose greenlet is killed.
_KILLED_CLOSE_TIMEOUT: Final = 1.0

#: Bytes of answers that may wait for the next flush; with more, write_message flushes at once.
FLUSH_SIZE: Final = 64 * 1024

#: The headers of unmasked messages of one short frame, by their length: of most that there are.
_SHORT_TEXT: Final = [serialize_header(TEXT, length) for length in range(LENGTH_16)]
_SHORT_BINARY: Final = [serialize_header(BINARY, length) for length in range(LENGTH_16)]


class Connection:
    """A WebSocket whose opening handshake is done.

    read_message, write_message, ping and close block the calling greenlet and no other. They belong
    to the greenlet that made the Connection: no other greenlet and no thread may call them. Other
    greenlets of the same thread may call ping_soon and close_soon, which ask the owner to write:
    only the owner ever does, so no frame can land inside another. Once the connection is over, all
    but close raise the ConnectionClosed that ``ended`` holds.

    What is written is queued, in order, and is on its way before read_message waits for the peer:
    the answers to all messages that one receive brought leave in one system call. A queue above
    FLUSH_SIZE leaves at once, so a peer that does not read stops its own connection, and only it:
    queued for it are FLUSH_SIZE and one message, read from it is one receive.

    As a context manager it closes with 1000 at the end of the block, with 1011 after an exception
    and with 1001 when its greenlet is killed. Its own ConnectionClosed ends the block quietly, as
    that is how a loop around read_message ends.

    Attributes:
        id: what it is called by, unlike any other connection's.
        path: of the request that it began with.
        peer: the peer's address, ``host:port``, or the host alone as a trusted proxy says it.
        subprotocol: the one that was negotiated, or None.
        ended: how the connection ended; None while it lives.
        heard: set whenever bytes arrive; whoever watches the connection clears it.
        pinged: whether the ping that was asked for by ping_soon has been written.
        last_round_trip: seconds from the last ping that was answered to its pong; None before.
        began: when it began, by the monotonic clock.
        messages_in, messages_out, bytes_in, bytes_out: data messages so far, and bytes on the wire.
    """

    __slots__ = (
        "_channel",
        "_close_request",
        "_deflater",
        "_events",
        "_kind",
        "_limits",
        "_parser",
        "_ping",
        "_ping_request",
        "_queue",
        "_queued",
        "_short_headers",
        "_tallied",
        "_tally",
        "began",
        "bytes_in",
        "bytes_out",
        "ended",
        "heard",
        "id",
        "last_round_trip",
        "messages_in",
        "messages_out",
        "path",
        "peer",
        "pinged",
        "subprotocol",
    )

    def __init__(
        self,
        channel: Channel,
        *,
        peer: str,
        limits: Limits,
        budget: ReceiveBudget,
        connection_id: str = "",
        path: str = "",
        subprotocol: str | None = None,
        deflate: PerMessageDeflate | None = None,
        received: bytes = b"",
    ) -> None:
        """``deflate``: the extension, where it is negotiated; ``received``: what already came
        behind the opening handshake.
        """
        self.id = connection_id
        self.path = path
        self.peer = peer
        self.subprotocol = subprotocol
        self.ended: ConnectionClosed | None = None
        self.heard = True
        self.pinged = False
        self.last_round_trip: float | None = None
        self.began = monotonic()
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self._channel = channel
        self._limits = limits
        self._close_request: ClosedByServer | None = None
        self._ping_request = False
        # The payload of the last ping, and when it was sent.
        self._ping = (b"", 0.0)
        self._queue: list[bytes] = []
        self._queued = 0
        # The kind of the last message that was written, its headers, where its kind is counted,
        # and how many messages are.
        self._kind = TEXT
        self._short_headers = _SHORT_TEXT
        self._tally = tally_of(TEXT)
        self._tallied = 0
        self._deflater = None if deflate is None else deflate.deflater
        self._parser = self._make_parser(budget, None if deflate is None else deflate.inflater)
        self._events: Iterator[Event] = iter(())
        self._take(received, len(received))

    def read_message(self) -> Event:
        """Wait for the next message: its kind, Opcode.TEXT or BINARY, and its payload.

        Answers pings and ignores pongs meanwhile (RFC 6455, sections 5.5.2 and 5.5.3). Raises
        ConnectionClosed, in the subclass that says how the connection ended.
        """
        while True:
            for event in self._events:
                kind = event[0]
                if kind is BINARY or kind is TEXT:
                    self.messages_in += 1
                    return event
                self._take_control_frame(*event)
            self._receive()

    def write_message(self, kind: Opcode, message: bytes) -> None:
        """Send a message of the kind Opcode.TEXT (then it is UTF-8) or BINARY, as one frame.

        Raises ConnectionClosed.
        """
        if self.ended is not None:
            raise self.ended
        if kind is not self._kind:
            self._turn_to(kind)
        size = len(message)
        if self._deflater is not None and self._deflater.wants(size):
            header, message = self._deflate(self._deflater, kind, message)
            tally_of(kind).sent_bytes += size - len(message)
            size = len(message)
        elif size < LENGTH_16:
            header = self._short_headers[size]
        else:
            header = serialize_header(kind, size)
        queue = self._queue
        queue.append(header)
        queue.append(message)
        self.messages_out += 1
        self._queued = queued = self._queued + size
        if queued > FLUSH_SIZE:
            self._flush()

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping (section 5.5.2).

        Raises ValueError for a payload above 125 bytes, and ConnectionClosed.
        """
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a ping carries at most {MAX_CONTROL_PAYLOAD} bytes")
        if self.ended is not None:
            raise self.ended
        self._queue.append(Frame(Opcode.PING, payload).serialize())
        self._ping = (payload, monotonic())
        self._flush()

    def ping_soon(self) -> None:
        """Ask the owner to send a ping. May be called by any greenlet of the thread."""
        if self.ended is None:
            self._ping_request = True
            self.pinged = False
            self._channel.interrupt()

    def has_input(self) -> bool:
        """Whether bytes have arrived that were not read yet. May be called by any greenlet."""
        return self._channel.has_input()

    def close(
        self,
        code: int = CloseCode.NORMAL_CLOSURE,
        reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """Close the connection: the closing handshake, then TCP (sections 7.1.1 and 7.1.2).

        Waits for the peer, at most ``timeout`` seconds (by default Limits.close_timeout); cuts a
        reason above 123 bytes. Does nothing when the connection is over. Raises ValueError for a
        code that may not be sent.
        """
        self._close(ClosedByServer(code, reason), timeout)

    def close_soon(self, end: ClosedByServer) -> None:
        """Ask the owner to close, behind what it is writing. May be called by any greenlet.

        ``end``: how, made for this connection alone: it will be raised.
        """
        if self.ended is None:
            self._close_request = end
            self._channel.interrupt()

    def go_away_soon(self) -> None:
        """As close_soon, since the server stops (section 7.4.1: 1001)."""
        self.close_soon(_going_away())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            if error is None:
                self.close()
            elif isinstance(error, GreenletExit):
                self._close(_going_away(), _KILLED_CLOSE_TIMEOUT)
            else:
                self._close(_internal_error())
        finally:
            self._channel.close()
            if self.ended is not None:
                # Its frames know this connection, which would be left to the collector.
                self.ended.with_traceback(None).__context__ = None
        return error is not None and error is self.ended

    def abandon(self) -> None:
        """Give up a connection that nobody owns any more, without a word to the peer."""
        if self.ended is None:
            self.ended = ConnectionLost("cut off by the server", Cause.SHUTDOWN)
            self._let_go()
            self._channel.close()

    def _make_parser(self, budget: ReceiveBudget, inflater: Inflater | None) -> MessageParser:
        """The parser of what arrives; called once."""
        return MessageParser(self._limits.max_message_size, budget, inflater)

    def _receive(self) -> None:
        """Write what is queued, wait for bytes and parse them."""
        if self.ended is not None:
            raise self.ended
        if self._queue:
            self._flush()
        parser = self._parser
        if parser.held:
            parser.give_back()
        if parser.failure is not None:
            self._fail(parser.failure)
        if parser.more:
            self._channel.give_way()
            self._take(b"", 0)
            return
        try:
            size = self._channel.receive()
        except Interrupted:
            self._take_requests()
            return
        except OSError as error:
            self._lose(ConnectionLost.after(error))
        if not size:
            where = "between messages" if parser.idle else "in the middle of a message"
            reason = f"end of stream {where}, without a close frame"
            self._lose(ConnectionLost(reason, Cause.END_OF_STREAM))
        self._take(receive_buffer, size)

    def _take(self, data: bytes | bytearray, size: int) -> None:
        """Parse ``data[:size]``."""
        self.heard = True
        self.bytes_in += size
        self._events = iter(self._parser.feed(data, size))

    def _flush(self) -> None:
        """Write what is queued."""
        # As _count does, whose call would cost as much.
        tally = self._tally
        tally.sent += self.messages_out - self._tallied
        tally.sent_bytes += self._queued
        self._tallied = self.messages_out
        queue = self._queue
        self._queue = []
        self._queued = 0
        try:
            self.bytes_out += self._channel.send(queue, self._limits.write_timeout)
        except OSError as error:
            self._lose(ConnectionLost.after(error))

    def _count(self) -> None:
        """Count the messages of the queue, which are of one kind but for what _turn_to counted."""
        tally = self._tally
        tally.sent += self.messages_out - self._tallied
        tally.sent_bytes += self._queued
        self._tallied = self.messages_out

    def _turn_to(self, kind: Opcode) -> None:
        """Count what is queued, since messages of another kind come behind it."""
        self._count()
        self._kind = kind
        self._short_headers = _SHORT_BINARY if kind is BINARY else _SHORT_TEXT
        self._tally = tally_of(kind)
        # What is queued by now will be counted again.
        self._tally.sent_bytes -= self._queued

    def _take_control_frame(self, opcode: Opcode, payload: bytes) -> None:
        """Do what a control frame asks for (section 5.5)."""
        if opcode is Opcode.PING:
            self._queue.append(Frame(Opcode.PONG, payload).serialize())
        elif opcode is Opcode.PONG:
            sent, moment = self._ping
            if moment and payload == sent:
                self.last_round_trip = monotonic() - moment
                round_trips.add(round(self.last_round_trip * 1e6))
                self._ping = (b"", 0.0)
        elif opcode is Opcode.CLOSE:
            # 5.5.1. A close frame is answered with one that has the same code
            close = Close.parse(payload)
            raise self._end(ClosedByPeer(close.code, close.reason), Close(close.code))

    def _take_requests(self) -> None:
        """Do what other greenlets have asked for."""
        if self._close_request is not None:
            self._close(self._close_request)
        elif self._ping_request:
            self._ping_request = False
            self.ping()
            self.pinged = True

    def _deflate(self, deflater: Deflater, kind: Opcode, message: bytes) -> tuple[bytes, bytes]:
        """Compress a message; returns its frame's header and payload (RFC 7692, section 7.2.1).

        What takes several steps gives way between them.
        """
        pieces: list[bytes] = []
        for piece in deflater.deflate(message):
            if pieces:
                self._channel.give_way()
            pieces.append(piece)
        size = sum(map(len, pieces))
        if deflater.must_send(size, len(message)):
            return serialize_header(kind, size, rsv=RSV1), b"".join(pieces)
        return serialize_header(kind, len(message)), message

    def _fail(self, violation: ProtocolViolation) -> NoReturn:
        """7.1.7. Fail the WebSocket Connection."""
        ended = ConnectionFailed(violation)
        raise self._end(ended, Close(violation.code, violation.reason)) from violation

    def _lose(self, ended: ConnectionLost) -> NoReturn:
        """The TCP connection is gone, or as good as gone."""
        self.ended = ended
        self._let_go()
        self._channel.close()
        raise ended

    def _close(self, ended: ClosedByServer, timeout: float | None = None) -> None:
        """Begin the closing handshake, unless the connection is over."""
        if self.ended is None:
            self._end(ended, Close(ended.code, ended.reason), timeout)

    def _end(
        self, ended: ConnectionClosed, close: Close, timeout: float | None = None
    ) -> ConnectionClosed:
        """Send the last frame behind everything queued, and close TCP (section 7.1.1).

        Only the one who closes in good order waits for the peer's close frame. Returns how the
        connection ended.
        """
        self._count()
        self._queued = 0
        last = Frame(Opcode.CLOSE, close.serialize()).serialize()
        timeout = self._limits.close_timeout if timeout is None else timeout
        promised = bool(self._queue)
        self._queue.append(last)
        self.ended = ended
        if not isinstance(ended, ClosedByServer):
            self._let_go()
        deadline = monotonic() + timeout
        try:
            self.bytes_out += self._channel.send(self._queue, timeout)
            if isinstance(ended, ClosedByServer):
                self._await_close_frame(deadline)
        except OSError as error:
            self._channel.close()
            if promised and isinstance(ended, ClosedByPeer):
                # Answers were on their way that the peer cannot have got.
                self.ended = ended = ConnectionLost.after(error)
        else:
            self._let_go()
            self._channel.finish(deadline - monotonic())
        finally:
            self._let_go()
        return ended

    def _let_go(self) -> None:
        """Forget what has come and was not given."""
        self._events = iter(())
        self._parser.discard()

    def _await_close_frame(self, deadline: float) -> None:
        """Read on until the peer's close frame, throwing away what comes before it."""
        while all(opcode is not Opcode.CLOSE for opcode, _ in self._events):
            left = deadline - monotonic()
            if self._parser.failure is not None or left <= 0:
                return
            if self._parser.more:
                self._channel.give_way()
                self._take(b"", 0)
                continue
            size = self._channel.receive(left, interruptible=False)
            if not size:
                return
            self._take(receive_buffer, size)


def _internal_error() -> ClosedByServer:
    """How a connection ends when the service itself fails."""
    return ClosedByServer(CloseCode.INTERNAL_ERROR, "internal error", Cause.INTERNAL_ERROR)


def _going_away() -> ClosedByServer:
    """How a connection ends when the server stops."""
    return ClosedByServer(CloseCode.GOING_AWAY, "going away", Cause.SHUTDOWN)
