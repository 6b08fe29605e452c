"""What one call of ``feed`` gives at most, and the memory that all unfinished messages share."""

from itertools import chain

import pytest

from echo.protocol.messages import TURN_SIZE
from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import new_parser
from tests.wire import frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

TURNS = 5


def turns(parser, data):
    """What each call of feed gives, with one buffer that is overwritten after the first."""
    buffer = bytearray(data)
    given = [parser.feed(buffer, len(data))]
    buffer[:] = b"\xff" * len(buffer)
    while parser.more:
        given.append(parser.feed(b"", 0))
        assert len(given) < 10_000, "a call without progress"
    return given


def flat(given):
    return list(chain.from_iterable(given))


def numbered(size, count, opcode=BINARY):
    """Messages of exactly ``size`` bytes on the wire, each with its number in it."""
    payload = size - (6 if size <= 131 else 8)
    messages = [
        (opcode, (b"%d." % number).ljust(payload, b"-")[:payload]) for number in range(count)
    ]
    stream = b"".join(frame(*message) for message in messages)
    assert len(stream) == size * count
    return messages, stream


# ---- Turns


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
@pytest.mark.parametrize("size", [6, 7, 14, 64, 131])
def test_a_call_gives_what_begins_in_a_turn_and_keeps_the_rest(size, opcode):
    messages, stream = numbered(size, TURNS * TURN_SIZE // size, opcode)
    parser = new_parser()
    given = turns(parser, stream)
    assert flat(given) == messages
    most = -(-TURN_SIZE // size)
    assert [len(events) for events in given[:-1]] == [most] * (len(given) - 1)
    assert 0 < len(given[-1]) <= most
    assert len(given) >= TURNS
    assert parser.idle
    assert not parser.more


@pytest.mark.parametrize("size", [200, 1000, 5000])
def test_messages_with_a_longer_header_have_turns_too(size):
    messages, stream = numbered(size, TURNS * TURN_SIZE // size + 1)
    given = turns(new_parser(), stream)
    assert flat(given) == messages
    assert max(map(len, given)) <= -(-TURN_SIZE // size)


def test_empty_fragments_have_turns_too():
    """They give nothing, but take time."""
    parser = new_parser()
    count = TURNS * TURN_SIZE // 6
    stream = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * count
    assert turns(parser, stream + frame(CONTINUATION, b"end"))[-1] == [(TEXT, b"end")]
    assert not parser.more
    parser = new_parser()
    assert len(turns(parser, stream)) >= TURNS
    assert not parser.more
    assert not parser.idle


@pytest.mark.parametrize("beyond", range(-7, 8))
def test_the_border_of_a_turn_loses_nothing(beyond):
    """Whatever lies across the border: a short frame, a longer one, a fragment, a ping."""
    filler = [(BINARY, bytes(100))] * (TURN_SIZE // 106 - 1)
    used = 106 * len(filler)
    for kind, payload in [(TEXT, b"short"), (BINARY, b"l" * 3000), (PING, b"ping"), (TEXT, b"")]:
        pad = (BINARY, b"p" * (TURN_SIZE + beyond - used - 8))
        messages = [*filler, pad, (kind, payload), (TEXT, b"last")]
        given = turns(new_parser(), b"".join(frame(*message) for message in messages))
        assert flat(given) == messages
        fragments = frame(TEXT, b"a", fin=False) + frame(PING) + frame(CONTINUATION, b"b")
        stream = b"".join(frame(*message) for message in [*filler, pad]) + fragments
        given = turns(new_parser(), stream)
        assert flat(given) == [*filler, pad, (PING, b""), (TEXT, b"ab")]


def test_a_message_cut_in_the_kept_part_goes_on():
    messages, stream = numbered(14, 2 * TURN_SIZE // 14)
    following = frame(TEXT, b"again!")
    for cut in (1, 2, 5, 6, 8):
        parser = new_parser()
        assert flat(turns(parser, stream + following[:cut])) == messages
        assert not parser.idle
        assert turns(parser, following[cut:]) == [[(TEXT, b"again!")]]


def test_new_data_behind_what_was_kept_comes_behind_it():
    messages, stream = numbered(6 + 8, 3 * TURN_SIZE // 14)
    parser = new_parser()
    events = parser.feed(stream[:-5], len(stream) - 5)
    assert parser.more
    events += parser.feed(stream[-5:], 5)
    while parser.more:
        events += parser.feed(b"", 0)
    assert events == messages


def test_a_large_message_is_no_turn():
    """Bytes of one message cost little: only what begins is counted."""
    stream = frame(BINARY, bytes(100_000)) + frame(TEXT, b"next")
    parser = new_parser()
    assert turns(parser, stream) == [[(BINARY, bytes(100_000))], [(TEXT, b"next")]]


@pytest.mark.parametrize("end", [frame(CLOSE, b"\x03\xe8"), frame(0x3)], ids=["close", "violation"])
def test_after_the_end_nothing_more_is_promised(end):
    parser = new_parser()
    stream = frame(TEXT, b"x") + end + frame(TEXT, b"late") * TURN_SIZE
    events = parser.feed(stream, len(stream))
    assert events[0] == (TEXT, b"x")
    assert (TEXT, b"late") not in events
    assert not parser.more
    assert parser.feed(b"", 0) == []


def test_an_end_in_the_kept_part_comes_in_its_turn():
    messages, stream = numbered(6, 2 * TURN_SIZE // 6)
    parser = new_parser()
    data = stream + frame(BINARY, key=b"")
    events = parser.feed(data, len(data))
    assert parser.failure is None
    while parser.more:
        events += parser.feed(b"", 0)
    assert events == messages
    assert parser.failure is not None
