"""Frames as bytes, written without the code under test (RFC 6455, section 5.2)."""

import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: The reserved bits in the first byte of a frame; RFC 7692 gives the first a meaning.
RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10

#: The masking key of the examples in section 5.7.
MASKING_KEY = bytes.fromhex("37fa213d")


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes = MASKING_KEY,
    size: int | None = None,
) -> bytes:
    """A frame; the options are those of ``frame_header``."""
    if isinstance(payload, str):
        payload = payload.encode()
    header = frame_header(opcode, len(payload), fin=fin, rsv=rsv, key=key, size=size)
    return header + mask(payload, key)


def frame_header(
    opcode: int,
    length: int,
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes = MASKING_KEY,
    size: int | None = None,
) -> bytes:
    """The header of a frame.

    ``rsv``: reserved bits that are set; ``key``: b"" for a frame that is not masked, as a server
    sends it; ``size``: bytes that the length takes, 1, 2 or 8, as few as possible by default.
    """
    first = bytes([fin << 7 | rsv | opcode])
    masked = 0x80 if key else 0
    if size is None:
        size = 1 if length <= 125 else 2 if length <= 0xFFFF else 8
    if size == 1:
        return first + bytes([masked | length]) + key
    marker, form = {2: (126, "!H"), 8: (127, "!Q")}[size]
    return first + bytes([masked | marker]) + struct.pack(form, length) + key


def mask(payload: bytes, key: bytes) -> bytes:
    """The payload masked, or unmasked, with a key of 4 bytes; as it is with b"" (section 5.3)."""
    if not key or not payload:
        return payload
    keys = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(len(payload))


def close_frame(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close frame as a client sends it."""
    return frame(CLOSE, close_payload(code, reason))


def close_payload(code: int | None = None, reason: bytes = b"") -> bytes:
    """The payload of a close frame (section 5.5.1)."""
    return b"" if code is None else struct.pack("!H", code) + reason
