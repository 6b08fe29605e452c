"""Which reports may be full ones: those of whoever tries things, not those of a flood."""

import pytest

from echo.inspector.allowance import BURST, RATE, RATIO, ReportAllowance

#: Bytes of a full report of a short message, and of a brief one.
FULL, BRIEF = 540, 90


def report(allowance, count, *, payload=0, every=0.0, full=FULL, since=0.0):
    """Report messages of one frame; gives how many got a full report, and all bytes of reports."""
    fulls = total = 0
    for number in range(count):
        may_be_full = allowance.earn(1, payload, since + number * every)
        size = full if may_be_full else BRIEF
        allowance.spend(size)
        fulls += may_be_full
        total += size
    return fulls, total


def test_some_hundred_tiny_messages_at_once_are_reported_in_full():
    assert report(ReportAllowance(), 1000)[0] == 1000


def test_a_flood_gets_no_more_than_the_burst_and_its_ratio():
    fulls, total = report(ReportAllowance(), 100_000)
    assert 0 < fulls < 5_000
    assert total <= BURST + RATIO * 6 * 100_000 + FULL


def test_a_tiny_message_each_second_is_reported_in_full_forever():
    assert report(ReportAllowance(), 100_000, every=1.0)[0] == 100_000


@pytest.mark.parametrize("payload", [60, 1024, 100_000])
def test_longer_messages_are_reported_in_full_forever(payload):
    size = 540 + 6 * min(payload, 1024)
    assert report(ReportAllowance(), 100_000, payload=payload, full=size)[0] == 100_000


def test_neither_silence_nor_large_messages_save_up_more_than_the_burst():
    allowance = ReportAllowance()
    report(allowance, 10, payload=1 << 24)
    report(allowance, 1, since=1e6)
    fulls, _ = report(allowance, 100_000, since=1e6)
    fresh, _ = report(ReportAllowance(), 100_000)
    assert fulls <= fresh


def test_after_a_flood_details_come_back_within_a_second():
    allowance = ReportAllowance()
    report(allowance, 100_000)
    assert allowance.earn(1, 0, elapsed=1 + FULL / RATE)
