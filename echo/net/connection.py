"""One WebSocket, from the 101 response to its end: blocking calls for one greenlet."""

from time import monotonic
from types import TracebackType
from typing import Final, NoReturn, Self

from gevent import GreenletExit

from echo.net.channel import Channel, Interrupted
from echo.net.counters import Counters
from echo.net.limits import Limits
from echo.protocol.budget import BudgetShare, ReceiveBudget
from echo.protocol.deflate import PerMessageDeflate
from echo.protocol.errors import (
    Cause,
    ClosedByPeer,
    ClosedByServer,
    ConnectionClosed,
    ConnectionLost,
    ProtocolViolation,
    TryAgainLater,
)
from echo.protocol.frames import serialize_header
from echo.protocol.messages import BINARY, TEXT, Event, MessageParser
from echo.protocol.rfc6455 import LENGTH_16, CloseCode, Opcode
from echo.protocol.session import SHORT_BINARY, SHORT_TEXT, Session, State

#: Seconds for the closing handshake of a connection whose greenlet is killed.
_KILLED_CLOSE_TIMEOUT: Final = 1.0

#: Bytes of answers that may wait for the next flush; with more, write_message flushes at once.
FLUSH_SIZE: Final = 64 * 1024


class Connection:
    """A WebSocket whose opening handshake is done.

    read_message, read_event, write_message, ping and close block the calling greenlet and no other.
    They belong to the greenlet that made the Connection: no other greenlet and no thread may call
    them. Other greenlets of the same thread may call ping_soon and close_soon, which ask the owner
    to write: only the owner ever does, so no frame can land inside another. Once the connection is
    over, all but close raise the ConnectionClosed that ``ended`` holds.

    What is written is queued, in order, and is on its way before read_message waits for the peer:
    the answers to all messages that one receive brought leave in one system call. A queue above
    FLUSH_SIZE leaves at once, so a peer that does not read stops its own connection, and only it:
    queued for it are FLUSH_SIZE and one message, read from it is one receive.

    As a context manager it closes with 1000 at the end of the block, with 1011 after an exception
    and with 1001 when its greenlet is killed. Its own ConnectionClosed ends the block quietly, as
    that is how a loop around read_message ends.

    Attributes:
        id: names it, unlike any other connection.
        path: of the request that it began with.
        peer: the peer's address, ``host:port``, or the host alone as a trusted proxy says it.
        subprotocol: the one that was negotiated, or None.
        session: the protocol's side of it, to be read only.
        heard: set whenever bytes arrive; whoever watches the connection clears it.
        pinged: whether the ping that ping_soon asked for has been written.
        began: when it began, by the monotonic clock.
        messages_in: data messages read so far.
        bytes_in, bytes_out: bytes on the wire so far, without the opening handshake.
    """

    __slots__ = (
        "_channel",
        "_close_request",
        "_counters",
        "_limits",
        "_pending",
        "_ping_request",
        "began",
        "bytes_in",
        "bytes_out",
        "heard",
        "id",
        "messages_in",
        "path",
        "peer",
        "pinged",
        "session",
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
        counters: Counters | None = None,
        parser_class: type[MessageParser] = MessageParser,
    ) -> None:
        """``channel`` belongs to the connection from now on. ``deflate``: the extension, where it
        is negotiated; ``received``: bytes that came behind the opening handshake; ``counters``:
        None to count nothing; ``parser_class``: parses what arrives.
        """
        self.id = connection_id
        self.path = path
        self.peer = peer
        self.subprotocol = subprotocol
        self.heard = True
        self.pinged = False
        self.began = monotonic()
        self.messages_in = self.bytes_in = self.bytes_out = 0
        self._channel = channel
        self._limits = limits
        self._counters = counters
        self._close_request: ClosedByServer | None = None
        self._ping_request = False
        # What read_event gave last and has not been acted on.
        self._pending: Event | ProtocolViolation | None = None
        share = BudgetShare(budget, self)
        inflater = None if deflate is None else deflate.inflater
        parser = parser_class(limits.max_message_size, share, inflater)
        self.session = Session(parser, share, deflate)
        self._receive(received, len(received))

    @property
    def ended(self) -> ConnectionClosed | None:
        """How the connection ended; None while it lives."""
        return self.session.ended

    @property
    def messages_out(self) -> int:
        """Data messages written so far."""
        return self.session.messages_out

    @property
    def last_round_trip(self) -> float | None:
        """Seconds from the last answered ping to its pong; None before."""
        return self.session.last_round_trip

    def read_message(self) -> Event:
        """Wait for the next message: its kind, Opcode.TEXT or BINARY, and its payload.

        Answers pings and ignores pongs meanwhile (RFC 6455, sections 5.5.2 and 5.5.3). Raises
        ConnectionClosed, in the subclass that says how the connection ended.
        """
        session = self.session
        while True:
            for event in session.events:
                kind = event[0]
                if kind is BINARY or kind is TEXT:
                    self.messages_in += 1
                    if self._counters is not None:
                        self._counters.received[kind].add(len(event[1]))
                    return event
                self._respond(*event)
            self._exchange()

    def read_event(self) -> Event | ProtocolViolation:
        """Wait for the next message or control frame, or for the rule that the peer breaks.

        What it asks for, such as a pong or a close frame, is done when the next event is asked
        for, so whatever is written before then goes first. Raises ConnectionClosed.
        """
        pending, self._pending = self._pending, None
        if isinstance(pending, ProtocolViolation):
            self._fail(pending)
        if pending is not None:
            self._respond(*pending)
        while (event := next(self.session.events, None)) is None:
            self._pending = self.session.parser.failure
            if self._pending is not None:
                return self._pending
            self._exchange()
        kind, payload = event
        if kind not in {TEXT, BINARY}:
            self._pending = event
            return event
        self.messages_in += 1
        if self._counters is not None:
            self._counters.received[kind].add(len(payload))
        return event

    def write_message(self, kind: Opcode, message: bytes) -> None:
        """Send a message of the kind Opcode.TEXT (then it is UTF-8) or BINARY, as one frame.

        Raises ConnectionClosed.
        """
        session = self.session
        deflater = session.deflater
        if deflater is not None and deflater.wants(len(message)):
            for _ in session.deflate_message(deflater, kind, message):
                self._channel.yield_now()
            queued = session.queued
        else:
            # Session.send_message, without the call: it would be 5 % of a short message's cost.
            if session.ended is not None:
                raise session.ended
            size = len(message)
            queue = session.queue
            if size < LENGTH_16:
                queue.append((SHORT_TEXT if kind is TEXT else SHORT_BINARY)[size])
            else:
                queue.append(serialize_header(kind, size))
            queue.append(message)
            session.messages_out += 1
            session.queued = queued = session.queued + size
        if self._counters is not None:
            self._counters.sent[kind].add(len(message))
        if queued > FLUSH_SIZE:
            self._flush()

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping (section 5.5.2).

        Raises ValueError for a payload above 125 bytes, and ConnectionClosed.
        """
        self.session.ping(payload)
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
            self.session.share.retire()
            if self.ended is not None:
                # Its frames know this connection, which would be left to the collector.
                self.ended.with_traceback(None).__context__ = None
        return error is not None and error is self.ended

    def abandon(self) -> None:
        """Give up a connection that nobody owns any more, without a word to the peer."""
        if self.ended is None:
            self.session.lose(ConnectionLost("cut off by the server", Cause.SHUTDOWN))
            self._channel.close()

    def _exchange(self) -> None:
        """Write what is queued, wait for input and take it. Raises ConnectionClosed."""
        session = self.session
        if session.ended is not None:
            raise session.ended
        if session.queue:
            self._flush()
        parser = session.parser
        if parser.held:
            parser.give_back()
        if parser.failure is not None:
            self._fail(parser.failure)
        if parser.more:
            self._channel.yield_now()
            self._receive(b"", 0)
            return
        try:
            size = self._channel.receive()
        except Interrupted:
            self._take_requests()
            return
        except OSError as error:
            self._lose(ConnectionLost.after(error))
        if not size:
            self._lose(session.receive_eof())
        # _receive, without the call, as it is done for every message.
        self.heard = True
        self.bytes_in += size
        session.receive(self._channel.buffer, size)

    def _receive(self, data: bytes | bytearray, size: int) -> None:
        """Hand ``data[:size]`` to the session."""
        self.heard = True
        self.bytes_in += size
        self.session.receive(data, size)

    def _flush(self) -> None:
        """Write what is queued."""
        pieces = self.session.data_to_send()
        try:
            self.bytes_out += self._channel.send(
                pieces, self._limits.write_timeout, self.session.share
            )
        except TryAgainLater as limit:
            self._lose(ConnectionLost(limit.reason, limit.cause))
        except OSError as error:
            self._lose(self._evicted() or ConnectionLost.after(error))

    def _respond(self, opcode: Opcode, payload: bytes) -> None:
        """Do what a control frame asks for. Raises ConnectionClosed for a close frame."""
        session = self.session
        before = session.last_round_trip
        session.respond(opcode, payload)
        if session.ended is not None:
            self._end()
            raise session.ended
        after = session.last_round_trip
        if self._counters is not None and after is not None and after is not before:
            self._counters.round_trips.add(round(after * 1e6))

    def _take_requests(self) -> None:
        """Do what other greenlets have asked for."""
        if self.session.parser.failure is not None:
            self._fail(self.session.parser.failure)
        if self._close_request is not None:
            self._close(self._close_request)
        elif self._ping_request:
            self._ping_request = False
            self.ping()
            self.pinged = True

    def evict(self, violation: ProtocolViolation) -> None:
        """Fail as ``violation`` says, since another connection needs the memory that this holds."""
        self.session.parser.fail(violation)
        if not self._channel.abort_write():
            self._channel.interrupt()

    def _evicted(self) -> ConnectionLost | None:
        """How the connection was lost, when its write was aborted for its memory."""
        failure = self.session.parser.failure
        if failure is None or failure.cause is not Cause.LIMIT:
            return None
        return ConnectionLost(failure.reason, failure.cause)

    def _fail(self, violation: ProtocolViolation) -> NoReturn:
        """7.1.7. Fail the WebSocket Connection."""
        ended = self.session.fail(violation)
        self._end()
        raise ended

    def _lose(self, lost: ConnectionLost) -> NoReturn:
        """The TCP connection is gone, or as good as gone."""
        self.session.lose(lost)
        self._channel.close()
        raise lost

    def _close(self, end: ClosedByServer, timeout: float | None = None) -> None:
        """Begin the closing handshake, unless the connection is over."""
        if self.ended is None:
            self.session.close(end)
            self._end(timeout)

    def _end(self, timeout: float | None = None) -> None:
        """Send what is queued, the close frame last, and close TCP (section 7.1.1).

        While the session is CLOSING the peer's close frame is waited for. ``timeout``: seconds for
        all of it, by default Limits.close_timeout.
        """
        session, channel = self.session, self._channel
        timeout = self._limits.close_timeout if timeout is None else timeout
        deadline = monotonic() + timeout
        pieces = session.data_to_send()
        had_pending_answers = len(pieces) > 1
        try:
            self.bytes_out += channel.send(pieces, timeout)
            while session.state is State.CLOSING and (left := deadline - monotonic()) > 0:
                if session.parser.more:
                    channel.yield_now()
                    self._receive(b"", 0)
                elif size := channel.receive(left, interruptible=False):
                    self._receive(channel.buffer, size)
                else:
                    session.receive_eof()
            session.stop()
            channel.finish(deadline - monotonic())
        except OSError as error:
            channel.close()
            if had_pending_answers and isinstance(session.ended, ClosedByPeer):
                # The peer cannot have got the answers that were on their way.
                session.ended = ConnectionLost.after(error)
        finally:
            session.stop()


def _internal_error() -> ClosedByServer:
    """How a connection ends when the service itself fails."""
    return ClosedByServer(CloseCode.INTERNAL_ERROR, "internal error", Cause.INTERNAL_ERROR)


def _going_away() -> ClosedByServer:
    """How a connection ends when the server stops."""
    return ClosedByServer(CloseCode.GOING_AWAY, "going away", Cause.SHUTDOWN)
