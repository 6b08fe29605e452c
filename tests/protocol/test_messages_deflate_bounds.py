"""What a compressed message may take: its limit, its share of the budget, its time and memory."""

import tracemalloc
from types import NoneType

import pytest

from echo.protocol.budget import ALLOWANCE, BudgetShare, ReceiveBudget
from echo.protocol.deflate import INFLATE_STEP, Inflater
from echo.protocol.errors import MessageTooBig, TryAgainLater
from echo.protocol.messages import INFLATE_TURN, MessageParser
from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import (
    FORGETFUL,
    KEEPING,
    Outcome,
    compressed,
    deflate,
    feed,
    new_parser,
    outcome,
    outcomes,
)
from tests.wire import RSV1, frame

CONTINUATION, TEXT, BINARY, PING = Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY, Opcode.PING

BOTH = pytest.mark.parametrize("agreed", [FORGETFUL, KEEPING], ids=["forgetful", "keeping"])

#: Section 7.2.3.1: "Hello", compressed.
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")

#: An empty stored block: it adds five bytes to what is compressed and nothing to the message.
NOTHING = bytes.fromhex("00 00 00 ff ff")

MEBIBYTE = 1 << 20

#: The most that DEFLATE makes of a byte.
LARGEST_RATIO = 1032

#: What one call of feed may do: its turn, all but one byte of it, and one step more.
MOST_WORK = INFLATE_TURN + (LARGEST_RATIO + 8) * INFLATE_STEP

#: 64 MiB in 64 KiB.
BOMB = deflate(bytes(64 * MEBIBYTE), level=9)


def failure(stream, limit, agreed=FORGETFUL):
    """What every way to cut the stream fails with."""
    (result,) = outcomes(stream, limit, agreed)
    return result.failure


# ---- The limit


@BOTH
@pytest.mark.parametrize("sizes", [(), (1,), (5, 5, 0)])
@pytest.mark.parametrize("length", [1, 100, 5000])
def test_the_limit_counts_inflated_bytes(length, sizes, agreed):
    message = bytes(length)
    stream = compressed(BINARY, deflate(message), sizes)
    assert outcomes(stream, length, agreed) == [Outcome([(BINARY, message)], None, idle=True)]
    if length > 1:
        expected = MessageTooBig, f"message is longer than {length - 1} bytes"
        assert failure(stream, length - 1, agreed) == expected


@BOTH
@pytest.mark.parametrize("sizes", [(), (400,)])
def test_a_frame_above_the_limit_may_hold_a_message_within(sizes, agreed):
    payload = NOTHING * 100 + HELLO
    stream = compressed(TEXT, payload, sizes)
    assert outcomes(stream, 5, agreed) == [Outcome([(TEXT, b"Hello")], None, idle=True)]
    assert failure(stream, 4, agreed)[0] is MessageTooBig


@BOTH
def test_a_message_fails_with_the_first_byte_above_the_limit(agreed):
    payload = deflate(bytes(1000)) + b"\x00\x00\xff\xff" + deflate(b"more")
    stream = frame(BINARY, payload, fin=False, rsv=RSV1)
    assert failure(stream, 1001, agreed)[0] is MessageTooBig


def test_the_limit_of_what_is_not_compressed_is_met_by_its_header():
    assert outcome([frame(BINARY, bytes(11))[:6]], 10, FORGETFUL).failure[0] is MessageTooBig


# ---- The budget


def parsers(limit, count=2, longest=MEBIBYTE):
    """Parsers that share a budget of ``limit`` bytes."""
    budget = ReceiveBudget(limit)
    return budget, [new_parser(longest, FORGETFUL, budget) for _ in range(count)]


def test_the_budget_counts_inflated_bytes():
    budget, (one, other) = parsers(10_000)
    message = bytes(ALLOWANCE + 6000)
    feed(one, [frame(BINARY, deflate(message), fin=False, rsv=RSV1)])
    assert budget.used == 6000
    feed(other, [frame(TEXT, deflate(b"x" * (ALLOWANCE + 4000)), fin=False, rsv=RSV1)])
    assert budget.used == budget.limit == 10_000
    assert feed(one, [frame(CONTINUATION)]) == [(BINARY, message)]
    assert budget.used == 4000
    other.discard()
    assert budget.used == 0


@pytest.mark.parametrize(("more", "failure"), [(0, None), (1, TryAgainLater)])
def test_one_inflated_byte_above_the_budget_is_1013(more, failure):
    budget, (one,) = parsers(10_000, count=1)
    message = bytes(ALLOWANCE + budget.limit + more)
    assert feed(one, [frame(BINARY, deflate(message), fin=False, rsv=RSV1)]) == []
    assert type(one.failure) is (failure or NoneType)
    assert budget.used == (0 if failure else budget.limit)


def test_every_violation_gives_back():
    for bad in (b"\x07", deflate(b"\xff"), deflate(bytes(2000))):
        budget, (one,) = parsers(10_000, count=1, longest=ALLOWANCE + 3000)
        beginning = deflate(b"x" * (ALLOWANCE + 1500)) + b"\x00\x00\xff\xff"
        feed(one, [frame(TEXT, beginning, fin=False, rsv=RSV1)])
        assert budget.used == 1500
        feed(one, [frame(CONTINUATION, bad)])
        assert one.failure is not None
        one.discard()
        assert budget.used == 0


# ---- Turns


def turns(data, limit, agreed=FORGETFUL):
    """For each call of feed: the work it did, the events it gave; and the parser in the end."""
    inflater = Inflater(agreed)
    parser = MessageParser(limit, BudgetShare(ReceiveBudget(2 * limit), None), inflater)
    given = [(0, parser.feed(data, len(data)))]
    given[0] = (inflater.work, given[0][1])
    while parser.more:
        parser.give_back()
        events = parser.feed(b"", 0)
        given.append((inflater.work, events))
        assert len(given) < 10_000, "a call without progress"
    return given, parser


@BOTH
@pytest.mark.parametrize("sizes", [(), (1000, 30_000), (1,) * 5000], ids=len)
def test_a_large_message_is_inflated_in_turns(sizes, agreed):
    given, parser = turns(compressed(BINARY, BOMB, sizes), 64 * MEBIBYTE, agreed)
    assert max(work for work, _ in given) < MOST_WORK
    assert len(given) >= 64 * MEBIBYTE // MOST_WORK
    assert [events for _, events in given[:-1]] == [[]] * (len(given) - 1)
    assert given[-1][1] == [(BINARY, bytes(64 * MEBIBYTE))]
    assert parser.idle


@BOTH
def test_messages_that_become_large_have_turns_each(agreed):
    message = bytes(MEBIBYTE)
    one = compressed(BINARY, deflate(message, level=9))
    given, parser = turns(one * 100, MEBIBYTE, agreed)
    assert max(work for work, _ in given) < MOST_WORK
    assert max(len(events) for _, events in given) == 1
    assert sum(len(events) for _, events in given) == 100
    assert parser.failure is None


def test_messages_that_become_nothing_have_turns_too():
    """Each begins a stream of its own, which takes time."""
    given, _ = turns(compressed(BINARY, b"\x00") * 2000, MEBIBYTE)
    assert max(work for work, _ in given) < MOST_WORK
    assert len(given) >= 2000 * 1024 // MOST_WORK
    given, _ = turns(compressed(BINARY, bytes.fromhex("03 00") * 50_000), MEBIBYTE)
    assert max(work for work, _ in given) < MOST_WORK
    assert len(given) >= 50_000 * 1024 // MOST_WORK


def test_short_messages_with_a_context_have_turns_too():
    """The end of each is looked for in a copy of the context."""
    given, _ = turns(compressed(BINARY, b"\x00") * 5000, MEBIBYTE, KEEPING)
    assert max(len(events) for _, events in given) <= INFLATE_TURN // 1024
    assert sum(len(events) for _, events in given) == 5000


@BOTH
def test_blocks_that_say_nothing_have_turns_too(agreed):
    """The tables of a dynamic block take time, whether or not anything follows them."""
    table = "00100000000000111" + "000" * 2 + "100" + "000" * 14 + "100"
    lengths = "111111111110101100"
    block = table + lengths + "0"
    bits = block * 8 * 2000
    payload = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8)) + b"\x00"
    given, parser = turns(compressed(BINARY, payload), MEBIBYTE, agreed)
    assert len(given) >= 8 * len(payload) // (INFLATE_TURN + 8 * INFLATE_STEP)
    assert [events for _, events in given if events] == [[(BINARY, b"")]]
    assert parser.failure is None


@BOTH
def test_a_ping_behind_a_turn_comes_in_its_order(agreed):
    message = bytes(4 * MEBIBYTE)
    stream = frame(PING, b"1") + compressed(BINARY, deflate(message)) + frame(PING, b"2")
    given, _ = turns(stream, 4 * MEBIBYTE, agreed)
    assert [event for _, events in given for event in events] == [
        (PING, b"1"),
        (BINARY, message),
        (PING, b"2"),
    ]
    assert len(given) > 1


# ---- Memory


def peak(function):
    """What a function takes of memory at most, in bytes beyond what was there."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@BOTH
@pytest.mark.parametrize("limit", [1, 1000, MEBIBYTE])
def test_a_bomb_takes_no_more_than_the_limit(limit, agreed):
    stream = compressed(BINARY, BOMB)

    def feed_bomb():
        given, parser = turns(stream, limit, agreed)
        assert sum(work for work, _ in given) <= limit + 1 + 1024 + 8 * (
            limit // 1000 + INFLATE_STEP
        )
        assert [events for _, events in given if events] == []
        assert isinstance(parser.failure, MessageTooBig)
        parser.discard()

    # A piece that is being joined to the message, and what was kept of the stream itself.
    assert peak(feed_bomb) < 2 * limit + 2 * len(stream)


@BOTH
def test_many_bombs_within_the_limit_are_not_all_there_at_once(agreed):
    stream = compressed(BINARY, deflate(bytes(MEBIBYTE), level=9)) * 100

    def feed_bombs():
        parser = new_parser(MEBIBYTE, agreed, ReceiveBudget(2 * MEBIBYTE))
        messages = len(parser.feed(stream, len(stream)))
        while parser.more:
            parser.give_back()
            messages += len(parser.feed(b"", 0))
        assert messages == 100

    assert peak(feed_bombs) < 5 * MEBIBYTE
