"""The connection under observation: what it keeps, what it tells, and when things arrived."""

import pytest

from echo.inspector.connection import ObservedParser
from echo.inspector.frames import KEPT_FRAMES, KEPT_MESSAGE
from echo.protocol.budget import BudgetShare, ReceiveBudget
from tests.wire import frame

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def new_parser():
    return ObservedParser(1 << 20, BudgetShare(ReceiveBudget(1 << 20), None))


def drain(parser, data):
    """All events of some bytes, each with what was observed of it, and how many calls they took."""
    events, calls = parser.feed(data, len(data)), 1
    observed = take(parser)
    while parser.more:
        events += parser.feed(b"", 0)
        observed += take(parser)
        calls += 1
    return events, observed, calls


def take(parser):
    observed = list(parser.observer.whole)
    parser.observer.whole.clear()
    return observed


def test_many_frames_are_taken_in_small_steps():
    parser = new_parser()
    events, observed, calls = drain(parser, frame(PONG) * 1000)
    assert len(events) == len(observed) == 1000
    assert calls >= 1000 * len(frame(PONG)) / 512


def test_the_frames_of_one_receive_have_one_moment():
    parser = new_parser()
    _, observed, _ = drain(parser, frame(PING) * 500)
    assert len({one.frames[0].moment for one in observed}) == 1


def test_what_is_observed_and_never_taken_is_forgotten():
    parser = new_parser()
    parser.feed(frame(PONG) * 1000, 1000 * len(frame(PONG)))
    while parser.more:
        parser.feed(b"", 0)
    assert len(parser.observer.whole) < 500


def test_what_is_kept_of_a_message_is_bounded():
    parser = new_parser()
    drain(parser, frame(BINARY, bytes(2000), fin=False) + frame(0, bytes(900), fin=False) * 300)
    _, (message,), _ = drain(parser, frame(0))
    assert len(message.frames) == KEPT_FRAMES
    assert sum(len(one.kept) for one in message.frames) == KEPT_MESSAGE
    assert (message.count, message.size) == (302, 2000 + 300 * 900)


@pytest.mark.parametrize("behind", [b"", frame(PING, b"hi")])
def test_a_broken_fragment_is_told_whatever_overtakes_it(behind):
    parser = new_parser()
    drain(parser, frame(TEXT, b"\xff", fin=False) + behind)
    assert "UTF-8" in parser.failure.reason
    assert [one.opcode for one in parser.observer.broken().frames][:1] == [TEXT]


def test_a_broken_control_frame_behind_a_fragment_is_told():
    parser = new_parser()
    data = frame(TEXT, b"ok", fin=False) + frame(CLOSE, b"x")
    parser.feed(data, len(data))
    assert [one.opcode for one in parser.observer.broken().frames] == [TEXT, CLOSE]
