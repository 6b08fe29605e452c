"""The tally of messages: every size falls into its power of two, and is taken out once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo.protocol.rfc6455 import Opcode
from echo.protocol.tally import (
    MessageTally,
    PowerCounter,
    binary_tally,
    tally_of,
    text_tally,
)
from tests.protocol.streams import feed, new_parser
from tests.wire import frame


@pytest.mark.parametrize(
    ("number", "power"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6), (65, 7), (1 << 20, 20)],
)
def test_a_number_counts_for_the_power_that_it_does_not_exceed(number, power):
    counter = PowerCounter()
    counter.add(number)
    counts = counter.take()
    assert [n for n, times in enumerate(counts.powers) if times] == [power]
    assert counts.total == number


@given(st.lists(st.integers(0, 1 << 63)))
def test_the_sum_and_the_number_are_kept(numbers):
    counter = PowerCounter()
    for number in numbers:
        counter.add(number)
    counts = counter.take()
    assert sum(counts.powers) == len(numbers)
    assert counts.total == sum(numbers)
    assert counter.take().total == sum(counter.take().powers) == 0


SIZES = [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 16 << 20]


def test_sizes_are_the_same_whether_they_are_counted_exactly_or_not():
    tally, counter = MessageTally(), PowerCounter()
    for size in SIZES:
        tally.add_received(size)
        counter.add(size)
    assert tally.take_received() == counter.take()
    assert sum(tally.take_received().powers) == 0


def test_messages_are_counted_on_after_a_take():
    for _ in range(2):
        text_tally.take_received()
        feed(new_parser(), [frame(Opcode.TEXT, b"Hello"), frame(Opcode.TEXT, bytes(300))])
        assert text_tally.take_received().total == 305


def test_what_is_to_be_counted_again_is_not_taken_below_zero():
    tally = MessageTally()
    tally.sent, tally.sent_bytes = 1, -100
    assert tally.take_sent() == (1, 0)
    tally.sent_bytes += 130
    assert tally.take_sent() == (0, 30)


def test_each_kind_has_its_own():
    assert tally_of(Opcode.TEXT) is text_tally
    assert tally_of(Opcode.BINARY) is binary_tally
