"""One WebSocket, from the 101 response to its end: blocking calls for one greenlet."""

from collections.abc import Iterator
from time import monotonic
from types import TracebackType
from typing import Final, NoReturn, Self

from gevent import GreenletExit

from echo.net.channel import Channel, receive_buffer
from echo.protocol.errors import (
    ClosedByPeer,
    ClosedByServer,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionLost,
    ProtocolViolation,
)
from echo.protocol.frames import Close, Frame, serialize_header
from echo.protocol.messages import Event, MessageParser
from echo.protocol.rfc6455 import LENGTH_16, MAX_CONTROL_PAYLOAD, CloseCode, Opcode

#: Seconds that the closing handshake may take: from our close frame to the peer's end of stream.
CLOSE_TIMEOUT: Final = 10.0

#: The same for a connection whose greenlet is killed, since the process is about to end.
_KILLED_CLOSE_TIMEOUT: Final = 1.0

#: Bytes of answers that may wait for the next flush; with more, write_message flushes at once.
FLUSH_SIZE: Final = 64 * 1024

#: The headers of unmasked short messages, by opcode and length: of most messages that there are.
_SHORT_HEADERS: Final = {
    opcode: [serialize_header(opcode, length) for length in range(LENGTH_16)]
    for opcode in (Opcode.TEXT, Opcode.BINARY)
}


class Connection:
    """A WebSocket whose opening handshake is done.

    read_message, write_message, ping and close block the calling greenlet and no other. They belong
    to the greenlet that made the Connection: no other greenlet and no thread may call them. Once
    the connection is over, all but close raise the ConnectionClosed that ``ended`` holds.

    What is written is queued, in order, and is on its way before read_message waits for the peer:
    the answers to all messages that one receive brought leave in one system call. A queue above
    FLUSH_SIZE leaves at once, so a peer that does not read stops its own connection, and only it.

    As a context manager it closes with 1000 at the end of the block, with 1011 after an exception
    and with 1001 when its greenlet is killed. Its own ConnectionClosed ends the block quietly, as
    that is how a loop around read_message ends.

    Attributes:
        peer: the peer's address, ``host:port``.
        subprotocol: the one that was negotiated, or None.
        ended: how the connection ended; None while it lives.
    """

    __slots__ = (
        "_channel",
        "_events",
        "_parser",
        "_queue",
        "_queued",
        "ended",
        "peer",
        "subprotocol",
    )

    def __init__(
        self,
        channel: Channel,
        *,
        peer: str,
        max_message_size: int,
        subprotocol: str | None = None,
        received: bytes = b"",
    ) -> None:
        """``max_message_size`` in bytes; ``received``: what already came behind the handshake."""
        self.peer = peer
        self.subprotocol = subprotocol
        self.ended: ConnectionClosed | None = None
        self._channel = channel
        self._parser = MessageParser(max_message_size)
        self._events: Iterator[Event] = iter(self._parser.feed(received, len(received)))
        self._queue: list[bytes] = []
        self._queued = 0

    def read_message(self) -> Event:
        """Wait for the next message: its kind, Opcode.TEXT or BINARY, and its payload.

        Answers pings and ignores pongs meanwhile (RFC 6455, sections 5.5.2 and 5.5.3). Raises
        ConnectionClosed, in the subclass that says how the connection ended.
        """
        while True:
            for event in self._events:
                if event[0] <= Opcode.BINARY:
                    return event
                self._take_control_frame(*event)
            self._receive()

    def write_message(self, kind: Opcode, message: bytes) -> None:
        """Send a message of the kind Opcode.TEXT (then it is UTF-8) or BINARY, as one frame.

        Raises ConnectionClosed.
        """
        if self.ended is not None:
            raise self.ended
        size = len(message)
        if size < LENGTH_16:
            self._queue.append(_SHORT_HEADERS[kind][size])
        else:
            self._queue.append(serialize_header(kind, size))
        self._queue.append(message)
        self._queued += size
        if self._queued > FLUSH_SIZE:
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
        self._flush()

    def close(
        self,
        code: int = CloseCode.NORMAL_CLOSURE,
        reason: str = "",
        timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        """Close the connection: the closing handshake, then TCP (sections 7.1.1 and 7.1.2).

        Waits for the peer, at most ``timeout`` seconds; cuts a reason above 123 bytes. Does nothing
        when the connection is over. Raises ValueError for a code that may not be sent.
        """
        if self.ended is None:
            self._end(ClosedByServer(code, reason), Close(code, reason), timeout)

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
                self.close(CloseCode.GOING_AWAY, "going away", _KILLED_CLOSE_TIMEOUT)
            else:
                self.close(CloseCode.INTERNAL_ERROR, "internal error")
        finally:
            self._channel.close()
        return error is not None and error is self.ended

    def _receive(self) -> None:
        """Write what is queued, wait for bytes and parse them."""
        if self.ended is not None:
            raise self.ended
        if self._queue:
            self._flush()
        if self._parser.failure is not None:
            self._fail(self._parser.failure)
        try:
            size = self._channel.receive()
        except OSError as error:
            self._lose(error.strerror or str(error))
        if not size:
            where = "between messages" if self._parser.idle else "in the middle of a message"
            self._lose(f"end of stream {where}, without a close frame")
        self._events = iter(self._parser.feed(receive_buffer, size))

    def _flush(self) -> None:
        """Write what is queued."""
        queue = self._queue
        self._queue = []
        self._queued = 0
        try:
            self._channel.send(queue)
        except OSError as error:
            self._lose(error.strerror or str(error))

    def _take_control_frame(self, opcode: Opcode, payload: bytes) -> None:
        """Do what a control frame asks for (section 5.5)."""
        if opcode is Opcode.PING:
            self._queue.append(Frame(Opcode.PONG, payload).serialize())
            self._queued += len(payload)
        elif opcode is Opcode.CLOSE:
            # 5.5.1. A close frame is answered with one that has the same code
            close = Close.parse(payload)
            ended = ClosedByPeer(close.code, close.reason)
            self._end(ended, Close(close.code), CLOSE_TIMEOUT)
            raise ended

    def _fail(self, violation: ProtocolViolation) -> NoReturn:
        """7.1.7. Fail the WebSocket Connection."""
        ended = ConnectionFailed(violation.code, violation.reason)
        self._end(ended, Close(violation.code, violation.reason), CLOSE_TIMEOUT)
        raise ended from violation

    def _lose(self, reason: str) -> NoReturn:
        """The TCP connection is gone, or as good as gone."""
        self.ended = ConnectionLost(reason)
        self._channel.close()
        raise self.ended

    def _end(self, ended: ConnectionClosed, close: Close, timeout: float) -> None:
        """Send the last frame behind everything queued, and close TCP (section 7.1.1).

        Only the one who closes in good order waits for the peer's close frame.
        """
        payload = close.serialize()
        self.ended = ended
        self._queue.append(Frame(Opcode.CLOSE, payload).serialize())
        deadline = monotonic() + timeout
        try:
            self._channel.send(self._queue, timeout)
            if isinstance(ended, ClosedByServer):
                self._await_close_frame(deadline)
        except OSError:
            self._channel.close()
        else:
            self._channel.finish(deadline - monotonic())
        finally:
            self._queue = []
            self._events = iter(())

    def _await_close_frame(self, deadline: float) -> None:
        """Read on until the peer's close frame, throwing away what comes before it."""
        size = -1
        while size and all(opcode is not Opcode.CLOSE for opcode, _ in self._events):
            if self._parser.failure is not None:
                return
            size = self._channel.receive(max(0.0, deadline - monotonic()))
            self._events = iter(self._parser.feed(receive_buffer, size))
