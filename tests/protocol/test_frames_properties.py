"""Properties of frames and close payloads; the websockets package is the second opinion."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from websockets import frames as reference

from echo.protocol.errors import InvalidPayload, ProtocolError
from echo.protocol.frames import Close, Frame, parse_header, serialize_header
from echo.protocol.masking import apply_mask
from echo.protocol.rfc6455 import SENDABLE_CLOSE_CODES, Opcode
from tests.protocol.streams import MODEST
from tests.wire import MASKING_KEY, mask

CONTROL = (Opcode.CLOSE, Opcode.PING, Opcode.PONG)

#: Data frames with every combination of the upper four bits.
FIRST_BYTES = [bytes([bits << 4 | opcode]) for opcode in (0, 1, 2) for bits in range(16)]

keys = st.just(b"") | st.binary(min_size=4, max_size=4)
rsvs = st.integers(0, 7).map(lambda bits: bits << 4)
payloads = st.binary(max_size=300) | st.builds(
    bytes.__mul__, st.binary(min_size=1, max_size=1), st.integers(65530, 65540)
)
data_frames = st.builds(
    Frame,
    st.sampled_from([Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY]),
    payloads,
    st.booleans(),
    rsvs,
)
control_frames = st.builds(
    Frame, st.sampled_from(CONTROL), st.binary(max_size=125), st.just(True), rsvs
)
frames = data_frames | control_frames
closes = st.builds(Close, st.sampled_from(sorted(SENDABLE_CLOSE_CODES)), st.text(max_size=30))


def our_verdict(payload: bytes) -> tuple[int, str] | str:
    try:
        close = Close.parse(payload)
    except ProtocolError:
        return "protocol error"
    except InvalidPayload:
        return "not UTF-8"
    return close.code, close.reason


def their_verdict(payload: bytes) -> tuple[int, str] | str:
    try:
        close = reference.Close.parse(payload)
    except reference.ProtocolError:
        return "protocol error"
    except UnicodeDecodeError:
        return "not UTF-8"
    return close.code, close.reason


@MODEST
@given(frames, keys, st.binary(max_size=20))
def test_parse_inverts_serialize(frame, key, spare):
    wire = frame.serialize(key)
    assert Frame.parse(wire + spare) == (frame, len(wire))


@MODEST
@given(
    st.sampled_from(FIRST_BYTES),
    st.integers(0, 20).map(lambda length: bytes([length])) | st.just(b"\x7e\x00\x7e"),
    st.booleans(),
    st.binary(min_size=130, max_size=140),
)
def test_serialize_inverts_parse(first, length, mask, rest):
    data = first + bytes([length[0] | (0x80 if mask else 0)]) + length[1:] + rest
    parsed = Frame.parse(data)
    assert parsed is not None
    frame, size = parsed
    masking_key = rest[:4] if mask else b""
    assert frame.serialize(masking_key) == data[:size]


@MODEST
@given(
    st.sampled_from([Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY]),
    st.integers(0, 2**63 - 1)
    | st.sampled_from([125, 126, 65535, 65536])
    | st.integers(0, 63).map(lambda bits: (1 << bits) - 1),
    st.booleans(),
    rsvs,
    keys,
)
def test_header_parse_inverts_header_serialize(opcode, length, fin, rsv, key):
    wire = serialize_header(opcode, length, fin=fin, rsv=rsv, masking_key=key)
    assert parse_header(wire, 0, len(wire)) == (fin, rsv, opcode, key, length, len(wire))


@MODEST
@given(payloads, st.binary(min_size=4, max_size=4))
def test_mask_is_its_own_inverse(payload, key):
    assert apply_mask(apply_mask(payload, key), key) == payload


@MODEST
@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_mask_is_the_one_of_section_5_3(payload, key):
    assert apply_mask(payload, key) == mask(payload, key)


@MODEST
@given(
    st.binary(max_size=40)
    | st.builds(bytes.__add__, st.binary(max_size=14), st.just(MASKING_KEY * 9))
)
def test_random_bytes_raise_nothing_but_protocol_errors(data):
    with suppress(ProtocolError):
        parsed = Frame.parse(data)
        assert parsed is None or parsed[1] <= len(data)


@MODEST
@given(closes)
def test_close_parse_inverts_close_serialize(close):
    # Thirty characters may have 120 bytes, so nothing is cut.
    assert Close.parse(close.serialize()) == close


@MODEST
@given(
    st.binary(max_size=125) | st.builds(bytes.__add__, st.just(b"\x03\xe8"), st.binary(max_size=9))
)
def test_random_close_payload_raises_nothing_but_its_errors(payload):
    with suppress(ProtocolError, InvalidPayload):
        assert Close.parse(payload).serialize() == payload


@MODEST
@given(st.integers(1000, 5000), st.text())
def test_close_always_fits_a_control_frame(code, reason):
    with suppress(ValueError):
        payload = Close(code, reason).serialize()
        assert len(payload) <= 125
        assert reason.encode("utf-8", "replace").startswith(payload[2:])


@MODEST
@given(frames.filter(lambda frame: not frame.rsv))
def test_websockets_writes_the_same_bytes(frame):
    other = reference.Frame(reference.Opcode(frame.opcode), frame.payload, frame.fin)
    assert frame.serialize() == other.serialize(mask=False)


@MODEST
@given(frames.filter(lambda frame: not frame.rsv))
def test_what_websockets_masks_is_read_the_same(frame):
    other = reference.Frame(reference.Opcode(frame.opcode), frame.payload, frame.fin)
    wire = other.serialize(mask=True)
    assert Frame.parse(wire) == (frame, len(wire))


@MODEST
@given(
    st.binary(max_size=1)
    # With a bad code and a bad reason both, either may be found first.
    | st.builds(bytes.__add__, st.binary(min_size=2, max_size=2), st.text().map(str.encode))
    | st.builds(bytes.__add__, st.just(b"\x0b\xb8"), st.binary(max_size=8))
)
def test_websockets_judges_close_payloads_the_same(payload):
    assert our_verdict(payload) == their_verdict(payload)
