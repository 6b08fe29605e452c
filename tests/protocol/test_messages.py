"""Sections 5.4 to 5.6: what a client may send, in every way that it may arrive."""

import pytest

from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import (
    LENGTHS,
    Outcome,
    byte_by_byte,
    every_way,
    feed,
    new_parser,
    outcome,
    outcomes,
    sample,
)
from tests.wire import MASKING_KEY, frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

MESSAGES = [
    pytest.param(kind, sample(kind, length), id=f"{kind.name.lower()}-{length}")
    for kind in (TEXT, BINARY)
    for length in LENGTHS
]
SHORT = [0, 1, 2, 7, 124, 125]


def in_fragments(kind: Opcode, *parts: bytes) -> list[bytes]:
    """The frames of one message."""
    last = len(parts) - 1
    return [frame(CONTINUATION if i else kind, part, fin=i == last) for i, part in enumerate(parts)]


@pytest.mark.parametrize(("kind", "payload"), MESSAGES)
def test_a_frame_is_a_message(kind, payload):
    assert outcomes(frame(kind, payload)) == [Outcome([(kind, payload)], None, idle=True)]


@pytest.mark.parametrize(("kind", "payload"), MESSAGES)
def test_bytes_to_spare_wait_for_the_rest_of_their_frame(kind, payload):
    following = frame(TEXT, b"again!")
    for spare in (1, 2, 5, 6, 8, 11):
        parser = new_parser()
        assert feed(parser, [frame(kind, payload) + following[:spare]]) == [(kind, payload)]
        assert not parser.idle
        assert feed(parser, [following[spare:]]) == [(TEXT, b"again!")]
        assert parser.idle


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_fragments_make_one_message(kind, length):
    payload = sample(kind, length)
    third = length // 3
    stream = b"".join(
        in_fragments(kind, payload[:third], payload[third : 2 * third], payload[2 * third :])
    )
    assert outcomes(stream) == [Outcome([(kind, payload)], None, idle=True)]


@pytest.mark.parametrize("length", LENGTHS)
def test_fragments_of_any_two_lengths(length):
    for other in LENGTHS:
        first, second = sample(BINARY, length), sample(BINARY, other)[::-1]
        stream = b"".join(in_fragments(BINARY, first, second))
        border = len(frame(BINARY, first))
        for cut in range(max(0, border - 15), min(len(stream), border + 15)):
            expected = Outcome([(BINARY, first + second)], None, idle=True)
            assert outcome([stream[:cut], stream[cut:]]) == expected


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize(
    "parts",
    [
        (b"", b""),
        (b"", b"", b""),
        (b"", b"Hello"),
        (b"Hello", b""),
        (b"Hel", b"", b"lo"),
        (b"", b"Hel", b"", b"", b"lo", b""),
    ],
)
def test_fragments_may_be_empty(kind, parts):
    stream = b"".join(in_fragments(kind, *parts))
    assert outcomes(stream) == [Outcome([(kind, b"".join(parts))], None, idle=True)]


@pytest.mark.parametrize("length", SHORT)
@pytest.mark.parametrize("control", [PING, PONG])
def test_control_frame_is_an_event(control, length):
    payload = sample(BINARY, length)
    assert outcomes(frame(control, payload)) == [Outcome([(control, payload)], None, idle=True)]


@pytest.mark.parametrize("length", SHORT)
@pytest.mark.parametrize("control", [PING, PONG])
def test_control_frame_between_fragments_comes_before_their_message(control, length):
    note = sample(BINARY, length)
    first, second, third = in_fragments(TEXT, "a€".encode(), b"", "😀".encode())
    between = frame(control, note)
    stream = first + between + second + between + between + third
    events = [(control, note)] * 3 + [(TEXT, "a€😀".encode())]
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


def test_control_frame_right_behind_a_part_of_a_message_that_came_in_pieces():
    first, last = in_fragments(BINARY, b"0123456789", b"abc")
    stream = first + frame(PING, b"?") + last
    events = [(PING, b"?"), (BINARY, b"0123456789abc")]
    for one in range(len(stream)):
        for two in range(one, len(stream)):
            pieces = [stream[:one], stream[one:two], stream[two:]]
            assert outcome(pieces) == Outcome(events, None, idle=True)


def test_messages_come_in_their_order():
    events = [
        (TEXT, b"one"),
        (BINARY, b""),
        (PING, b"two"),
        (TEXT, b""),
        (BINARY, sample(BINARY, 126)),
        (PONG, b""),
        (TEXT, sample(TEXT, 125)),
        (TEXT, sample(TEXT, 130)),
        (BINARY, b"\x00"),
    ]
    stream = b"".join(frame(kind, payload) for kind, payload in events)
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


def test_a_message_after_a_fragmented_one_starts_anew():
    stream = b"".join(
        [
            *in_fragments(TEXT, b"one", b"two"),
            *in_fragments(BINARY, b"\xff", b"\xfe"),
            frame(BINARY, b"\xfd"),
            *in_fragments(TEXT, b"", b"three"),
            frame(TEXT, b"four"),
        ]
    )
    events = [
        (TEXT, b"onetwo"),
        (BINARY, b"\xff\xfe"),
        (BINARY, b"\xfd"),
        (TEXT, b"three"),
        (TEXT, b"four"),
    ]
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        pytest.param("818537fa213d7f9f4d5158", [(TEXT, b"Hello")], id="text"),
        pytest.param("8a8537fa213d7f9f4d5158", [(PONG, b"Hello")], id="pong"),
        pytest.param("898537fa213d7f9f4d5158", [(PING, b"Hello")], id="ping"),
        pytest.param("018337fa213d7f9f4d" + "808237fa213d5b95", [(TEXT, b"Hello")], id="fragments"),
    ],
)
def test_examples_of_section_5_7_as_a_client_sends_them(wire, events):
    assert outcomes(bytes.fromhex(wire)) == [Outcome(events, None, idle=True)]


@pytest.mark.parametrize(
    "key",
    [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01", MASKING_KEY],
    ids=bytes.hex,
)
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 125, 126])
def test_any_masking_key_will_do(key, length):
    payload = sample(BINARY, length)
    for kind in (BINARY, PING) if length <= 125 else (BINARY,):
        stream = frame(kind, payload, key=key)
        assert outcomes(stream) == [Outcome([(kind, payload)], None, idle=True)]


def test_each_frame_has_its_own_key():
    stream = b"".join(
        [
            frame(TEXT, b"abcde", fin=False, key=b"1234"),
            frame(PING, b"abc", key=b"5678"),
            frame(CONTINUATION, b"fghij", key=b"90ab"),
            frame(TEXT, b"klm", key=b"cdef"),
        ]
    )
    events = [(PING, b"abc"), (TEXT, b"abcdefghij"), (TEXT, b"klm")]
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa0" + b"r" * 123])
def test_close_frame_is_the_last_event(payload):
    stream = frame(TEXT, b"one") + frame(CLOSE, payload)
    events = [(TEXT, b"one"), (CLOSE, payload)]
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


@pytest.mark.parametrize(
    "late",
    [
        frame(TEXT, b"late"),
        frame(PING, b"late"),
        frame(CLOSE),
        frame(BINARY, sample(BINARY, 126)),
        b"\xff" * 40,
        frame(TEXT, b"unmasked", key=b""),
        frame(TEXT, b"\xff"),
        b"\x81",
    ],
    ids=bytes.hex,
)
def test_what_comes_after_a_close_frame_is_ignored(late):
    stream = frame(TEXT, b"one") + frame(CLOSE, b"\x03\xe8") + late
    events = [(TEXT, b"one"), (CLOSE, b"\x03\xe8")]
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


def test_close_frame_in_the_middle_of_a_message_leaves_it_unfinished():
    first, last = in_fragments(TEXT, b"Hel", b"lo")
    stream = first + frame(CLOSE, b"\x03\xe9") + last
    assert outcomes(stream) == [Outcome([(CLOSE, b"\x03\xe9")], None, idle=False)]


def test_events_are_opcodes_and_bytes():
    stream = b"".join(
        [
            frame(TEXT, b"short"),
            frame(BINARY, sample(BINARY, 200)),
            *in_fragments(TEXT, b"frag", b"ments"),
            frame(PING, b"ping"),
            frame(CLOSE),
        ]
    )
    for pieces in every_way(stream):
        events = feed(new_parser(), pieces)
        assert [(type(kind), type(payload)) for kind, payload in events] == [(Opcode, bytes)] * 5


def test_bytes_will_do_as_well_as_a_bytearray():
    parser = new_parser()
    stream = frame(TEXT, b"one") + frame(BINARY, b"two") + frame(PING, b"three")
    assert parser.feed(stream, len(stream)) == [(TEXT, b"one"), (BINARY, b"two"), (PING, b"three")]


@pytest.mark.parametrize("kind", [TEXT, BINARY, PING])
def test_only_the_bytes_up_to_size_are_taken(kind):
    stream = frame(kind, b"Hello")
    for size in range(len(stream)):
        parser = new_parser()
        assert parser.feed(bytearray(stream), size) == []
        assert feed(parser, [stream[size:]]) == [(kind, b"Hello")]


def test_buffer_is_neither_kept_nor_locked():
    stream = frame(TEXT, b"one") + frame(PING, b"two") + frame(BINARY, sample(BINARY, 300))
    for size in range(len(stream) + 1):
        buffer = bytearray(stream)
        parser = new_parser()
        events = parser.feed(buffer, size)
        # A bytearray that something still looks into cannot be resized.
        buffer.clear()
        events += feed(parser, [stream[size:]])
        assert events == [(TEXT, b"one"), (PING, b"two"), (BINARY, sample(BINARY, 300))]


def test_feeding_nothing_changes_nothing():
    stream = b"".join(
        [*in_fragments(TEXT, b"Hel", b"lo"), frame(PING, b"?"), frame(BINARY, b"\x00" * 130)]
    )
    pieces = [piece for byte in byte_by_byte(stream) for piece in (b"", byte, b"")]
    events = [(TEXT, b"Hello"), (PING, b"?"), (BINARY, b"\x00" * 130)]
    assert outcome(pieces) == Outcome(events, None, idle=True)


def test_truncated_stream_is_no_failure_and_idle_between_messages_only():
    frames = [
        (frame(TEXT, b"short"), True),
        (frame(BINARY), True),
        (frame(BINARY, sample(BINARY, 126)), True),
        (frame(PING, b"?"), True),
        (frame(TEXT, b"Hel", fin=False), False),
        (frame(PING, b""), False),
        (frame(CONTINUATION, b"", fin=False), False),
        (frame(CONTINUATION, b"lo"), True),
        (frame(TEXT, b"", fin=False), False),
        (frame(CONTINUATION, b""), True),
        (frame(CLOSE, b"\x03\xe8"), True),
    ]
    idle = {0: True}
    stream = b""
    for wire, done in frames:
        stream += wire
        idle[len(stream)] = done
    for end in range(len(stream) + 1):
        for pieces in ([stream[:end]], byte_by_byte(stream[:end])):
            result = outcome(pieces)
            assert result.failure is None
            assert (end, result.idle) == (end, idle.get(end, False))
