"""Compressed messages in their frames: RFC 7692, sections 6 and 7.2.2, however a stream is cut."""

import pytest

from echo.protocol.errors import InvalidPayload, ProtocolError
from echo.protocol.rfc6455 import MAX_CLOSE_REASON, Opcode
from tests.protocol.streams import (
    FORGETFUL,
    KEEPING,
    LIMIT,
    Outcome,
    compressed,
    deflate,
    feed,
    new_parser,
    outcome,
    outcomes,
    sample,
)
from tests.wire import RSV1, RSV2, RSV3, frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

BOTH = pytest.mark.parametrize("agreed", [FORGETFUL, KEEPING], ids=["forgetful", "keeping"])

#: Section 7.2.3.1: "Hello", compressed; and 7.2.3.2: once more, with the context of the first.
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")
AGAIN = bytes.fromhex("f2 00 11 00 00")

#: An empty stored block: it adds five bytes to what is compressed and nothing to the message.
NOTHING = bytes.fromhex("00 00 00 ff ff")


def violation(stream, agreed=FORGETFUL):
    """The one violation that every way to cut the stream comes to: its kind and its reason."""
    (result,) = outcomes(stream, LIMIT, agreed)
    assert result.failure is not None, result
    assert 0 < len(result.failure[1].encode()) <= MAX_CLOSE_REASON
    return result.failure


def gives(stream, *events, agreed=FORGETFUL):
    """Whether every way to cut the stream gives these events and nothing half."""
    return outcomes(stream, LIMIT, agreed) == [Outcome(list(events), None, idle=True)]


# ---- Messages


@BOTH
@pytest.mark.parametrize("length", [1, 5, 125, 126, 300, 70_000])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_in_one_frame(kind, length, agreed):
    message = sample(kind, length)
    assert gives(compressed(kind, deflate(message)), (kind, message), agreed=agreed)


@BOTH
@pytest.mark.parametrize("sizes", [(0,), (1,), (3,), (7,), (1, 1, 1, 1, 1, 1, 1), (0, 0, 2, 0)])
def test_in_fragments_only_the_first_has_rsv1(sizes, agreed):
    assert gives(compressed(TEXT, HELLO, sizes), (TEXT, b"Hello"), agreed=agreed)


@BOTH
def test_a_ping_between_fragments_is_not_compressed(agreed):
    stream = compressed(TEXT, HELLO, (2, 2), between=frame(PING, b"ping"))
    assert gives(stream, (PING, b"ping"), (PING, b"ping"), (TEXT, b"Hello"), agreed=agreed)


@BOTH
@pytest.mark.parametrize("payload", [b"\x00", b"\x02\x00", b"\x01\x00\x00\xff\xff", NOTHING * 3])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_an_empty_message(kind, payload, agreed):
    payload = payload if len(payload) < 15 else payload + b"\x00"
    stream = compressed(kind, payload) + compressed(kind, HELLO)
    assert gives(stream, (kind, b""), (kind, b"Hello"), agreed=agreed)


@BOTH
def test_messages_that_are_not_compressed_come_between(agreed):
    text = sample(TEXT, 200)
    stream = (
        frame(TEXT, text)
        + compressed(TEXT, HELLO)
        + frame(BINARY, b"plain", fin=False)
        + frame(CONTINUATION, b" still")
        + compressed(BINARY, HELLO, (3,))
        + frame(TEXT)
    )
    events = (TEXT, text), (TEXT, b"Hello"), (BINARY, b"plain still"), (BINARY, b"Hello")
    assert gives(stream, *events, (TEXT, b""), agreed=agreed)


def test_the_context_goes_on_behind_a_message_that_is_not_compressed():
    stream = compressed(TEXT, HELLO) + frame(TEXT, b"plain") + compressed(TEXT, AGAIN, (2,))
    events = (TEXT, b"Hello"), (TEXT, b"plain"), (TEXT, b"Hello")
    assert gives(stream, *events, agreed=KEEPING)
    assert violation(stream, agreed=FORGETFUL)[0] is InvalidPayload


def test_a_message_is_idle_only_behind_its_last_fragment():
    parser = new_parser(agreed=FORGETFUL)
    feed(parser, [compressed(TEXT, HELLO, (7,))[:-1]])
    assert not parser.idle


# ---- RSV bits


def test_rsv1_without_the_extension():
    (result,) = outcomes(compressed(TEXT, HELLO))
    assert result.failure[0] is ProtocolError
    assert "no extension is negotiated" in result.failure[1]


@BOTH
@pytest.mark.parametrize("first", [0, RSV1])
@pytest.mark.parametrize("fin", [True, False])
def test_rsv1_on_a_continuation(first, fin, agreed):
    beginning = frame(TEXT, HELLO[:3] if first else b"Hel", fin=False, rsv=first)
    stream = beginning + frame(CONTINUATION, HELLO[3:], fin=fin, rsv=RSV1)
    assert violation(stream, agreed=agreed)[0] is ProtocolError


@BOTH
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x00"])
@pytest.mark.parametrize("kind", [CLOSE, PING, PONG])
def test_rsv1_on_a_control_frame(kind, payload, agreed):
    assert violation(frame(kind, payload, rsv=RSV1), agreed=agreed)[0] is ProtocolError
    inside = frame(TEXT, HELLO, fin=False, rsv=RSV1) + frame(kind, payload, rsv=RSV1)
    assert violation(inside, agreed=agreed)[0] is ProtocolError


@BOTH
@pytest.mark.parametrize("rsv", [RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV3, RSV2 | RSV3, 0x70])
def test_rsv2_and_rsv3_mean_nothing(rsv, agreed):
    for kind in Opcode:
        assert violation(frame(kind, b"", rsv=rsv), agreed=agreed)[0] is ProtocolError


def test_a_compressed_message_has_to_be_masked():
    stream = frame(TEXT, HELLO, rsv=RSV1, key=b"")
    assert violation(stream) == (ProtocolError, "a client must mask its frames")


# ---- What is no message


@BOTH
@pytest.mark.parametrize("sizes", [(), (2,), (0, 4)])
@pytest.mark.parametrize("payload", [HELLO[:-2], b"\x04", NOTHING[:3]])
def test_what_ends_in_the_middle_of_a_block(payload, sizes, agreed):
    stream = frame(TEXT, b"before") + compressed(TEXT, payload, sizes)
    (result,) = outcomes(stream, LIMIT, agreed)
    assert result.events == [(TEXT, b"before")]
    kind, reason = result.failure
    assert kind is InvalidPayload
    assert reason.startswith("not DEFLATE: ")


@BOTH
@pytest.mark.parametrize("sizes", [(), (2,), (0, 4), (8, 1, 1)])
@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (HELLO + NOTHING[1:], "ends with 00 00 ff ff: remove these octets"),
        (b"", "no bytes: send an empty one as the byte 00"),
        (b"\x78\x9c" + HELLO + bytes(4), "zlib's format"),
        (b"\x1f\x8b\x08" + bytes(7) + HELLO, "gzip's format"),
    ],
)
def test_what_clients_get_wrong_is_named(payload, said, sizes, agreed):
    stream = frame(TEXT, b"before") + compressed(TEXT, payload, sizes)
    kind, reason = violation(stream, agreed)
    assert kind is InvalidPayload
    assert said in reason


def test_a_reference_to_an_earlier_message_is_named():
    stream = compressed(TEXT, HELLO) + compressed(TEXT, AGAIN, (2,))
    kind, reason = violation(stream)
    assert kind is InvalidPayload
    assert reason.endswith("refers to an earlier one; client_no_context_takeover is agreed")


@BOTH
@pytest.mark.parametrize("more", [b"", HELLO])
@pytest.mark.parametrize("payload", [b"\x07", b"\xff\xff", HELLO + b"\x06\x07\x00\x00"])
def test_what_is_corrupt_fails_before_the_message_ends(payload, more, agreed):
    stream = frame(BINARY, payload, fin=False, rsv=RSV1) + frame(CONTINUATION, more, fin=False)
    kind, reason = violation(stream, agreed=agreed)
    assert kind is InvalidPayload
    assert reason.startswith("not DEFLATE: ")


@BOTH
def test_text_fails_at_its_first_bad_byte_though_more_is_announced(agreed):
    """What follows would be a good end of the character's, and does not come."""
    payload = deflate("für".encode() + b"\xc3")
    good = compressed(TEXT, payload, (len(payload),))[:-6]
    assert outcome([good], agreed=agreed).failure is None
    bad = deflate("für".encode() + b"\xc3(" + b"x" * 100)
    stream = frame(TEXT, bad, fin=False, rsv=RSV1)
    kind, reason = violation(stream, agreed=agreed)
    assert kind is InvalidPayload
    assert "at byte 4" in reason
    # Nor has the frame to be whole.
    assert outcome([stream[:-4]], agreed=agreed).failure == (kind, reason)


@BOTH
def test_text_that_ends_in_the_middle_of_a_character(agreed):
    stream = compressed(TEXT, deflate("für".encode()[:2]))
    assert violation(stream, agreed=agreed)[0] is InvalidPayload
    assert gives(compressed(BINARY, deflate(b"f\xc3")), (BINARY, b"f\xc3"), agreed=agreed)
