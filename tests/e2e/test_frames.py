"""Frames and messages (RFC 6455, sections 5 and 6) on raw sockets, against the real server."""

import random

import pytest

from tests.e2e.raw_client import Frame, open_websocket
from tests.wire import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame

SIZES = [0, 1, 2, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 1 << 20]
MAX_SIZE = 16 << 20

#: Code points on both sides of every boundary of UTF-8, noncharacters and the byte order mark.
CODE_POINTS = "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\ufeff\ufffe\uffff\U00010000\U0010fffe\U0010ffff"


def text_of(size):
    """UTF-8 of exactly so many bytes, of characters of each length."""
    text = ("aé\u20ac\U0001f600" * (size // 10 + 1)).encode()[:size].decode("utf-8", "ignore")
    return (text + "x" * (size - len(text.encode()))).encode()


def payload_of(opcode, size):
    return text_of(size) if opcode == TEXT else random.Random(size).randbytes(size)


# ---- A message comes back byte for byte, with the same opcode


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_every_kind_of_length(echo_server, opcode, size):
    payload = payload_of(opcode, size)
    with open_websocket(echo_server) as client:
        client.send(frame(opcode, payload))
        assert client.read_frame() == Frame(opcode, payload)
        client.send(close_frame(1000))
        assert client.read_close() == 1000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_exactly_the_default_limit(echo_server, opcode):
    payload = payload_of(opcode, MAX_SIZE)
    with open_websocket(echo_server) as client:
        client.send(frame(opcode, payload))
        # Not `==` in the assertion itself: on failure pytest would spend minutes on the difference.
        echo = client.read_frame()
        assert (echo.opcode, echo.fin, echo.rsv, len(echo.payload)) == (opcode, True, 0, MAX_SIZE)
        same = echo.payload == payload
        assert same
        client.send(close_frame(1000))
        assert client.read_close() == 1000


def test_all_lengths_in_one_go(echo_server):
    rng = random.Random(1)
    messages = [(rng.choice([TEXT, BINARY]), size) for size in range(300)]
    messages = [(opcode, payload_of(opcode, size)) for opcode, size in messages]
    with open_websocket(echo_server) as client:
        client.send(*(frame(*message, key=rng.randbytes(4)) for message in messages))
        for message in messages:
            assert client.read_frame() == Frame(*message)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 300])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_in_single_bytes(echo_server, opcode, size):
    payload = payload_of(opcode, size)
    with open_websocket(echo_server) as client:
        client.send_each_byte(frame(opcode, payload))
        assert client.read_frame() == Frame(opcode, payload)


@pytest.mark.parametrize("key", [bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\1\2\3\4"])
def test_masking_keys(echo_server, key):
    with open_websocket(echo_server) as client:
        for size in (1, 2, 3, 4, 5, 7, 63, 126, 1001):
            payload = random.Random(size).randbytes(size)
            client.send(frame(BINARY, payload, key=key))
            assert client.read_frame() == Frame(BINARY, payload)


def test_every_byte_value(echo_server):
    with open_websocket(echo_server) as client:
        client.send(frame(BINARY, bytes(range(256))))
        assert client.read_frame() == Frame(BINARY, bytes(range(256)))


def test_every_boundary_of_utf_8(echo_server):
    with open_websocket(echo_server) as client:
        for text in [*CODE_POINTS, CODE_POINTS, "\r\n", "e\u0301"]:
            client.send(frame(TEXT, text))
            assert client.read_frame() == Frame(TEXT, text.encode())


def test_what_is_not_utf_8_is_fine_as_binary(echo_server):
    with open_websocket(echo_server) as client:
        client.send(frame(BINARY, b"\xff", fin=False), frame(CONTINUATION, b"\xc3("))
        assert client.read_frame() == Frame(BINARY, b"\xff\xc3(")


# ---- Fragments


def fragments(opcode, pieces, between=b""):
    """The bytes of a message of several frames, with more bytes between them."""
    opcodes = [opcode, *[CONTINUATION] * (len(pieces) - 1)]
    frames = [frame(o, piece, fin=False) for o, piece in zip(opcodes, pieces, strict=True)]
    frames[-1] = frame(opcodes[-1], pieces[-1])
    return between.join(frames)


def single_bytes(payload):
    return [payload[position : position + 1] for position in range(len(payload))]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [2, 3, 126, 5000])
def test_fragments_of_one_byte(echo_server, opcode, size):
    payload = payload_of(opcode, size)
    with open_websocket(echo_server) as client:
        client.send(fragments(opcode, single_bytes(payload)), frame(TEXT, "next"))
        assert client.read_frame() == Frame(opcode, payload)
        assert client.read_frame() == Frame(TEXT, b"next")


def test_fragments_inside_every_character(echo_server):
    with open_websocket(echo_server) as client:
        client.send(fragments(TEXT, single_bytes(CODE_POINTS.encode())))
        assert client.read_frame() == Frame(TEXT, CODE_POINTS.encode())


def test_fragments_of_one_byte_in_single_bytes_with_pings_between(echo_server):
    payload = "Grüße, \U0001f600".encode()
    data = fragments(TEXT, single_bytes(payload), frame(PING, "now") + frame(PONG, "why"))
    with open_websocket(echo_server) as client:
        client.send_each_byte(data)
        for _ in range(len(payload) - 1):
            assert client.read_frame() == Frame(PONG, b"now")
        assert client.read_frame() == Frame(TEXT, payload)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"", b""],
        [b"", b"", b""],
        [b"", b"abc"],
        [b"abc", b""],
        [b"a", b"", b"b", b"", b"c"],
        [b"x" * 126, b"y" * 65536, b"z"],
        [b"x", b"y" * 300_000, b"", b"z" * 65535],
    ],
    ids=lambda pieces: "+".join(str(len(piece)) for piece in pieces),
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_of_all_lengths(echo_server, opcode, pieces):
    with open_websocket(echo_server) as client:
        client.send(fragments(opcode, pieces))
        assert client.read_frame() == Frame(opcode, b"".join(pieces))


def test_fragmented_messages_one_after_another(echo_server):
    messages = [(TEXT, [b"one", b"\xc3", b"\xa9"]), (BINARY, [b"\xff", b"two"]), (TEXT, [b"", b""])]
    messages += [(BINARY, [b"three"]), (TEXT, [b"fo", b"ur"])]
    with open_websocket(echo_server) as client:
        for _ in range(2):
            client.send(*(fragments(opcode, pieces) for opcode, pieces in messages))
            for opcode, pieces in messages:
                assert client.read_frame() == Frame(opcode, b"".join(pieces))


# ---- Ping and pong


@pytest.mark.parametrize("payload", [b"", b"a", b"\0\xff\xfe", b"x" * 124, bytes(125)])
def test_a_ping_is_answered_with_its_payload(echo_server, payload):
    with open_websocket(echo_server) as client:
        client.send(frame(PING, payload))
        assert client.read_frame() == Frame(PONG, payload)


def test_pings_are_answered_in_order_among_messages(echo_server):
    with open_websocket(echo_server) as client:
        for number in range(100):
            client.send(frame(PING, f"{number}"), frame(TEXT, f"{number}"))
        for number in range(100):
            assert client.read_frame() == Frame(PONG, b"%d" % number)
            assert client.read_frame() == Frame(TEXT, b"%d" % number)


def test_a_ping_is_answered_while_a_message_is_not_whole(echo_server):
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, "al", fin=False), frame(PING, "first"))
        assert client.read_frame() == Frame(PONG, b"first")
        client.send(frame(CONTINUATION, "mo", fin=False), frame(PING, "second"))
        assert client.read_frame() == Frame(PONG, b"second")
        client.send(frame(CONTINUATION, "st"))
        assert client.read_frame() == Frame(TEXT, b"almost")


@pytest.mark.parametrize("payload", [b"", b"unasked", bytes(125)])
def test_a_pong_is_ignored(echo_server, payload):
    with open_websocket(echo_server) as client:
        client.send(frame(PONG, payload), frame(TEXT, "a", fin=False), frame(PONG, payload))
        client.send(frame(CONTINUATION, "b"), frame(PING, "only this"))
        assert client.read_frame() == Frame(TEXT, b"ab")
        assert client.read_frame() == Frame(PONG, b"only this")


# ---- Frames that come with the upgrade request


@pytest.mark.parametrize(
    "messages",
    [["hello"], [""], ["x" * 10_000], ["x" * 500_000], [f"{number}" for number in range(3000)]],
    ids=["short", "empty", "above the reader's buffer", "above one receive", "many"],
)
def test_messages_in_the_segment_of_the_upgrade_request(echo_server, messages):
    with_request = b"".join(frame(TEXT, message) for message in messages)
    with open_websocket(echo_server, with_request) as client:
        for message in messages:
            assert client.read_frame() == Frame(TEXT, message.encode())


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 7, 10])
def test_a_part_of_a_frame_in_the_segment_of_the_upgrade_request(echo_server, cut):
    data = frame(TEXT, "hello")
    with open_websocket(echo_server, data[:cut]) as client:
        client.send(data[cut:])
        assert client.read_frame() == Frame(TEXT, b"hello")


def test_a_close_in_the_segment_of_the_upgrade_request(echo_server):
    with open_websocket(echo_server, frame(PING, "p") + close_frame(3000)) as client:
        assert client.read_frame() == Frame(PONG, b"p")
        assert client.read_close() == 3000
