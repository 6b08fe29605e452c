"""Every rule that a client can break, with the close code that it earns (sections 5 and 7)."""

import pytest

from echo.protocol.errors import MessageTooBig, ProtocolError
from echo.protocol.frames import Close
from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import LENGTHS, LIMIT, byte_by_byte, feed, new_parser, outcomes, sample
from tests.violations import ANYWHERE, BETWEEN_MESSAGES, INSIDE_A_MESSAGE, ONE_OF_EACH_RULE
from tests.wire import MASKING_KEY, frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

BEFORE = frame(TEXT, b"one") + frame(PING, b"two") + frame(BINARY, sample(BINARY, 130))
BEFORE_EVENTS = [(TEXT, b"one"), (PING, b"two"), (BINARY, sample(BINARY, 130))]

one_of_each_rule = pytest.mark.parametrize(
    ("bad", "code"), [pytest.param(data, code, id=name) for name, data, code in ONE_OF_EACH_RULE]
)


def unexpected(violations, before, events):
    """What does not end with the close code of its violation behind these events.

    ``before`` stands in front of each violation; the stream is cut in every way.
    """
    found = {name: (outcomes(before + data), code) for name, data, code in violations}
    return {
        name: results
        for name, (results, code) in found.items()
        if [(one.events, one.failure and one.failure[0].code) for one in results]
        != [(events, code)]
    }


def failures(stream: bytes, limit: int = LIMIT) -> set[type]:
    """The kinds of failure that the ways to cut a stream come to; there should be one."""
    return {failure[0] if failure else None for _, failure, _ in outcomes(stream, limit)}


def test_every_violation_fails_the_connection():
    assert unexpected([*ANYWHERE, *BETWEEN_MESSAGES], b"", []) == {}


def test_every_violation_inside_a_fragmented_message():
    before = frame(TEXT, b"Hel", fin=False) + frame(PONG)
    assert unexpected([*ANYWHERE, *INSIDE_A_MESSAGE], before, [(PONG, b"")]) == {}


def test_what_came_before_a_violation_is_given():
    assert unexpected(ONE_OF_EACH_RULE, BEFORE, BEFORE_EVENTS) == {}


@one_of_each_rule
def test_what_comes_after_a_violation_is_ignored(bad, code):
    late = frame(TEXT, b"late") + frame(PING) + frame(CLOSE) + b"\xff"
    for pieces in ([BEFORE + bad + late], [BEFORE + bad, late], [BEFORE, bad, late, late]):
        parser = new_parser()
        assert feed(parser, pieces) == BEFORE_EVENTS
        failure = parser.failure
        assert failure.code == code
        assert feed(parser, byte_by_byte(late)) == []
        assert parser.failure is failure


@one_of_each_rule
def test_reason_of_a_violation_fits_the_close_frame(bad, code):
    parser = new_parser()
    feed(parser, [bad])
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
    assert "unexpected RSV" in parser.failure.reason


@pytest.mark.parametrize("before", [b"", frame(Opcode.TEXT, b"before"), frame(Opcode.PING)])
@pytest.mark.parametrize(
    ("line_end", "said"),
    [
        (b"\r\n", "line end 0d 0a instead of a frame"),
        (b"\r\n\r\n", "line end 0d 0a instead of a frame"),
        (b"\n", "0a is a line end too"),
        (b"\n\n", "0a is a line end too"),
    ],
)
def test_a_line_end_instead_of_a_frame_is_named(line_end, said, before):
    (result,) = outcomes(before + line_end + frame(Opcode.TEXT, b"Hello"))
    assert len(result.events) == bool(before)
    kind, reason = result.failure
    assert kind is ProtocolError
    assert said in reason
    assert "behind the handshake" in reason
    assert len(reason) <= 123


@pytest.mark.parametrize("first", [b"\x0d\x8a", b"\x0d\x0d", b"\x8d\x0a", b"\x0d\x80"])
def test_another_reserved_opcode_is_no_line_end(first):
    (result,) = outcomes(first + bytes(4))
    assert result.failure == (ProtocolError, "reserved opcode 0xd")
