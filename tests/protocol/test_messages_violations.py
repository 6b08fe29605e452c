"""Every rule that a client can break, with the close code that it earns (sections 5 and 7)."""

import pytest

from echo.protocol.errors import InvalidPayload, MessageTooBig, ProtocolError
from echo.protocol.frames import Close
from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import LENGTHS, LIMIT, byte_by_byte, feed, new_parser, outcomes, sample
from tests.wire import MASKING_KEY, frame

pytestmark = pytest.mark.no_cover

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

#: Rules that a frame breaks wherever it stands.
ANYWHERE = [
    *(
        pytest.param(frame(kind, b"Hello", key=b""), ProtocolError, id=f"unmasked-{kind.name}")
        for kind in Opcode
    ),
    *(
        pytest.param(
            frame(kind, payload, fin=fin, key=b""),
            ProtocolError,
            id=f"unmasked-{kind.name}-{fin}-{len(payload)}",
        )
        for kind in (CONTINUATION, TEXT, BINARY)
        for fin in (True, False)
        for payload in (b"", b"\x00" * 20, b"\x00" * 124)
    ),
    *(
        pytest.param(frame(kind, b"", rsv=rsv), ProtocolError, id=f"rsv-{rsv:x}-{kind.name}")
        for kind in Opcode
        for rsv in (0x40, 0x20, 0x10, 0x70)
    ),
    *(
        pytest.param(frame(opcode, b"x"), ProtocolError, id=f"reserved-opcode-{opcode:x}")
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
    ),
    *(
        pytest.param(frame(kind, b"x", fin=False), ProtocolError, id=f"fragmented-{kind.name}")
        for kind in (CLOSE, PING, PONG)
    ),
    *(
        pytest.param(
            frame(kind, b"\x03\xe8".ljust(length, b"x"))[:150],
            ProtocolError,
            id=f"long-{kind.name}-{length}",
        )
        for kind in (CLOSE, PING, PONG)
        for length in (126, 127, 65535, 65536, 65537)
    ),
    *(
        pytest.param(
            b"\x82\xfe" + length.to_bytes(2) + MASKING_KEY,
            ProtocolError,
            id=f"length-in-16-bits-{length}",
        )
        for length in (0, 1, 125)
    ),
    *(
        pytest.param(
            b"\x82\xff" + length.to_bytes(8) + MASKING_KEY,
            ProtocolError,
            id=f"length-in-64-bits-{length}",
        )
        for length in (0, 1, 125, 126, 127, 65535)
    ),
    *(
        pytest.param(
            b"\x82\xff" + length.to_bytes(8) + MASKING_KEY, ProtocolError, id=f"length-{length:x}"
        )
        for length in (2**63, 2**64 - 1)
    ),
    *(
        pytest.param(frame(CLOSE, payload), ProtocolError, id=f"close-of-one-byte-{payload.hex()}")
        for payload in (b"\x00", b"\x03", b"\xff")
    ),
    *(
        pytest.param(frame(CLOSE, code.to_bytes(2) + reason), ProtocolError, id=f"close-{code}")
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
        for reason in (b"", b"bye")
    ),
    *(
        pytest.param(
            frame(CLOSE, b"\x03\xe8" + reason), InvalidPayload, id=f"close-reason-{reason.hex()}"
        )
        for reason in (b"\xff", b"\xc3", b"ok\xed\xa0\x80", b"x" * 122 + b"\x80")
    ),
]

#: Rules about the order of frames, broken between messages and inside of one.
BETWEEN_MESSAGES = [
    pytest.param(frame(CONTINUATION, payload, fin=fin), ProtocolError, id=f"continuation-{fin}")
    for payload in (b"", b"Hello")
    for fin in (True, False)
]
INSIDE_A_MESSAGE = [
    pytest.param(frame(kind, payload, fin=fin), ProtocolError, id=f"new-{kind.name}-{fin}")
    for kind in (TEXT, BINARY)
    for payload in (b"", b"Hello", sample(TEXT, 126))
    for fin in (True, False)
]

BEFORE = frame(TEXT, b"one") + frame(PING, b"two") + frame(BINARY, sample(BINARY, 130))
BEFORE_EVENTS = [(TEXT, b"one"), (PING, b"two"), (BINARY, sample(BINARY, 130))]
OPEN = frame(TEXT, b"Hel", fin=False) + frame(PONG)


def failures(stream: bytes, limit: int = LIMIT) -> set[type]:
    """The kinds of failure that the ways to cut a stream come to; there should be one."""
    return {failure[0] if failure else None for _, failure, _ in outcomes(stream, limit)}


@pytest.mark.parametrize(("bad", "error"), [*ANYWHERE, *BETWEEN_MESSAGES])
def test_violation_fails_the_connection(bad, error):
    (result,) = outcomes(bad)
    assert result.events == []
    assert result.failure[0] is error


@pytest.mark.parametrize(("bad", "error"), [*ANYWHERE, *BETWEEN_MESSAGES])
def test_what_came_before_a_violation_is_given(bad, error):
    (result,) = outcomes(BEFORE + bad)
    assert result.events == BEFORE_EVENTS
    assert result.failure[0] is error


@pytest.mark.parametrize(("bad", "error"), [*ANYWHERE, *INSIDE_A_MESSAGE])
def test_violation_inside_a_fragmented_message(bad, error):
    (result,) = outcomes(OPEN + bad)
    assert result.events == [(PONG, b"")]
    assert result.failure[0] is error


@pytest.mark.parametrize(("bad", "error"), [*ANYWHERE, *BETWEEN_MESSAGES])
def test_what_comes_after_a_violation_is_ignored(bad, error):
    late = frame(TEXT, b"late") + frame(PING) + frame(CLOSE) + b"\xff"
    for pieces in ([BEFORE + bad + late], [BEFORE + bad, late], [BEFORE, bad, late, late]):
        parser = new_parser()
        assert feed(parser, pieces) == BEFORE_EVENTS
        assert type(parser.failure) is error
        failure = parser.failure
        assert feed(parser, byte_by_byte(late)) == []
        assert parser.failure is failure


@pytest.mark.parametrize(("bad", "error"), [*ANYWHERE, *BETWEEN_MESSAGES, *INSIDE_A_MESSAGE])
def test_reason_of_a_violation_fits_the_close_frame(bad, error):
    parser = new_parser()
    inside = bad in [parameters.values[0] for parameters in INSIDE_A_MESSAGE]
    feed(parser, [OPEN + bad if inside else bad])
    failure = parser.failure
    assert failure.reason
    close = Close(failure.code, failure.reason)
    assert Close.parse(close.serialize()) == close


@pytest.mark.parametrize(
    ("header", "error"),
    [
        pytest.param(b"\x83\x85", ProtocolError, id="reserved-opcode"),
        pytest.param(b"\x09\x85", ProtocolError, id="fragmented-control"),
        pytest.param(b"\x89\xfe", ProtocolError, id="long-control"),
        pytest.param(b"\x82\x05", ProtocolError, id="unmasked"),
        pytest.param(b"\x82\x7e\xff\xff", ProtocolError, id="unmasked-long"),
        pytest.param(b"\xc1\x85" + MASKING_KEY, ProtocolError, id="reserved-bit"),
        pytest.param(b"\x80\x85" + MASKING_KEY, ProtocolError, id="continuation"),
        pytest.param(b"\x82\xfe\x00\x7d", ProtocolError, id="length-not-minimal"),
        pytest.param(b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", ProtocolError, id="top-bit"),
        pytest.param(
            b"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x01" + MASKING_KEY, MessageTooBig, id="big"
        ),
        pytest.param(
            b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + MASKING_KEY, MessageTooBig, id="2**63"
        ),
    ],
)
def test_header_alone_is_enough_to_fail(header, error):
    assert failures(header) == {error}


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("length", LENGTHS)
def test_message_at_the_limit_passes(kind, length):
    payload = sample(kind, length)
    (result,) = outcomes(frame(kind, payload), limit=length)
    assert result == ([(kind, payload)], None, True)


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("length", LENGTHS[1:])
def test_message_above_the_limit_fails(kind, length):
    stream = frame(kind, sample(kind, length))
    assert failures(stream, limit=length - 1) == {MessageTooBig}


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("length", LENGTHS[1:])
def test_message_above_the_limit_fails_before_its_payload(kind, fin, length):
    whole = frame(kind, sample(kind, length), fin=fin)
    assert failures(whole[: len(whole) - length], limit=length - 1) == {MessageTooBig}


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("length", LENGTHS)
def test_fragments_at_the_limit_pass(kind, length):
    half = length // 2
    payload = sample(kind, length)
    stream = (
        frame(kind, payload[:half], fin=False)
        + frame(PING, b"pings do not count")
        + frame(CONTINUATION, payload[half:], fin=False)
        + frame(CONTINUATION, b"")
    )
    (result,) = outcomes(stream, limit=length)
    assert result == ([(PING, b"pings do not count"), (kind, payload)], None, True)


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("length", LENGTHS[1:])
def test_fragments_above_the_limit_fail_at_the_header_that_exceeds_it(kind, length):
    stream = (
        frame(kind, sample(kind, length), fin=False)
        + frame(PING)
        + frame(CONTINUATION, b"", fin=False)
        + frame(CONTINUATION, b"x")[:-1]
    )
    (result,) = outcomes(stream, limit=length)
    assert result.events == [(PING, b"")]
    assert result.failure[0] is MessageTooBig


def test_each_message_has_the_whole_limit():
    half = frame(BINARY, b"12345", fin=False) + frame(CONTINUATION, b"67890")
    stream = frame(TEXT, b"1234567890") + half + half + frame(TEXT, b"1234567890")
    (result,) = outcomes(stream, limit=10)
    assert [payload for _, payload in result.events] == [b"1234567890"] * 4
    assert result.failure is None


@pytest.mark.parametrize("limit", [0, 1, 10, 124])
def test_short_messages_behind_each_other_obey_the_limit(limit):
    fits = frame(BINARY, sample(BINARY, limit))
    stream = fits + fits + frame(BINARY, sample(BINARY, limit + 1)) + fits
    (result,) = outcomes(stream, limit=limit)
    assert result.events == [(BINARY, sample(BINARY, limit))] * 2
    assert result.failure[0] is MessageTooBig


@pytest.mark.parametrize("control", [PING, PONG])
def test_control_frames_are_not_measured_by_the_limit(control):
    (result,) = outcomes(frame(control, b"x" * 125), limit=1)
    assert result == ([(control, b"x" * 125)], None, True)


def test_reason_for_a_big_message_names_the_limit():
    (result,) = outcomes(frame(BINARY, sample(BINARY, 200)), limit=199)
    assert "199 bytes" in result.failure[1]


@pytest.mark.parametrize("second", [0x7D, 0x7E, 0x7F, 0x05, 0x00])
def test_an_unmasked_frame_is_known_by_its_first_two_bytes(second):
    parser = new_parser()
    assert feed(parser, [bytes([0x82, second])]) == []
    assert parser.failure.reason == "a client must mask its frames"


@pytest.mark.parametrize("rsv", [0x40, 0x20, 0x10])
def test_a_reserved_bit_is_known_by_the_first_two_bytes(rsv):
    parser = new_parser()
    assert feed(parser, [bytes([0x82 | rsv, 0xFF])]) == []
    assert "reserved bit" in parser.failure.reason
