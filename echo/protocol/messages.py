"""RFC 6455, sections 5.4 to 5.6, 7 and 8.1: frames become messages.

MessageParser takes bytes as they arrive, in pieces of any size, and gives the messages and control
frames that they complete. It reads a server's side: what it takes is what a client sends.
"""

from codecs import getincrementaldecoder
from typing import Final

from echo.protocol.errors import InvalidPayload, MessageTooBig, ProtocolError, ProtocolViolation
from echo.protocol.frames import Close, FrameHeader, apply_mask, parse_header
from echo.protocol.rfc6455 import CONTROL_BIT, FIN, LENGTH_16, MASK, Opcode

#: A message or a control frame: what it is and its payload. TEXT is valid UTF-8; CLOSE is checked.
Event = tuple[Opcode, bytes]

#: The first two bytes, as a number, of the frames that most messages are: one masked frame of at
#: most 125 bytes. Looking them up takes the place of every check that such a frame passes.
_SHORT_MESSAGES: Final = {
    (FIN | opcode) << 8 | MASK | length: (opcode, length)
    for opcode in (Opcode.TEXT, Opcode.BINARY)
    for length in range(LENGTH_16)
}
#: Header bytes of such a frame: two, and the masking key.
_SHORT_HEADER: Final = 6

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

    def check(self, piece: bytes | bytearray, *, final: bool) -> None:
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


def _not_utf8(position: int, reason: str) -> InvalidPayload:
    """The violation that a message's text is, from the byte at ``position`` on."""
    return InvalidPayload(f"text is not UTF-8 at byte {position}: {reason}")


class MessageParser:
    """Turns the bytes that a client sends into messages and control frames, in their order.

    Attributes:
        failure: the rule that the peer broke, once it has; what it sent before has been given, and
            whatever comes after it is ignored, as is what comes after a close frame.
    """

    __slots__ = (
        "_closed",
        "_fin",
        "_header_bytes",
        "_key",
        "_max_message_size",
        "_message",
        "_opcode",
        "_remaining",
        "_validator",
        "failure",
    )

    def __init__(self, max_message_size: int) -> None:
        """``max_message_size``: the most that a message's payload may have, in bytes."""
        self.failure: ProtocolViolation | None = None
        self._max_message_size = max_message_size
        self._closed = False
        # Bytes of a frame that cannot be taken yet: part of a header or of a control frame.
        self._header_bytes = b""
        # The message that is not whole yet; its opcode is None between messages.
        self._opcode: Opcode | None = None
        self._message = bytearray()
        self._validator: _Utf8Validator | None = None
        # The frame whose payload is not whole yet: bytes to come, its masking key turned so that
        # it starts at the next of them, and whether it ends the message.
        self._remaining = 0
        self._key = b""
        self._fin = False

    @property
    def idle(self) -> bool:
        """Whether the bytes so far ended with a whole message: nothing is half there."""
        return self._opcode is None and not self._header_bytes

    def feed(self, data: bytes | bytearray, size: int) -> list[Event]:
        """Take ``data[:size]`` and give the events that are complete now.

        Never raises for what a peer sent: see ``failure``. Keeps no reference to ``data``.
        """
        events: list[Event] = []
        if self._closed or self.failure is not None:
            return events
        if self._header_bytes:
            data = self._header_bytes + data[:size]
            size = len(data)
            self._header_bytes = b""
        try:
            position = 0
            while position < size and not self._closed:
                if not self._remaining and self._opcode is None:
                    position = self._take_short_messages(data, position, size, events)
                if position < size:
                    position = self._take_frame(data, position, size, events)
        except ProtocolViolation as violation:
            self.failure = violation
        return events

    def _take_short_messages(
        self, data: bytes | bytearray, position: int, size: int, events: list[Event]
    ) -> int:
        """The fast path: messages of one whole short frame, until something else comes.

        Returns the position behind them. It is the same as _take_frame for these, only shorter.
        """
        last = size - _SHORT_HEADER
        while position <= last:
            short = _SHORT_MESSAGES.get(data[position] << 8 | data[position + 1])
            if short is None:
                return position
            opcode, length = short
            if length > self._max_message_size:
                return position
            start = position + _SHORT_HEADER
            end = start + length
            if end > size:
                return position
            payload = apply_mask(data[start:end], data[position + 2 : start])
            if opcode is Opcode.TEXT and not payload.isascii():
                _check_utf8(payload)
            events.append((opcode, payload))
            position = end
        return position

    def _take_frame(
        self, data: bytes | bytearray, position: int, size: int, events: list[Event]
    ) -> int:
        """Take the next frame, or what is there of it; returns the position behind it."""
        if self._remaining:
            return self._take_payload(data, position, size, events)
        header = parse_header(data, position, size)
        if header is None:
            self._header_bytes = bytes(data[position:size])
            return size
        self._check(header)
        start = position + header.size
        end = start + header.payload_length
        if header.opcode & CONTROL_BIT:
            if end > size:
                self._header_bytes = bytes(data[position:size])
                return size
            payload = apply_mask(data[start:end], header.masking_key)
            if header.opcode is Opcode.CLOSE:
                Close.parse(payload)
                self._closed = True
            events.append((header.opcode, payload))
            return end
        if header.fin and end <= size and self._opcode is None:
            payload = apply_mask(data[start:end], header.masking_key)
            if header.opcode is Opcode.TEXT and not payload.isascii():
                _check_utf8(payload)
            events.append((header.opcode, payload))
            return end
        if self._opcode is None:
            self._opcode = header.opcode
            self._validator = _Utf8Validator() if header.opcode is Opcode.TEXT else None
        self._remaining = header.payload_length
        self._key = header.masking_key
        self._fin = header.fin
        return self._take_payload(data, start, size, events)

    def _check(self, header: FrameHeader) -> None:
        """The rules that a single frame must keep where it stands (sections 5.1, 5.2, 5.4)."""
        if header.rsv:
            raise ProtocolError("a reserved bit is set, and no extension is negotiated")
        if not header.masking_key:
            raise ProtocolError("a client must mask its frames")
        if header.opcode & CONTROL_BIT:
            return
        if header.opcode is Opcode.CONTINUATION:
            if self._opcode is None:
                raise ProtocolError("a continuation frame with nothing to continue")
        elif self._opcode is not None:
            raise ProtocolError("a new message inside a fragmented one")
        if len(self._message) + header.payload_length > self._max_message_size:
            raise MessageTooBig(f"a message may have {self._max_message_size} bytes")

    def _take_payload(
        self, data: bytes | bytearray, position: int, size: int, events: list[Event]
    ) -> int:
        """Take what has arrived of a data frame's payload, and end the message where it ends."""
        taken = min(self._remaining, size - position)
        end = position + taken
        piece = apply_mask(data[position:end], self._key)
        self._message += piece
        self._remaining -= taken
        turn = taken % len(self._key)
        self._key = self._key[turn:] + self._key[:turn]
        final = self._fin and not self._remaining
        if self._validator is not None:
            self._validator.check(piece, final=final)
        if final and self._opcode is not None:
            events.append((self._opcode, bytes(self._message)))
            self._message = bytearray()
            self._opcode = self._validator = None
        return end


def _check_utf8(payload: bytes) -> None:
    """Raises InvalidPayload unless ``payload`` is UTF-8 (section 8.1)."""
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(error.start, error.reason) from None
