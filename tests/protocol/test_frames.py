"""Section 5.2: one table of (value, bytes) drives the parser and the serializer both."""

from dataclasses import FrozenInstanceError

import pytest

from echo.protocol.errors import ProtocolError
from echo.protocol.frames import Frame, FrameHeader, parse_header, serialize_header
from echo.protocol.masking import apply_mask
from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import LENGTHS, sample
from tests.wire import MASKING_KEY, frame, mask

#: How each length is written behind the first byte: unmasked, and masked.
WRITTEN_LENGTHS = {
    0: ("00", "80"),
    1: ("01", "81"),
    125: ("7d", "fd"),
    126: ("7e007e", "fe007e"),
    127: ("7e007f", "fe007f"),
    65535: ("7effff", "feffff"),
    65536: ("7f0000000000010000", "ff0000000000010000"),
    65537: ("7f0000000000010001", "ff0000000000010001"),
    2**32: ("7f0000000100000000", "ff0000000100000000"),
    2**63 - 1: ("7f7fffffffffffffff", "ff7fffffffffffffff"),
}


def headers(opcode: Opcode, *, masked: bool):
    """Headers of an opcode with every length that it may go with, and their bytes."""
    control = opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG)
    key = MASKING_KEY if masked else b""
    for fin, rsv in ((True, 0), (True, 0x70)) if control else ((True, 0), (True, 0x70), (False, 0)):
        for length, written in WRITTEN_LENGTHS.items():
            if not control or length <= 125:
                first = (0x80 if fin else 0) | rsv | opcode
                wire = bytes([first]) + bytes.fromhex(written[masked]) + key
                yield FrameHeader(fin, rsv, opcode, key, length, len(wire)), wire


HEADERS = [
    pytest.param(list(headers(opcode, masked=masked)), id=f"{opcode.name}-{masked}")
    for opcode in Opcode
    for masked in (False, True)
]

#: Section 5.7, byte for byte; the payloads of the last two are the RFC's "256 bytes" and "64KiB".
EXAMPLES = [
    pytest.param("810548656c6c6f", Frame(Opcode.TEXT, b"Hello"), b"", id="text-unmasked"),
    pytest.param(
        "818537fa213d7f9f4d5158", Frame(Opcode.TEXT, b"Hello"), MASKING_KEY, id="text-masked"
    ),
    pytest.param("010348656c", Frame(Opcode.TEXT, b"Hel", fin=False), b"", id="fragment-1"),
    pytest.param("80026c6f", Frame(Opcode.CONTINUATION, b"lo"), b"", id="fragment-2"),
    pytest.param("890548656c6c6f", Frame(Opcode.PING, b"Hello"), b"", id="ping"),
    pytest.param(
        "8a8537fa213d7f9f4d5158", Frame(Opcode.PONG, b"Hello"), MASKING_KEY, id="pong-masked"
    ),
    pytest.param("827e0100" + "a7" * 256, Frame(Opcode.BINARY, b"\xa7" * 256), b"", id="256-bytes"),
    pytest.param(
        "827f0000000000010000" + "a7" * 65536,
        Frame(Opcode.BINARY, b"\xa7" * 65536),
        b"",
        id="64-kib",
    ),
]

#: Bytes that are enough to see that they begin no frame, and a word of the reason.
BAD_HEADERS = [
    *(
        pytest.param(
            bytes([fin | opcode, mask]),
            f"reserved opcode {opcode:#x}",
            id=f"opcode-{fin | opcode:x}-{mask}",
        )
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
        for fin in (0x00, 0x80)
        for mask in (0x00, 0x80)
    ),
    *(
        pytest.param(bytes([opcode, 0x80]), f"{name} frame is fragmented", id=f"fragmented-{name}")
        for opcode, name in ((0x8, "close"), (0x9, "ping"), (0xA, "pong"))
    ),
    pytest.param(b"\r\n", "line end .* instead of a frame", id="CRLF"),
    pytest.param(b"\n\x81", "0a is a line end too", id="LF"),
    *(
        pytest.param(bytes([0x80 | opcode, length]), "125", id=f"long-control-{opcode:x}-{length}")
        for opcode in (0x8, 0x9, 0xA)
        for length in (126, 127, 0x80 | 126, 0x80 | 127)
    ),
    *(
        pytest.param(
            bytes([0x82, mask | 126]) + length.to_bytes(2), "shortest", id=f"16-bit-{length}-{mask}"
        )
        for length in (0, 1, 125)
        for mask in (0x00, 0x80)
    ),
    *(
        pytest.param(
            bytes([0x82, mask | 127]) + length.to_bytes(8), "shortest", id=f"64-bit-{length}-{mask}"
        )
        for length in (0, 1, 125, 126, 127, 65535)
        for mask in (0x00, 0x80)
    ),
    *(
        pytest.param(
            bytes([0x82, mask | 127]) + length.to_bytes(8), "top bit", id=f"top-{length:x}-{mask}"
        )
        for length in (2**63, 2**63 + 65536, 2**64 - 1)
        for mask in (0x00, 0x80)
    ),
]


@pytest.mark.parametrize("pairs", HEADERS)
def test_header_is_parsed(pairs):
    for header, wire in pairs:
        parsed = parse_header(wire, 0, len(wire))
        assert parsed == header
        assert isinstance(parsed.opcode, Opcode)
        assert isinstance(parsed.masking_key, bytes)


@pytest.mark.parametrize("pairs", HEADERS)
def test_header_is_serialized(pairs):
    for header, wire in pairs:
        fin, rsv, opcode, key, length, _ = header
        assert serialize_header(opcode, length, fin=fin, rsv=rsv, masking_key=key) == wire


@pytest.mark.parametrize("pairs", HEADERS)
def test_header_that_is_not_whole_needs_more(pairs):
    for _, wire in pairs:
        for end in range(len(wire)):
            assert parse_header(wire, 0, end) is None
            assert parse_header(wire[:end], 0, end) is None


@pytest.mark.parametrize("pairs", HEADERS)
def test_header_is_found_where_it_stands(pairs):
    for header, wire in pairs:
        data = bytearray(b"\xff\xff\xff" + wire + b"\xff\xff")
        assert parse_header(data, 3, len(data)) == header


@pytest.mark.parametrize(("wire", "word"), BAD_HEADERS)
def test_bad_header_is_an_error_as_soon_as_it_shows(wire, word):
    with pytest.raises(ProtocolError, match=word):
        parse_header(wire, 0, len(wire))
    with pytest.raises(ProtocolError, match=word):
        parse_header(b"\x00" + wire + MASKING_KEY, 1, len(wire) + 5)
    for end in range(len(wire)):
        assert parse_header(wire, 0, end) is None


@pytest.mark.parametrize(("wire", "word"), BAD_HEADERS)
def test_bad_frame_is_an_error(wire, word):
    with pytest.raises(ProtocolError, match=word):
        Frame.parse(wire)


def test_header_defaults_to_a_whole_unmasked_frame():
    assert serialize_header(Opcode.BINARY, 5) == b"\x82\x05"


@pytest.mark.parametrize(("wire", "value", "key"), EXAMPLES)
def test_example_of_section_5_7_is_parsed(wire, value, key):
    data = bytes.fromhex(wire)
    assert Frame.parse(data) == (value, len(data))


@pytest.mark.parametrize(("wire", "value", "key"), EXAMPLES)
def test_example_of_section_5_7_is_serialized(wire, value, key):
    assert value.serialize(key).hex() == wire


@pytest.mark.parametrize("key", [b"", MASKING_KEY], ids=["unmasked", "masked"])
@pytest.mark.parametrize("length", LENGTHS)
def test_frame_of_every_length_goes_both_ways(length, key):
    value = Frame(Opcode.BINARY, sample(Opcode.BINARY, length))
    wire = frame(Opcode.BINARY, value.payload, key=key)
    assert value.serialize(key) == wire
    assert Frame.parse(wire) == (value, len(wire))


@pytest.mark.parametrize("key", [b"", MASKING_KEY], ids=["unmasked", "masked"])
@pytest.mark.parametrize("length", LENGTHS)
def test_frame_with_bytes_to_spare_ends_where_it_ends(length, key):
    value = Frame(Opcode.BINARY, sample(Opcode.BINARY, length))
    wire = frame(Opcode.BINARY, value.payload, key=key)
    for spare in (b"\x00", b"\xff" * 20, wire):
        assert Frame.parse(wire + spare) == (value, len(wire))


@pytest.mark.parametrize("key", [b"", MASKING_KEY], ids=["unmasked", "masked"])
@pytest.mark.parametrize("length", LENGTHS)
def test_frame_that_is_not_whole_needs_more(length, key):
    wire = frame(Opcode.BINARY, sample(Opcode.BINARY, length), key=key)
    ends = {*range(min(len(wire), 300)), *range(300, len(wire), 7919), len(wire) - 1}
    assert [end for end in ends if Frame.parse(wire[:end]) is not None] == []


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("rsv", [0x00, 0x10, 0x20, 0x40, 0x70])
def test_first_byte_says_fin_and_reserved_bits(fin, rsv):
    value = Frame(Opcode.TEXT, b"x", fin, rsv)
    wire = value.serialize()
    assert wire[0] == (0x80 if fin else 0) | rsv | 1
    assert Frame.parse(wire) == (value, len(wire))


def test_frame_is_whole_and_empty_unless_told():
    assert Frame(Opcode.PING).serialize() == b"\x89\x00"


def test_frame_is_a_value():
    value = Frame(Opcode.TEXT, b"x")
    assert value == Frame(Opcode.TEXT, b"x")
    assert value != Frame(Opcode.BINARY, b"x")
    with pytest.raises(FrozenInstanceError):
        value.payload = b"y"


@pytest.mark.parametrize(
    "key",
    [MASKING_KEY, b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01"],
    ids=bytes.hex,
)
def test_mask_is_exclusive_or_with_the_key_over_and_over(key):
    for length in [*range(34), *LENGTHS[2:]]:
        payload = sample(Opcode.BINARY, length)
        masked = apply_mask(payload, key)
        assert masked == mask(payload, key)
        assert apply_mask(masked, key) == payload


def test_mask_makes_a_copy():
    payload, key = bytearray(b"Hello"), bytearray(MASKING_KEY)
    masked = apply_mask(payload, key)
    payload[:] = key[:] = b""
    assert masked == bytes.fromhex("7f9f4d5158")
