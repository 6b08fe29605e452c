"""Properties of the message parser; the websockets package is the second opinion."""

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.protocol import OPEN, SERVER, Protocol

from echo.protocol.errors import ProtocolViolation
from echo.protocol.messages import Event
from echo.protocol.rfc6455 import SENDABLE_CLOSE_CODES, Opcode
from tests.protocol.streams import (
    EXAMPLES,
    MODEST,
    Outcome,
    byte_by_byte,
    feed,
    new_parser,
    outcome,
)
from tests.wire import frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

MORE = settings(MODEST, max_examples=3 * EXAMPLES)

Draw = Callable[[st.SearchStrategy[Any]], Any]
Stream = tuple[bytes, list[Event]]

keys = st.binary(min_size=4, max_size=4)
texts = st.text(max_size=40).map(str.encode)
binaries = st.binary(max_size=140) | st.builds(
    bytes.__mul__, st.binary(min_size=1, max_size=1), st.sampled_from([65535, 65536, 65537])
)
messages = st.tuples(st.just(TEXT), texts) | st.tuples(st.just(BINARY), binaries)
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
closes = st.builds(
    lambda code, reason: code.to_bytes(2) + reason.encode(),
    st.sampled_from(sorted(SENDABLE_CLOSE_CODES)),
    st.text(max_size=20),
) | st.just(b"")


def split(draw: Draw, data: bytes, most: int) -> list[bytes]:
    """The data in up to ``most`` pieces, some of them perhaps empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most - 1)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@st.composite
def streams(draw: Draw) -> Stream:
    """A valid stream and its events: messages in fragments, control frames, perhaps a close."""
    wire = b""
    events: list[Event] = []

    def control_frames() -> bytes:
        drawn = draw(st.lists(controls, max_size=2))
        events.extend(drawn)
        return b"".join(frame(kind, payload, key=draw(keys)) for kind, payload in drawn)

    for kind, payload in draw(st.lists(messages, max_size=4)):
        wire += control_frames()
        parts = split(draw, payload, 4)
        for i, part in enumerate(parts):
            opcode = CONTINUATION if i else kind
            last = i == len(parts) - 1
            wire += frame(opcode, part, fin=last, key=draw(keys))
            if not last:
                wire += control_frames()
        events.append((kind, payload))
    if draw(st.booleans()):
        payload = draw(closes)
        wire += frame(CLOSE, payload, key=draw(keys))
        events.append((CLOSE, payload))
    return wire, events


@st.composite
def chunked_streams(draw: Draw) -> tuple[list[bytes], list[Event]]:
    """A valid stream in pieces, and its events."""
    wire, events = draw(streams())
    return split(draw, wire, 12), events


@st.composite
def spoilt_streams(draw: Draw) -> bytes:
    """A valid stream in which some bytes were changed, left out or put in."""
    wire = bytearray(draw(streams())[0])
    for _ in range(draw(st.integers(1, 4))):
        # Most of what matters is in headers, and the first of them is at the start.
        start = draw(st.integers(0, min(len(wire), 30)) | st.integers(0, len(wire)))
        wire[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(wire)


def seen_by_websockets(data: bytes) -> tuple[list[Event], Exception | None]:
    """The events in a stream, as the websockets package sees them, and what failed it."""
    protocol = Protocol(SERVER, state=OPEN, max_size=None)
    protocol.receive_data(data)
    events: list[Event] = []
    kind, payload = TEXT, b""
    for received in protocol.events_received():
        if received.opcode & 0x8:
            events.append((Opcode(received.opcode), bytes(received.data)))
            continue
        if received.opcode:
            kind, payload = Opcode(received.opcode), b""
        payload += received.data
        if received.fin:
            events.append((kind, payload))
    return events, protocol.parser_exc


@MODEST
@given(chunked_streams())
def test_any_chunking_of_a_valid_stream_gives_its_messages(stream):
    pieces, events = stream
    assert outcome(pieces) == Outcome(events, None, idle=True)


@MODEST
@given(streams())
def test_websockets_sees_the_same_messages(stream):
    wire, events = stream
    assert seen_by_websockets(wire) == (events, None)
    assert outcome([wire]).events == events


@MORE
@given(st.data(), spoilt_streams() | st.binary(max_size=60))
def test_any_chunking_of_any_bytes_gives_the_same(data, wire):
    assert outcome(split(data.draw, wire, 8)) == outcome([wire])
    assert outcome(byte_by_byte(wire[:2000])) == outcome([wire[:2000]])


@MORE
@given(st.data(), streams(), st.integers(0, 130))
def test_any_chunking_meets_the_limit_at_the_same_place(data, stream, limit):
    wire, events = stream
    fits = [kind & 0x8 or len(payload) <= limit for kind, payload in events]
    whole = outcome([wire], limit)
    assert (whole.failure is None) == all(fits)
    assert outcome(split(data.draw, wire, 8), limit) == whole


@MODEST
@given(spoilt_streams() | st.binary(max_size=60))
def test_any_bytes_fail_with_nothing_but_a_violation(wire):
    parser = new_parser()
    events = feed(parser, [wire])
    assert parser.failure is None or isinstance(parser.failure, ProtocolViolation)
    assert all(payload.decode() is not None for kind, payload in events if kind is TEXT)
    assert CLOSE not in [kind for kind, _ in events[:-1]]
    if parser.failure is not None:
        assert feed(parser, [frame(TEXT, b"late")]) == []


@MODEST
@given(spoilt_streams() | st.binary(max_size=60))
@example(b"\x01\x80\x00\x00\x00\x80\x80~\x00")
def test_what_passes_here_passes_websockets(wire):
    ours = outcome([wire])
    theirs, failure = seen_by_websockets(wire)
    if ours.failure is None:
        assert (theirs, failure) == (ours.events, None)
    else:
        # Text that is not UTF-8 goes through there, so there may be more.
        assert theirs[: len(ours.events)] == ours.events
