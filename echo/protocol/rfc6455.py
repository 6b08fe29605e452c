"""The numbers of RFC 6455, each with its section. A leaf: it imports nothing of this project."""

from enum import IntEnum
from typing import Final

#: Section 1.3: appended to the client's key before hashing.
GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: Section 4.1: the only value of Sec-WebSocket-Version that the RFC defines.
VERSION: Final = "13"

#: Section 4.1: a Sec-WebSocket-Key is the base64 of this many random bytes.
KEY_BYTES: Final = 16


class Opcode(IntEnum):
    """Section 5.2: what a frame carries. Control opcodes have the bit 0x8 set (section 5.5)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


#: Section 5.2: the masks of a header's first two bytes.
FIN: Final = 0x80
RSV1: Final = 0x40
RSV2: Final = 0x20
RSV3: Final = 0x10
RSV_BITS: Final = RSV1 | RSV2 | RSV3
OPCODE_BITS: Final = 0x0F
CONTROL_BIT: Final = 0x08
MASK: Final = 0x80
LENGTH_BITS: Final = 0x7F

#: Section 5.2: the values of the 7-bit length that announce a longer one.
LENGTH_16: Final = 126
LENGTH_64: Final = 127

#: Section 5.2: the smallest length that is written in 64 bits.
SMALLEST_64: Final = 1 << 16

#: Section 5.2: the most significant bit of a 64-bit length is 0.
MAX_PAYLOAD_LENGTH: Final = 2**63 - 1

#: Section 5.5: a control frame's payload, in bytes.
MAX_CONTROL_PAYLOAD: Final = 125

#: Section 5.5.1: a control frame's payload less the two bytes of the close code.
MAX_CLOSE_REASON: Final = MAX_CONTROL_PAYLOAD - 2


class CloseCode(IntEnum):
    """Section 7.4.1, and the codes that IANA has registered since (1012 to 1014)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005  # never on the wire: a close frame without a code
    ABNORMAL_CLOSURE = 1006  # never on the wire: no close frame at all
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015  # never on the wire


_CLOSE_CODE_NAMES: Final = {int(code): code.name for code in CloseCode}


def close_code_name(code: int) -> str | None:
    """The name of a close code, None for one without."""
    return _CLOSE_CODE_NAMES.get(code)


#: Sections 7.4.1 and 7.4.2: the codes that may stand in a close frame.
SENDABLE_CLOSE_CODES: Final = frozenset(
    [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]
)
