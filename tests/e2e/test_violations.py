"""Each rule of RFC 6455, sections 5 to 8, that a peer can break, on raw sockets."""

import random
import re
import selectors
from functools import cache

import pytest

from tests.e2e.raw_client import Frame, open_websocket
from tests.e2e.server_process import DEADLINE
from tests.violations import EVERY_STREAM, ONE_OF_EACH_RULE, START
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASKING_KEY,
    PING,
    PONG,
    RSV3,
    TEXT,
    close_frame,
    frame,
    frame_header,
    mask,
)

one_of_each_rule = pytest.mark.parametrize(
    ("data", "code"), [pytest.param(data, code, id=name) for name, data, code in ONE_OF_EACH_RULE]
)


def complaints(server, cases, play):
    """What went wrong when each case was played on a connection of its own, by its name.

    ``cases``: a name and the further arguments of ``play``, whose first is the RawClient.
    """
    wrong = {}
    for name, *arguments in cases:
        try:
            with open_websocket(server) as client:
                play(client, *arguments)
        except (AssertionError, OSError) as error:
            wrong[name] = error
    return wrong


def test_every_violation_earns_its_close_code_and_a_line_in_the_log(echo_server):
    def play(client, data, code):
        client.send(data)
        assert client.read_close() == code
        client.sock.close()
        assert re.fullmatch(rf"closed: {code} \(.+\), ended by the server", client.log_line())

    assert complaints(echo_server, EVERY_STREAM, play) == {}


@one_of_each_rule
def test_a_violation_in_single_bytes(echo_server, data, code):
    with open_websocket(echo_server) as client:
        client.send_each_byte(data)
        assert client.read_close() == code


@cache
def traffic():
    """1 MiB and more of valid frames, and the bytes of the answers to them."""
    rng = random.Random(1)
    sent, answers = [], []
    for _ in range(4):
        for size in (0, 1, 125, 126, 127, 1000, 65535, 65536):
            binary, text = rng.randbytes(size), ("né€😀".encode() * size)[: size // 10 * 10]
            sent += [frame(BINARY, binary), frame(PONG), frame(PING, text[:120])]
            sent += [frame(TEXT, text[:-5], fin=False), frame(PING, "between")]
            sent += [frame(CONTINUATION, fin=False), frame(CONTINUATION, text[-5:])]
            answered = (BINARY, binary), (PONG, text[:120]), (PONG, b"between"), (TEXT, text)
            answers += [frame(opcode, payload, key=b"") for opcode, payload in answered]
    return b"".join(sent), b"".join(answers)


def exchange(client, data):
    """Send bytes, reading meanwhile and then on to the end of the stream; what was read."""
    received = bytearray()
    rest = memoryview(data)
    both = selectors.EVENT_READ | selectors.EVENT_WRITE
    with selectors.DefaultSelector() as selector:
        selector.register(client.sock, both)
        client.sock.setblocking(False)
        while True:
            ((_, events),) = selector.select(DEADLINE)
            if events & selectors.EVENT_READ:
                piece = client.sock.recv(1 << 20)
                if not piece:
                    assert not rest, "the end came before all was sent"
                    return bytes(received)
                received += piece
            if events & selectors.EVENT_WRITE:
                rest = rest[client.sock.send(rest) :]
                if not rest:
                    selector.modify(client.sock, selectors.EVENT_READ)


@one_of_each_rule
def test_a_violation_behind_a_mebibyte_of_messages(echo_server, data, code):
    """All that was promised comes back byte for byte, then the close frame."""
    before, answers = traffic()
    assert len(before) > 1 << 20
    with open_websocket(echo_server) as client:
        received = exchange(client, before + data)
    same = received.startswith(answers)
    assert same
    first, length, *payload = received[len(answers) :]
    assert (first, length) == (0x80 | CLOSE, len(payload))
    assert int.from_bytes(payload[:2]) == code
    assert bytes(payload[2:]).decode()
    assert client.log_line().startswith(f"closed: {code} (")


@one_of_each_rule
def test_a_violation_among_messages(echo_server, data, code):
    """What came before is answered, in the same segment too; what comes after is ignored."""
    with open_websocket(echo_server) as client:
        before = frame(TEXT, "before") + frame(PING, "p") + frame(BINARY, bytes(200))
        client.send(before, data, frame(TEXT, "after"), frame(PING), close_frame(1000))
        assert client.read_frame() == Frame(TEXT, b"before")
        assert client.read_frame() == Frame(PONG, b"p")
        assert client.read_frame() == Frame(BINARY, bytes(200))
        assert client.read_close() == code


def test_a_continuation_of_a_message_that_is_whole(echo_server):
    with open_websocket(echo_server) as client:
        client.send(START, frame(CONTINUATION, "ed"), frame(CONTINUATION, "again"))
        assert client.read_frame() == Frame(TEXT, b"started")
        assert client.read_close() == 1002


@pytest.mark.parametrize(
    ("data", "code"),
    [(frame(TEXT, "x", rsv=RSV3), 1002), (frame(TEXT, b"\xff"), 1007), (close_frame(1006), 1002)],
    ids=["reserved bit", "not UTF-8", "close code"],
)
def test_a_violation_in_the_segment_of_the_upgrade_request(echo_server, data, code):
    with open_websocket(echo_server, frame(TEXT, "before") + data) as client:
        assert client.read_frame() == Frame(TEXT, b"before")
        assert client.read_close() == code


@pytest.mark.parametrize("cut", [2, 4])
def test_a_header_that_cannot_become_good_is_not_waited_for(echo_server, cut):
    """Two bytes show an opcode, four a length that is too long for its value."""
    header = {2: frame_header(11, 0), 4: frame_header(BINARY, 1, size=2)}[cut]
    with open_websocket(echo_server) as client:
        client.send(header[:cut])
        assert client.read_close() == 1002


# ---- UTF-8 fails as soon as the first bad byte has arrived: the rest never comes

BAD_AT_THE_LAST_BYTE = [
    b"\x80",
    b"\xbf",
    b"\xc0",
    b"\xc1",
    b"\xf5",
    b"\xf8",
    b"\xfe",
    b"\xff",
    b"\xc3(",
    b"\xc3\xc3",
    b"\xe0\x80",
    b"\xe0\x9f",
    b"\xe2(",
    b"\xe2\x82(",
    b"\xed\xa0",
    b"\xed\xbf",
    b"\xf0\x80",
    b"\xf0\x8f",
    b"\xf0\x9f(",
    b"\xf0\x9f\x98(",
    b"\xf4\x90",
    b"\xf4\xbf",
]


def assert_all_fail(server, stream_of):
    """Whatever text has a bad byte fails the connection when that byte has come."""

    def play(client, *pieces):
        client.send(*pieces)
        assert client.read_close() == 1007

    cases = [(bad.hex(), *stream_of(bad)) for bad in BAD_AT_THE_LAST_BYTE]
    assert complaints(server, cases, play) == {}


def part_of_a_frame(opcode, beginning, length):
    """The bytes of a frame of which only the beginning of the payload is sent."""
    return frame_header(opcode, length) + mask(beginning, MASKING_KEY)


@pytest.mark.parametrize("length", [100, 1000, 100_000])
def test_in_a_frame_that_is_still_arriving(echo_server, length):
    assert_all_fail(echo_server, lambda bad: [part_of_a_frame(TEXT, "né".encode() + bad, length)])


def test_in_a_fragment_that_is_not_the_last(echo_server):
    assert_all_fail(echo_server, lambda bad: [frame(TEXT, "né".encode() + bad, fin=False)])


def test_in_a_continuation_that_is_still_arriving(echo_server):
    before = frame(TEXT, "né", fin=False) + frame(CONTINUATION, "né", fin=False)
    assert_all_fail(echo_server, lambda bad: [before, part_of_a_frame(CONTINUATION, bad, 1000)])


def test_in_a_character_that_fragments_and_pings_part(echo_server):
    def play(client, bad):
        client.send(frame(TEXT, b"n" + bad[:-1], fin=False), frame(PING, "still good"))
        assert client.read_frame() == Frame(PONG, b"still good")
        client.send(part_of_a_frame(CONTINUATION, bad[-1:], 1000))
        assert client.read_close() == 1007

    cases = [(bad.hex(), bad) for bad in BAD_AT_THE_LAST_BYTE]
    assert complaints(echo_server, cases, play) == {}


def test_deep_in_a_frame_that_is_still_arriving(echo_server):
    with open_websocket(echo_server) as client:
        good = "é€\U0001f600".encode() * 100_000
        client.send(part_of_a_frame(TEXT, good + b"\xff", 1 << 20))
        assert client.read_close() == 1007
