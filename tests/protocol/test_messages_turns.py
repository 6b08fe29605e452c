"""What one call of ``feed`` gives at most, and the memory that all unfinished messages share."""

from itertools import chain

import pytest

from echo.protocol.errors import MessageTooBig, TryAgainLater
from echo.protocol.messages import TURN_SIZE, MessageParser
from echo.protocol.partial_message import ReceiveBudget
from echo.protocol.rfc6455 import MAX_CLOSE_REASON, Opcode
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


# ---- The budget


def parsers(limit, count=2, longest=1000):
    budget = ReceiveBudget(limit)
    return budget, [MessageParser(longest, budget) for _ in range(count)]


def give(parser, data):
    """The events of the bytes, all dealt with."""
    events = flat(turns(parser, data))
    parser.give_back()
    return events


def test_a_message_in_pieces_is_counted_until_it_is_dealt_with():
    budget, (parser, _) = parsers(1000)
    flat(turns(parser, frame(BINARY, b"x" * 400, fin=False) + frame(CONTINUATION, b"x" * 100)))
    assert (budget.used, parser.held) == (500, 500)
    flat(turns(parser, frame(BINARY, b"y" * 300, fin=False)))
    assert budget.used == 800
    parser.give_back()
    assert (budget.used, parser.held) == (300, 0)
    parser.discard()
    assert budget.used == 0


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_only_what_has_come_of_an_unfinished_message_is_taken(opcode):
    budget, (parser, _) = parsers(1000)
    data = frame(opcode, b"x" * 500)
    give(parser, data[:8])
    assert budget.used == 0
    give(parser, data[8:108])
    assert budget.used == 100
    assert give(parser, data[108:]) == [(opcode, b"x" * 500)]
    assert budget.used == 0


def test_whole_messages_take_nothing():
    budget, (parser, _) = parsers(1)
    for size in (0, 10, 125, 126, 1000):
        assert give(parser, frame(BINARY, bytes(size))) == [(BINARY, bytes(size))]
        assert budget.used == 0


def test_fragments_add_up_until_the_last():
    budget, (one, other) = parsers(1000)
    give(one, frame(TEXT, b"x" * 300, fin=False) + frame(CONTINUATION, b"y" * 200, fin=False))
    give(other, frame(BINARY, b"z" * 400, fin=False) + frame(PING, b"p"))
    assert budget.used == 900
    assert give(one, frame(CONTINUATION)) == [(TEXT, b"x" * 300 + b"y" * 200)]
    assert budget.used == 400
    assert give(other, frame(CONTINUATION, b"z")) == [(BINARY, b"z" * 401)]
    assert budget.used == 0


def test_discard_gives_back_once():
    budget, (one, other) = parsers(1000)
    give(one, frame(TEXT, b"x" * 300, fin=False))
    give(other, frame(BINARY, b"z" * 400)[:300])
    taken = budget.used - 300
    one.discard()
    one.discard()
    assert budget.used == taken
    other.discard()
    assert budget.used == 0
    give(other, frame(BINARY, b"z" * 400)[300:])
    give(one, frame(TEXT, b"more", fin=False))
    assert budget.used == 0


def test_exactly_the_limit_passes():
    budget, (one, other) = parsers(1000, longest=600)
    give(one, frame(BINARY, b"1" * 600, fin=False))
    give(other, frame(BINARY, b"2" * 400, fin=False))
    assert budget.used == budget.limit == 1000
    assert one.failure is None
    assert other.failure is None
    assert give(other, frame(CONTINUATION)) == [(BINARY, b"2" * 400)]
    assert give(one, frame(CONTINUATION)) == [(BINARY, b"1" * 600)]


@pytest.mark.parametrize(
    "rest",
    [
        frame(CONTINUATION, b"2", fin=False),
        frame(CONTINUATION, b"2"),
        frame(CONTINUATION, b"2" * 200)[:9],
    ],
    ids=["a fragment", "the last fragment", "one byte of a fragment"],
)
def test_one_byte_above_is_1013_for_who_sent_it(rest):
    budget, (one, other) = parsers(1000)
    give(one, frame(BINARY, b"1" * 600, fin=False))
    give(other, frame(BINARY, b"2" * 400, fin=False))
    assert give(other, rest) == []
    assert isinstance(other.failure, TryAgainLater)
    assert other.failure.code == 1013
    assert 0 < len(other.failure.reason.encode()) <= MAX_CLOSE_REASON
    assert one.failure is None
    other.discard()
    assert budget.used == 600
    assert give(one, frame(CONTINUATION, b"1" * 400)) == [(BINARY, b"1" * 1000)]
    assert budget.used == 0


def test_what_came_before_is_given_and_the_rest_ignored():
    budget, (one, other) = parsers(100)
    give(one, frame(BINARY, b"1" * 100, fin=False))
    stream = frame(TEXT, b"whole") + frame(TEXT, b"x", fin=False) + frame(TEXT, b"late")
    assert give(other, stream) == [(TEXT, b"whole")]
    assert isinstance(other.failure, TryAgainLater)
    other.discard()
    assert budget.used == 100


def test_other_violations_give_back_too():
    for bad in (frame(0x3), frame(TEXT, b"new"), frame(CONTINUATION, bytes(901))):
        budget, (one, _) = parsers(10_000)
        give(one, frame(TEXT, b"x" * 100, fin=False) + bad)
        assert one.failure is not None
        one.discard()
        assert budget.used == 0


def test_the_limit_of_a_message_comes_before_the_budget():
    _, (one, other) = parsers(100, longest=50)
    give(one, frame(BINARY, b"1" * 50, fin=False))
    give(other, frame(BINARY, b"2" * 50, fin=False))
    give(one, frame(CONTINUATION, b"1"))
    assert isinstance(one.failure, MessageTooBig)
