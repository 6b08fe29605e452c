"""RFC 6455, sections 5.4 to 5.6, 7 and 8.1: frames become messages.

MessageParser takes bytes as they arrive, in pieces of any size, and gives the messages and control
frames that they complete. It reads a server's side: what it takes is what a client sends.
"""

from struct import Struct
from typing import Final

from echo.protocol.budget import BudgetShare
from echo.protocol.deflate import INFLATE_STEP, Inflater
from echo.protocol.errors import ProtocolError, ProtocolViolation
from echo.protocol.frames import Close, parse_header
from echo.protocol.masking import apply_mask
from echo.protocol.partial_message import PartialMessage, check_size, check_utf8
from echo.protocol.rfc6455 import (
    CONTROL_BIT,
    FIN,
    LENGTH_16,
    MASK,
    OPCODE_BITS,
    RSV1,
    RSV_BITS,
    Opcode,
)

#: Members of an enumeration are slow to look up in their class, and these are looked up often.
TEXT: Final = Opcode.TEXT
BINARY: Final = Opcode.BINARY

#: A message or a control frame: what it is and its payload. TEXT is valid UTF-8; CLOSE is checked.
Event = tuple[Opcode, bytes]

#: Bytes in which messages may begin that one call of ``feed`` gives: a greenlet whose peer always
#: has more ready gives way to the others after these. At 6 bytes a message they are 1,366.
TURN_SIZE: Final = 8 * 1024

#: Bytes that one call inflates of a message that has more: at most this and what one INFLATE_STEP
#: becomes, 1 MiB, which take about a millisecond.
INFLATE_TURN: Final = 256 * 1024

#: Bytes of messages in several pieces that one call gives.
_HELD_TURN: Final = 64 * 1024

#: The header of a frame with a masking key: its first two bytes and the key where the length is
#: short, the length of 16 bits and the key where it is longer.
_SHORT_HEADER: Final = Struct("!BB4s")
_LONGER_HEADER: Final = Struct("!2xH4s")
_SHORT_SIZE: Final = _SHORT_HEADER.size

#: The first byte of a message in one frame.
_WHOLE_TEXT: Final = FIN | TEXT
_WHOLE_BINARY: Final = FIN | BINARY


class MessageParser:
    """Turns the bytes that a client sends into messages and control frames, in their order.

    Attributes:
        failure: the rule that the peer broke, once it has; what it sent before has been given, and
            whatever comes after it is ignored, as is what comes after a close frame.
        more: whether ``feed`` kept bytes back that may hold whole messages.
        held: bytes of messages that came in several pieces and are still counted in the share.
    """

    __slots__ = (
        "_fin",
        "_inflater",
        "_key",
        "_left_over",
        "_max_message_size",
        "_over",
        "_partial",
        "_remaining",
        "_share",
        "_waiting",
        "failure",
        "held",
        "more",
    )

    def __init__(
        self, max_message_size: int, share: BudgetShare, inflater: Inflater | None = None
    ) -> None:
        """``max_message_size``: bytes of a payload; ``share``: counts what the parser keeps;
        ``inflater``: for compressed messages, where the extension is negotiated.
        """
        self.failure: ProtocolViolation | None = None
        self.more = False
        self.held = 0
        self._share = share
        self._inflater = inflater
        self._max_message_size = max_message_size
        # A close frame or a violation has come: the rest is ignored.
        self._over = False
        # Bytes of a frame that cannot be taken yet: part of a header or of a control frame.
        self._left_over = b""
        # Of these, bytes that wait for their turn and are counted in the share.
        self._waiting = 0
        self._partial: PartialMessage | None = None
        # The data frame whose payload is not whole yet: bytes to come, its masking key turned so
        # that it starts at the next of them, and whether the frame ends the message.
        self._remaining = 0
        self._key = b""
        self._fin = False

    @property
    def idle(self) -> bool:
        """Whether the bytes so far ended with a whole message: nothing is half there."""
        return self._partial is None and not self._left_over

    def feed(self, data: bytes | bytearray, size: int) -> list[Event]:
        """Take ``data[:size]`` and give the events that are complete now.

        Gives no more than a turn's share (TURN_SIZE): ``more`` says that it is to be called again,
        without data, before there is new. Never raises for what a peer sent: see ``failure``.
        Keeps no reference to ``data``.
        """
        events: list[Event] = []
        if self._left_over:
            data = self._left_over + data[:size]
            size = len(data)
            self._left_over = b""
            if self._waiting:
                self._share.give_back(self._waiting)
                self._waiting = 0
        self.more = False
        if self._inflater is not None:
            self._inflater.work = 0
        position = 0
        try:
            while position < size and not self._over:
                if self.more or position >= TURN_SIZE:
                    self._left_over = bytes(data[position:size])
                    self.more = True
                    self._share.take(size - position)
                    self._waiting = size - position
                    break
                if self._partial is None:
                    position = _take_whole_messages(
                        data, position, size, self._max_message_size, events
                    )
                if position < size and position < TURN_SIZE:
                    position = self._take_frame(data, position, size, events)
        except ProtocolViolation as violation:
            # Without its traceback, which would keep all that was being parsed.
            self.fail(violation.with_traceback(None))
        return events

    def fail(self, violation: ProtocolViolation) -> None:
        """Take nothing more, as after a violation of the peer's."""
        self.failure = violation
        self.more = False
        self._drop()

    def discard(self) -> None:
        """Forget what is half there, since no more is going to come."""
        self._drop()
        self.give_back()

    def give_back(self) -> None:
        """Stop counting the messages that were given: they are dealt with."""
        self._share.give_back(self.held)
        self.held = 0

    def _drop(self) -> None:
        """Let go of all that is not whole."""
        self._over = True
        self._left_over = b""
        self.held += self._waiting
        self._waiting = 0
        if self._partial is not None:
            self.held += self._partial.size
            self._partial = None

    def _take_frame(
        self, data: bytes | bytearray, position: int, size: int, events: list[Event]
    ) -> int:
        """Take the next frame, or what is there of it; returns the position behind it."""
        if self._partial is not None and self._remaining:
            return self._take_payload(self._partial, data, position, size, events)
        header = parse_header(data, position, size)
        if size - position >= 2:
            self._check_bits(data[position], data[position + 1])
        if header is None:
            self._left_over = bytes(data[position:size])
            return size
        fin, rsv, opcode, key, length, header_size = header
        start = position + header_size
        end = start + length
        if opcode & CONTROL_BIT:
            if end > size:
                self._left_over = bytes(data[position:size])
                return size
            self._take_control_frame(opcode, apply_mask(data[start:end], key), events)
            return end
        self._check_order(opcode, length, compressed=bool(rsv))
        if fin and end <= size and self._partial is None and not rsv:
            payload = apply_mask(memoryview(data)[start:end], key)
            if opcode is TEXT and not payload.isascii():
                check_utf8(payload)
            events.append((opcode, payload))
            return end
        if self._partial is None:
            self._partial = PartialMessage(
                opcode, self._max_message_size, self._share, self._inflater if rsv else None
            )
        self._remaining = length
        self._key = key
        self._fin = fin
        return self._take_payload(self._partial, data, start, size, events)

    def _check_bits(self, first: int, second: int) -> None:
        """The bits of a frame's first two bytes, as soon as they are there.

        RFC 7692, section 6: RSV1 says that a message is compressed, in its first frame.
        """
        if first & RSV_BITS:
            if self._inflater is None:
                raise _unexpected_bits(first, "no extension is negotiated")
            if first & RSV_BITS != RSV1 or first & OPCODE_BITS not in {TEXT, BINARY}:
                raise _unexpected_bits(first, "only a message's first frame may have RSV1")
        if not second & MASK:
            raise ProtocolError("a client must mask its frames")

    def _take_control_frame(self, opcode: Opcode, payload: bytes, events: list[Event]) -> None:
        """Section 5.5. Control frames may come between the fragments of a message."""
        if opcode is Opcode.CLOSE:
            Close.parse(payload)
            self._over = True
        events.append((opcode, payload))

    def _check_order(self, opcode: Opcode, length: int, *, compressed: bool) -> None:
        """Section 5.4: what a data frame may follow; and the limit, before the payload is read.

        The length of what is compressed says nothing of the message's.
        """
        partial = self._partial
        if opcode is Opcode.CONTINUATION:
            if partial is None:
                raise ProtocolError("continuation frame without a message to continue")
            if partial.inflater is None:
                partial.check_size(length)
        elif partial is not None:
            raise ProtocolError(
                f"{opcode.name.lower()} frame inside a fragmented message, before its last fragment"
            )
        elif not compressed:
            check_size(length, self._max_message_size)

    def _take_payload(
        self,
        partial: PartialMessage,
        data: bytes | bytearray,
        position: int,
        size: int,
        events: list[Event],
    ) -> int:
        """Take what has arrived of a data frame's payload, and end the message where it ends.

        What is compressed is taken in steps, and after a turn's share of them ``more`` is set.
        """
        inflater = partial.inflater
        step = size if inflater is None else INFLATE_STEP
        while True:
            taken = min(self._remaining, size - position, step)
            end = position + taken
            piece = apply_mask(memoryview(data)[position:end], self._key)
            self._remaining -= taken
            turn = taken % 4
            self._key = self._key[turn:] + self._key[:turn]
            final = self._fin and not self._remaining
            partial.add(piece, final=final)
            if inflater is not None and inflater.work >= INFLATE_TURN:
                self.more = end < size
            if final:
                events.append((partial.opcode, partial.payload()))
                self._partial = None
                self.held += partial.size
                # Before another is begun, those that were given are dealt with.
                self.more = self.more or (self.held >= _HELD_TURN and end < size)
                return end
            if inflater is None or self.more or not self._remaining or end == size:
                return end
            position = end


def _unexpected_bits(first: int, rule: str) -> ProtocolError:
    """The violation that a frame's first byte has reserved bits against a rule."""
    bits = ", ".join(f"RSV{n}" for n in (1, 2, 3) if first & (0x80 >> n))
    return ProtocolError(f"unexpected {bits}: {rule}")


def _take_whole_messages(
    data: bytes | bytearray, position: int, size: int, max_size: int, events: list[Event]
) -> int:
    """The fast path: take messages of one whole frame below 64 KiB until something else comes.

    ``max_size``: bytes that a message may have. Returns the position behind them. It does what
    _take_frame does for these, only shorter: most messages are of this kind, and each step here is
    paid for every one.
    """
    unpack = _SHORT_HEADER.unpack_from
    last = size - _SHORT_SIZE
    while position <= last and position < TURN_SIZE:
        first, second, masking_key = unpack(data, position)
        start = position + _SHORT_SIZE
        length = second - MASK
        if length >= LENGTH_16:
            if length > LENGTH_16:
                return position
            start += 2
            if start > size:
                return position
            length, masking_key = _LONGER_HEADER.unpack_from(data, position)
            if length < LENGTH_16:
                return position
        end = start + length
        if length < 0 or length > max_size or end > size:
            return position
        if first == _WHOLE_BINARY:
            events.append((BINARY, apply_mask(data[start:end], masking_key)))
        elif first == _WHOLE_TEXT:
            payload = apply_mask(data[start:end], masking_key)
            if not payload.isascii():
                check_utf8(payload)
            events.append((TEXT, payload))
        else:
            return position
        position = end
    return position
