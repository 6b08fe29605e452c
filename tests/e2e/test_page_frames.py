"""Frames as the page reads and reconstructs them, module by module."""

import struct

import pytest

from tests.e2e.browser import run
from tests.e2e.raw_client import RawClient
from tests.wire import BINARY, CLOSE, TEXT, frame, frame_header

FRAMES = "wire/frames.js"

#: [name, bits, value], where the value may be a BigInt.
FIELDS = """({ headerFields }, header) =>
    headerFields(header).map(({ name, bits, value }) => [name, bits, String(value)])"""


def fields_of(page, header):
    return {name: (bits, value) for name, bits, value in run(page, FRAMES, FIELDS, header.hex())}


@pytest.mark.parametrize(
    ("length", "field", "extended"),
    [
        (0, 0, None),
        (125, 125, None),
        (126, 126, 16),
        (65_535, 126, 16),
        (65_536, 127, 64),
        ((1 << 64) - 1, 127, 64),
    ],
)
def test_the_fields_of_a_header_are_its_bits_in_their_order(module_page, length, field, extended):
    header = frame_header(BINARY, length, key=b"\x01\x02\xfe\xff")
    fields = fields_of(module_page, header)
    names = ["fin", "rsv1", "rsv2", "rsv3", "opcode", "mask", "length", "extended", "key"]
    assert list(fields) == [name for name in names if extended or name != "extended"]
    assert "".join(bits for bits, _ in fields.values()) == "".join(f"{b:08b}" for b in header)
    assert fields["opcode"] == ("0010", "2")
    assert fields["length"] == (f"{field:07b}", str(field))
    if extended:
        assert fields["extended"] == (f"{length:0{extended}b}", str(length))
    assert fields["key"] == (f"{0x0102FEFF:032b}", "0102feff")
    said = run(module_page, FRAMES, "(m, header) => String(m.lengthOf(header))", header.hex())
    assert said == str(length)


def test_a_header_without_a_mask_has_no_key(module_page):
    assert "key" not in fields_of(module_page, frame_header(TEXT, 5, key=b""))


@pytest.mark.parametrize("rsv", [4, 2, 1])
def test_each_reserved_bit_is_a_field(module_page, rsv):
    fields = fields_of(module_page, frame_header(TEXT, 0, fin=False, rsv=rsv << 4))
    assert fields["fin"] == ("0", "0")
    assert [fields[f"rsv{n}"][0] for n in (1, 2, 3)] == list(f"{rsv:03b}")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_reconstructed_frame_is_the_one_that_the_server_sends(module_page, plain_server, size):
    with RawClient(plain_server) as client:
        client.upgrade()
        client.send(frame(TEXT, "x" * size))
        header = frame_header(TEXT, size, key=b"")
        assert client._read(len(header)) == header
    made = run(
        module_page,
        FRAMES,
        "(m, payload, size) => m.reconstructFrame(1, payload, size)",
        b"x".hex() * min(size, 2000),
        size,
    )
    assert made["header"] == header.hex()
    assert made["payload_length"] == size
    assert made["payload"]["unmasked"] == b"x".hex() * min(size, 1024)
    assert made["payload"]["omitted"] == max(0, size - 1024)


@pytest.fixture(scope="module")
def plain_server(module_servers):
    return module_servers("--compression", "off")


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        (1005, "", b""),
        (1000, "", struct.pack("!H", 1000)),
        (4001, "Grüße", struct.pack("!H", 4001) + "Grüße".encode()),
    ],
)
def test_a_close_frame_is_reconstructed_and_read(module_page, code, reason, payload):
    close = "(m, code, reason) => m.reconstructClose(code, reason)"
    made = run(module_page, FRAMES, close, code, reason)
    assert made["header"] == frame_header(CLOSE, len(payload), key=b"").hex()
    assert made["payload"]["unmasked"] == payload.hex()
    read = run(module_page, FRAMES, "(m, hex) => m.closePayload(hex)", payload.hex())
    assert read == ({"code": code, "reason": reason} if payload else None)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"Hi\x00\x7f", [["0000", "48 69 00 7f", "Hi··"]]),
        (
            b"12345678\xff",
            [["0000", "31 32 33 34 35 36 37 38", "12345678"], ["0008", "ff".ljust(23), "·"]],
        ),
    ],
)
def test_a_dump_has_eight_bytes_to_a_line(module_page, data, lines):
    assert run(module_page, "ui/hex.js", "(m, hex) => m.dump(hex)", data.hex()) == lines
