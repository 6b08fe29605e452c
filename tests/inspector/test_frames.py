"""What the observer makes of a peer's bytes, however they are cut."""

from datetime import UTC, datetime

import pytest

from echo.inspector.frames import KEPT_FRAMES, KEPT_PAYLOAD, FrameObserver, Moment
from tests.protocol.streams import LENGTHS, every_way, sample
from tests.wire import MASKING_KEY, frame, mask

NOW = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1.0)
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def observe(pieces):
    observer = FrameObserver()
    for piece in pieces:
        observer.feed(piece, NOW)
    return observer


def bits(one):
    return one.fin, one.rsv, one.opcode, one.masking_key, one.payload_length, one.length_bits


@pytest.mark.parametrize("length", LENGTHS)
def test_a_frame_of_every_way_to_write_a_length(length):
    payload = sample(BINARY, length)
    stream = frame(BINARY, payload)
    for pieces in every_way(stream) if length < 200 else [[stream], [stream[:9], stream[9:]]]:
        (message,) = observe(pieces).whole
        (one,) = message.frames
        expected = 7 if length < 126 else 16 if length < 65536 else 64
        assert bits(one) == (True, 0, BINARY, MASKING_KEY, length, expected)
        assert one.header + mask(payload, MASKING_KEY) == stream
        assert one.kept == mask(payload, MASKING_KEY)[:KEPT_PAYLOAD]
        assert one.unmasked == payload[:KEPT_PAYLOAD]
        assert (one.arrived, message.size, message.count) == (length, length, 1)


def test_fragments_and_the_control_frame_between_them():
    stream = frame(TEXT, b"Hel", fin=False) + frame(PING, b"?") + frame(0, b"lo")
    for pieces in every_way(stream + frame(BINARY, b"next")):
        ping, first, second = observe(pieces).whole
        assert [bits(one)[:3] for one in first.frames] == [(False, 0, TEXT), (True, 0, 0)]
        assert [one.unmasked for one in first.frames] == [b"Hel", b"lo"]
        assert [one.unmasked for one in ping.frames] == [b"?"]
        assert (second.count, second.frames[0].unmasked) == (1, b"next")


@pytest.mark.parametrize("opcode", [3, 7, 11, 15])
@pytest.mark.parametrize("rsv", [0x40, 0x20, 0x10, 0x70])
def test_what_is_against_the_rules_is_told_as_it_is(opcode, rsv):
    observer = observe([frame(opcode, b"abc", rsv=rsv, key=b"", fin=False)])
    (one,) = observer.broken().frames
    assert bits(one) == (False, rsv, opcode, b"", 3, 7)
    assert one.unmasked == b"abc"


def test_a_length_not_in_the_fewest_bytes_is_told_as_it_is():
    (message,) = observe(
        [b"\x82\xff" + (5).to_bytes(8) + MASKING_KEY + mask(b"abcde", MASKING_KEY)]
    ).whole
    assert bits(message.frames[0]) == (True, 0, BINARY, MASKING_KEY, 5, 64)


def test_a_frame_that_announces_more_than_ever_comes():
    observer = observe([b"\x82\xff" + (2**62).to_bytes(8) + MASKING_KEY + b"abc"])
    assert not observer.whole
    (one,) = observer.broken().frames
    assert (one.payload_length, one.arrived) == (2**62, 3)


def test_of_a_message_in_many_frames_the_first_are_kept():
    stream = frame(TEXT, b"a", fin=False) + frame(0, b"b", fin=False) * 500 + frame(0, b"c")
    (message,) = observe([stream]).whole
    assert (len(message.frames), message.count, message.size) == (KEPT_FRAMES, 502, 502)


def test_a_compressed_message_is_known_by_its_first_frame():
    observer = observe([frame(TEXT, b"x", rsv=0x40), frame(TEXT, b"x")])
    assert [message.compressed for message in observer.whole] == [True, False]


def test_the_gap_is_the_time_since_the_frame_before():
    observer = FrameObserver()
    for elapsed in (1.0, 1.5, 3.5):
        observer.feed(frame(PING), Moment(NOW.at, elapsed))
    frames = [message.frames[0] for message in observer.whole]
    assert [one.gap for one in frames] == [None, 0.5, 2.0]
    assert [one.moment.elapsed for one in frames] == [1.0, 1.5, 3.5]
