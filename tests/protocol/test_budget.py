"""The memory that connections share: who has to give way when it is used up."""

import pytest

from echo.protocol import budget as budget_module
from echo.protocol.budget import ALLOWANCE, BudgetShare, ReceiveBudget
from echo.protocol.errors import MessageTooSlow, TryAgainLater
from echo.protocol.messages import TURN_SIZE
from echo.protocol.rfc6455 import MAX_CLOSE_REASON, Opcode
from tests.protocol.streams import new_parser
from tests.wire import frame

TEXT, BINARY, CONTINUATION, PING = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION, Opcode.PING
KIB = 1024
LONGEST = 1024 * KIB


@pytest.fixture
def clock(monkeypatch):
    """``clock(seconds)`` lets time pass; it stands still otherwise."""
    now = [1000.0]
    monkeypatch.setattr(budget_module, "monotonic", lambda: now[0])

    def advance(seconds):
        now[0] += seconds

    return advance


def parsers(limit, count=2):
    """Parsers that share a budget of ``limit`` bytes."""
    budget = ReceiveBudget(limit)

    return budget, *(new_parser(LONGEST, budget=budget) for _ in range(count))


def give(parser, data):
    """The events of the bytes, all dealt with."""
    events = parser.feed(data, len(data))
    parser.give_back()
    while parser.more:
        events += parser.feed(b"", 0)
        parser.give_back()
    return events


def unfinished(size):
    return frame(BINARY, bytes(size), fin=False)


def test_an_unfinished_message_within_the_allowance_takes_none_of_the_budget():
    budget, parser = parsers(1, count=1)
    give(parser, unfinished(ALLOWANCE))
    assert budget.used == 0
    assert give(parser, frame(CONTINUATION)) == [(BINARY, bytes(ALLOWANCE))]


def test_beyond_the_allowance_each_byte_that_has_come_is_taken():
    budget, parser = parsers(1000, count=1)
    data = frame(TEXT, b"x" * (ALLOWANCE + 300))
    give(parser, data[: 14 + ALLOWANCE])
    assert budget.used == 0
    give(parser, data[14 + ALLOWANCE : -1])
    assert budget.used == 299
    assert give(parser, data[-1:]) == [(TEXT, b"x" * (ALLOWANCE + 300))]
    assert budget.used == 0


def test_a_message_is_counted_until_it_is_dealt_with():
    budget, parser = parsers(2 * LONGEST, count=1)
    give(parser, unfinished(ALLOWANCE))
    data = frame(CONTINUATION, bytes(500))
    parser.feed(data, len(data))
    assert (budget.used, parser.held) == (500, ALLOWANCE + 500)
    parser.give_back()
    assert (budget.used, parser.held) == (0, 0)


def test_input_that_waits_for_its_turn_is_counted():
    budget, parser = parsers(2 * LONGEST, count=1)
    flood = frame(PING) * (4 * ALLOWANCE // 6)
    parser.feed(flood, len(flood))
    assert parser.more
    assert 0 < 4 * ALLOWANCE - budget.used - ALLOWANCE <= 2 * TURN_SIZE
    while parser.more:
        parser.feed(b"", 0)
    assert budget.used == 0


def test_the_newcomer_goes_on_and_the_oldest_large_message_ends(clock):
    budget, old, newcomer = parsers(100 * KIB)
    give(old, unfinished(ALLOWANCE + 90 * KIB))
    clock(5)
    give(newcomer, unfinished(ALLOWANCE + 20 * KIB))
    assert newcomer.failure is None
    assert isinstance(old.failure, TryAgainLater)
    assert old.failure.code == 1013
    assert 0 < len(old.failure.reason.encode()) <= MAX_CLOSE_REASON
    assert budget.used == 20 * KIB
    assert give(newcomer, frame(CONTINUATION)) == [(BINARY, bytes(ALLOWANCE + 20 * KIB))]


def test_a_large_message_gives_way_to_one_that_is_a_little_older_and_much_smaller(clock):
    _, small, large = parsers(100 * KIB)
    give(small, unfinished(ALLOWANCE + KIB))
    clock(1)
    give(large, unfinished(ALLOWANCE + 90 * KIB))
    clock(1)
    give(small, frame(CONTINUATION, bytes(10 * KIB), fin=False))
    assert isinstance(large.failure, TryAgainLater)
    assert small.failure is None


def test_small_messages_that_stall_give_way_to_a_large_one_that_moves(clock):
    budget, moving, *stalled = parsers(100 * KIB, count=11)
    for parser in stalled:
        give(parser, unfinished(ALLOWANCE + 9 * KIB))
    clock(10)
    give(moving, unfinished(ALLOWANCE + 40 * KIB))
    assert moving.failure is None
    assert sum(parser.failure is not None for parser in stalled) == 4
    assert budget.used <= budget.limit


def test_who_alone_wants_more_than_there_is_ends_with_1013():
    budget, parser = parsers(100 * KIB, count=1)
    assert give(parser, frame(TEXT, b"whole") + unfinished(ALLOWANCE + 101 * KIB)) == [
        (TEXT, b"whole")
    ]
    assert isinstance(parser.failure, TryAgainLater)
    assert budget.used == 0


def test_who_was_ended_takes_nothing_more():
    budget, old, newcomer = parsers(100 * KIB)
    give(old, unfinished(ALLOWANCE + 90 * KIB))
    give(newcomer, unfinished(ALLOWANCE + 90 * KIB))
    ended, other = (old, newcomer) if old.failure else (newcomer, old)
    used = budget.used
    assert give(ended, unfinished(ALLOWANCE + 90 * KIB)) == []
    ended.discard()
    ended.discard()
    assert budget.used == used
    other.discard()
    assert budget.used == 0


def test_a_violation_gives_back_all_at_once():
    for bad in (frame(0x3), frame(TEXT, b"new"), frame(CONTINUATION, bytes(LONGEST))):
        budget, parser = parsers(LONGEST, count=1)
        give(parser, unfinished(ALLOWANCE + KIB) + bad)
        assert parser.failure is not None
        assert budget.used == 0


def test_a_large_message_that_takes_too_long_ends_with_1008(clock):
    budget, slow, fast, small = parsers(LONGEST, count=3)
    give(slow, unfinished(ALLOWANCE + 1))
    give(small, unfinished(ALLOWANCE))
    clock(6)
    give(slow, frame(CONTINUATION, b"x", fin=False))
    give(fast, unfinished(ALLOWANCE + 1))
    clock(4)
    budget.end_overdue(10.0)
    assert isinstance(slow.failure, MessageTooSlow)
    assert slow.failure.code == 1008
    assert fast.failure is None
    assert small.failure is None


def test_output_is_counted_as_far_as_it_exceeds_what_is_held_anyway():
    budget = ReceiveBudget(1000)
    share = BudgetShare(budget, None)
    share.take(ALLOWANCE + 100)
    assert share.cover(ALLOWANCE + 100) == 0
    more = share.cover(ALLOWANCE + 150)
    assert (more, budget.used) == (50, 150)
    share.give_back(more)
    assert budget.used == 100
