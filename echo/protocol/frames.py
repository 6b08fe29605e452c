"""RFC 6455, section 5: frames and close payloads as values; parse and serialize as a pair."""

from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple, Self

from echo.protocol.errors import InvalidPayload, ProtocolError
from echo.protocol.masking import apply_mask
from echo.protocol.rfc6455 import (
    CONTROL_BIT,
    FIN,
    LENGTH_16,
    LENGTH_64,
    LENGTH_BITS,
    MASK,
    MAX_CLOSE_REASON,
    MAX_CONTROL_PAYLOAD,
    MAX_PAYLOAD_LENGTH,
    OPCODE_BITS,
    RSV_BITS,
    SENDABLE_CLOSE_CODES,
    SMALLEST_64,
    CloseCode,
    Opcode,
)

#: Opcodes by number; the numbers that are not in it are reserved (section 5.2).
OPCODES: Final = {int(opcode): opcode for opcode in Opcode}

#: Section 5.2: the 7-bit lengths that announce a longer one: how it is written, and the smallest
#: that needs it.
_EXTENDED_LENGTHS: Final = {
    LENGTH_16: (Struct("!H"), LENGTH_16),
    LENGTH_64: (Struct("!Q"), SMALLEST_64),
}

#: The bytes of a line end, which clients send that print their handshake or their frames.
_CARRIAGE_RETURN: Final = 0x0D
_LINE_FEED: Final = 0x0A

#: Headers of frames with such lengths, without a masking key.
_HEADER_16: Final = Struct("!BBH")
_HEADER_64: Final = Struct("!BBQ")


class FrameHeader(NamedTuple):
    """A frame up to its payload (section 5.2)."""

    fin: bool
    rsv: int  #: the three reserved bits in their place, 0 when none is set
    opcode: Opcode
    masking_key: bytes  #: 4 bytes, or none when the frame is not masked
    payload_length: int  #: bytes
    size: int  #: bytes of the header itself


def parse_header(data: bytes | bytearray, start: int, end: int) -> FrameHeader | None:
    """Read the frame header in ``data[start:end]``; None when more bytes are needed.

    Raises ProtocolError for a reserved opcode, for a length not in its shortest form and
    for one with its top bit set, and for a control frame that is fragmented or longer than 125
    bytes (sections 5.2 and 5.5); each as soon as the bytes that show it are there.
    """
    if end - start < 2:
        return None
    first = data[start]
    second = data[start + 1]
    opcode = OPCODES.get(first & OPCODE_BITS)
    if opcode is None:
        raise _opcode_fault(first, second)
    length = second & LENGTH_BITS
    if opcode & CONTROL_BIT and (not first & FIN or length > MAX_CONTROL_PAYLOAD):
        raise _control_fault(first, opcode)
    position = start + 2
    extended = _EXTENDED_LENGTHS.get(length)
    if extended is not None:
        number, smallest = extended
        if end - position < number.size:
            return None
        (length,) = number.unpack_from(data, position)
        if length < smallest:
            raise ProtocolError(f"payload length {length} is not in its shortest form")
        if length > MAX_PAYLOAD_LENGTH:
            raise ProtocolError("payload length has its top bit set")
        position += number.size
    if second & MASK:
        if end - position < 4:
            return None
        masking_key = bytes(data[position : position + 4])
        position += 4
    else:
        masking_key = b""
    return FrameHeader(
        first & FIN != 0, first & RSV_BITS, opcode, masking_key, length, position - start
    )


def _opcode_fault(first: int, second: int) -> ProtocolError:
    """What is wrong with a frame of these first two bytes, whose opcode is reserved."""
    if (first, second) == (_CARRIAGE_RETURN, _LINE_FEED):
        return ProtocolError("line end 0d 0a instead of a frame: send none behind the handshake")
    return ProtocolError(f"reserved opcode {first & OPCODE_BITS:#x}")


def _control_fault(first: int, opcode: Opcode) -> ProtocolError:
    """What is wrong with a control frame that is fragmented or too long."""
    name = opcode.name.lower()
    reason = f"{name} frame is fragmented or longer than {MAX_CONTROL_PAYLOAD} bytes"
    if first == _LINE_FEED:
        reason += "; 0a is a line end too: was one sent behind the handshake?"
    return ProtocolError(reason)


def serialize_header(
    opcode: Opcode, length: int, *, fin: bool = True, rsv: int = 0, masking_key: bytes = b""
) -> bytes:
    """Write a frame header: the inverse of parse_header. ``length`` is the payload's, in bytes."""
    first = (FIN if fin else 0) | rsv | opcode
    mask = MASK if masking_key else 0
    if length < LENGTH_16:
        return bytes((first, mask | length)) + masking_key
    if length < SMALLEST_64:
        return _HEADER_16.pack(first, mask | LENGTH_16, length) + masking_key
    return _HEADER_64.pack(first, mask | LENGTH_64, length) + masking_key


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame, its payload unmasked."""

    opcode: Opcode
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, int] | None:
        """Read the frame at the start of ``data``: the frame and its bytes on the wire.

        None when it is not whole yet. Raises ProtocolError as parse_header does.
        """
        header = parse_header(data, 0, len(data))
        if header is None or len(data) < header.size + header.payload_length:
            return None
        payload = data[header.size : header.size + header.payload_length]
        if header.masking_key:
            payload = apply_mask(payload, header.masking_key)
        frame = cls(header.opcode, payload, header.fin, header.rsv)
        return frame, header.size + header.payload_length

    def serialize(self, masking_key: bytes = b"") -> bytes:
        """The frame's bytes on the wire, masked where ``masking_key`` has its 4 bytes."""
        header = serialize_header(
            self.opcode,
            len(self.payload),
            fin=self.fin,
            rsv=self.rsv,
            masking_key=masking_key,
        )
        if masking_key:
            return header + apply_mask(self.payload, masking_key)
        return header + self.payload


@dataclass(frozen=True, slots=True)
class Close:
    """The payload of a close frame (section 5.5.1). Code 1005 stands for an empty payload."""

    code: int = CloseCode.NO_STATUS_RECEIVED
    reason: str = ""

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a close frame's payload.

        Raises ProtocolError for a payload of one byte and for a code that may not be sent,
        InvalidPayload for a reason that is not UTF-8.
        """
        if not payload:
            return cls()
        if len(payload) == 1:
            raise ProtocolError("close frame payload is 1 byte long")
        code = int.from_bytes(payload[:2])
        if code not in SENDABLE_CLOSE_CODES:
            raise ProtocolError(f"close code {code} must not be sent")
        try:
            return cls(code, payload[2:].decode())
        except UnicodeDecodeError:
            raise InvalidPayload("close reason is not UTF-8") from None

    def serialize(self) -> bytes:
        """The payload. A reason above 123 bytes of UTF-8 is cut between characters.

        Raises ValueError for a code that may not be sent.
        """
        if self.code == CloseCode.NO_STATUS_RECEIVED:
            return b""
        if self.code not in SENDABLE_CLOSE_CODES:
            raise ValueError(f"close code {self.code} must not be sent")
        reason = self.reason.encode("utf-8", "replace")[:MAX_CLOSE_REASON]
        return self.code.to_bytes(2) + reason.decode("utf-8", "ignore").encode()
