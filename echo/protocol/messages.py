"""RFC 6455, sections 5.4 to 5.6, 7 and 8.1: frames become messages.

MessageParser takes bytes as they arrive, in pieces of any size, and gives the messages and control
frames that they complete. It reads a server's side: what it takes is what a client sends.
"""

from codecs import getincrementaldecoder
from io import BytesIO
from struct import Struct
from typing import Final

from echo.protocol.errors import (
    InvalidPayload,
    MessageTooBig,
    ProtocolError,
    ProtocolViolation,
    TryAgainLater,
)
from echo.protocol.frames import Close, apply_mask, parse_header
from echo.protocol.rfc6455 import CONTROL_BIT, FIN, LENGTH_16, MASK, Opcode

#: Members of an enumeration are slow to look up in their class, and these are looked up often.
TEXT: Final = Opcode.TEXT
BINARY: Final = Opcode.BINARY

#: A message or a control frame: what it is and its payload. TEXT is valid UTF-8; CLOSE is checked.
Event = tuple[Opcode, bytes]

#: Bytes in which messages may begin that one call of ``feed`` gives: a greenlet whose peer always
#: has more ready gives way to the others after these. At 6 bytes a message they are 1,366.
TURN_SIZE: Final = 8 * 1024

#: A short message in one frame: its first two bytes and its masking key.
_SHORT_HEADER: Final = Struct("!BB4s")
_SHORT_TEXT: Final = FIN | TEXT
_SHORT_BINARY: Final = FIN | BINARY

#: The first two bytes of all that would be a surrogate lie in this range (RFC 3629, section 3).
_SURROGATES: Final = b"\xed\xa0"
_BEHIND_SURROGATES: Final = b"\xee"

_Utf8Decoder: Final = getincrementaldecoder("utf-8")


class _Utf8Validator:
    """Checks text that comes in pieces, and fails at the first byte that cannot be UTF-8."""

    __slots__ = ("_checked", "_decoder")

    def __init__(self) -> None:
        self._decoder = _Utf8Decoder()
        self._checked = 0

    def check(self, piece: bytes, *, final: bool) -> None:
        """Check the next piece of the text. Raises InvalidPayload."""
        waiting = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise _not_utf8(self._checked - waiting + error.start, error.reason) from None
        self._checked += len(piece)
        # The decoder waits for the third byte of what its second shows to be a surrogate.
        if _SURROGATES <= self._decoder.getstate()[0] < _BEHIND_SURROGATES:
            raise _not_utf8(self._checked - 2, "invalid continuation byte")


class ReceiveBudget:
    """What all messages together may have of memory while they are not whole.

    Attributes:
        limit: bytes.
        used: bytes that are taken.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> None:
        """Take ``size`` bytes. Raises TryAgainLater when there are not so many left."""
        if self.used + size > self.limit:
            raise TryAgainLater("the server has too many unfinished messages")
        self.used += size

    def give_back(self, size: int) -> None:
        """Give back ``size`` bytes that were taken."""
        self.used -= size


class _PartialMessage:
    """The message that is not whole yet."""

    __slots__ = ("_budget", "opcode", "payload", "size", "validator")

    def __init__(self, opcode: Opcode, budget: ReceiveBudget) -> None:
        self._budget = budget
        self.opcode = opcode
        self.size = 0
        # It grows in place, and gives its bytes away without a copy.
        self.payload = BytesIO()
        self.validator = _Utf8Validator() if opcode is TEXT else None

    def add(self, piece: bytes, *, final: bool) -> None:
        """Take the next piece of the payload, unmasked. Raises InvalidPayload, TryAgainLater."""
        if self.validator is not None:
            self.validator.check(piece, final=final)
        self._budget.take(len(piece))
        self.size += self.payload.write(piece)

    def release(self) -> None:
        """Give its share of the budget back."""
        self._budget.give_back(self.size)


class MessageParser:
    """Turns the bytes that a client sends into messages and control frames, in their order.

    Attributes:
        failure: the rule that the peer broke, once it has; what it sent before has been given, and
            whatever comes after it is ignored, as is what comes after a close frame.
        more: whether ``feed`` kept bytes back that may hold whole messages.
    """

    __slots__ = (
        "_budget",
        "_fin",
        "_key",
        "_left_over",
        "_longest_short",
        "_max_message_size",
        "_over",
        "_partial",
        "_remaining",
        "failure",
        "more",
    )

    def __init__(self, max_message_size: int, budget: ReceiveBudget) -> None:
        """``max_message_size``: bytes of a payload; ``budget``: what all parsers share."""
        self.failure: ProtocolViolation | None = None
        self.more = False
        self._budget = budget
        self._max_message_size = max_message_size
        self._longest_short = MASK | min(LENGTH_16 - 1, max_message_size)
        # A close frame or a violation has come: the rest is ignored.
        self._over = False
        # Bytes of a frame that cannot be taken yet: part of a header or of a control frame.
        self._left_over = b""
        self._partial: _PartialMessage | None = None
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
        self.more = False
        position = 0
        try:
            while position < size and not self._over:
                if position >= TURN_SIZE:
                    self._left_over = bytes(data[position:size])
                    self.more = True
                    break
                if self._partial is None:
                    position = _take_short_messages(
                        data, position, size, self._longest_short, events
                    )
                if position < min(size, TURN_SIZE):
                    position = self._take_frame(data, position, size, events)
        except ProtocolViolation as violation:
            # Without its traceback, which would keep all that was being parsed.
            self.failure = violation.with_traceback(None)
            self._over = True
        return events

    def discard(self) -> None:
        """Forget what is half there, since no more is going to come."""
        if self._partial is not None:
            self._partial.release()
            self._partial = None
        self._over = True

    def _take_frame(
        self, data: bytes | bytearray, position: int, size: int, events: list[Event]
    ) -> int:
        """Take the next frame, or what is there of it; returns the position behind it."""
        if self._partial is not None and self._remaining:
            return self._take_payload(self._partial, data, position, size, events)
        header = parse_header(data, position, size)
        if header is None:
            self._left_over = bytes(data[position:size])
            return size
        fin, rsv, opcode, key, length, header_size = header
        if rsv:
            raise ProtocolError("a reserved bit is set, and no extension is negotiated")
        if not key:
            raise ProtocolError("a client must mask its frames")
        start = position + header_size
        end = start + length
        if opcode & CONTROL_BIT:
            if end > size:
                self._left_over = bytes(data[position:size])
                return size
            self._take_control_frame(opcode, apply_mask(data[start:end], key), events)
            return end
        self._check_order(opcode, length)
        if fin and end <= size and self._partial is None:
            payload = apply_mask(memoryview(data)[start:end], key)
            if opcode is TEXT and not payload.isascii():
                _check_utf8(payload)
            events.append((opcode, payload))
            return end
        if self._partial is None:
            self._partial = _PartialMessage(opcode, self._budget)
        self._remaining = length
        self._key = key
        self._fin = fin
        return self._take_payload(self._partial, data, start, size, events)

    def _take_control_frame(self, opcode: Opcode, payload: bytes, events: list[Event]) -> None:
        """Section 5.5. Control frames may come between the fragments of a message."""
        if opcode is Opcode.CLOSE:
            Close.parse(payload)
            self._over = True
        events.append((opcode, payload))

    def _check_order(self, opcode: Opcode, length: int) -> None:
        """Section 5.4: what a data frame may follow; and the limit, before the payload is read."""
        if opcode is Opcode.CONTINUATION:
            if self._partial is None:
                raise ProtocolError("a continuation frame with nothing to continue")
            length += self._partial.size
        elif self._partial is not None:
            raise ProtocolError("a new message inside a fragmented one")
        if length > self._max_message_size:
            raise MessageTooBig(f"a message may have {self._max_message_size} bytes")

    def _take_payload(
        self,
        partial: _PartialMessage,
        data: bytes | bytearray,
        position: int,
        size: int,
        events: list[Event],
    ) -> int:
        """Take what has arrived of a data frame's payload, and end the message where it ends."""
        taken = min(self._remaining, size - position)
        end = position + taken
        piece = apply_mask(memoryview(data)[position:end], self._key)
        self._remaining -= taken
        turn = taken % 4
        self._key = self._key[turn:] + self._key[:turn]
        final = self._fin and not self._remaining
        partial.add(piece, final=final)
        if final:
            events.append((partial.opcode, partial.payload.getvalue()))
            partial.release()
            self._partial = None
        return end


def _take_short_messages(
    data: bytes | bytearray, position: int, size: int, longest: int, events: list[Event]
) -> int:
    """The fast path: take messages of one whole short frame until something else comes.

    ``longest`` is the largest second byte of such a frame: the mask bit, and the longest length
    that needs no other. Returns the position behind them. It does what _take_frame does for these,
    only shorter: most messages are of this kind, and each step here is paid for every one.
    """
    unpack = _SHORT_HEADER.unpack_from
    header_size = _SHORT_HEADER.size
    append = events.append
    last = min(TURN_SIZE - 1, size - header_size)
    while position <= last:
        first, second, masking_key = unpack(data, position)
        start = position + header_size
        end = start + second - MASK
        if second < MASK or second > longest or end > size:
            return position
        if first == _SHORT_BINARY:
            append((BINARY, apply_mask(data[start:end], masking_key)))
        elif first == _SHORT_TEXT:
            payload = apply_mask(data[start:end], masking_key)
            if not payload.isascii():
                _check_utf8(payload)
            append((TEXT, payload))
        else:
            return position
        position = end
    return position


def _not_utf8(position: int, reason: str) -> InvalidPayload:
    """The violation that a message's text is, from the byte at ``position`` on."""
    return InvalidPayload(f"text is not UTF-8 at byte {position}: {reason}")


def _check_utf8(payload: bytes) -> None:
    """Raises InvalidPayload unless ``payload`` is UTF-8 (section 8.1)."""
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(error.start, error.reason) from None
