"""The closing handshake and the end of TCP (RFC 6455, section 7) on raw sockets."""

import re
import time
from threading import Thread

import pytest

from tests.e2e.raw_client import Frame, open_websocket
from tests.e2e.server_process import DEADLINE
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    close_frame,
    frame,
)

MAY_BE_SENT = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]

#: More than the kernel keeps for a connection, so the server has to read it.
MEGABYTES = frame(BINARY, bytes(1 << 20)) * 32


@pytest.fixture
def impatient_server(start_server):
    """A server that waits a second for the peer's end."""
    return start_server("--close-timeout", "1")


@pytest.mark.parametrize("code", MAY_BE_SENT)
def test_a_close_is_answered_with_the_same_code(echo_server, code):
    with open_websocket(echo_server) as client:
        client.send(close_frame(code))
        assert client.read_close() == code
    assert client.log_line() == f"closed: {code}, ended by the peer"


def test_an_empty_close_is_answered_with_an_empty_one_or_1000(echo_server):
    with open_websocket(echo_server) as client:
        client.send(close_frame())
        assert client.read_close() in {None, 1000}
    assert client.log_line() == "closed: 1005, ended by the peer"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("bye", "bye"),
        ("x" * 123, "x" * 123),
        ("€" * 41, "€" * 41),
        ("a\n127.0.0.1:1 closed: 1000", r"a\n127.0.0.1:1 closed: 1000"),
        ("\x1b[2J\x9b\u202e", r"\x1b[2J\x9b\u202e"),
    ],
    ids=["short", "longest", "longest of wide characters", "with a line break", "hostile"],
)
def test_a_reason_goes_to_the_log(echo_server, reason, shown):
    with open_websocket(echo_server) as client:
        client.send(close_frame(1000, reason.encode()))
        assert client.read_close() == 1000
    assert client.log_line() == f"closed: 1000 ({shown}), ended by the peer"


def test_a_close_in_single_bytes(echo_server):
    with open_websocket(echo_server) as client:
        client.send_each_byte(close_frame(4000, b"x" * 123))
        assert client.read_close() == 4000


def test_messages_before_a_close_are_answered_first(echo_server):
    with open_websocket(echo_server) as client:
        messages = [f"message {number}" for number in range(1000)]
        client.send(*(frame(TEXT, message) for message in messages), close_frame(1001))
        for message in messages:
            assert client.read_frame() == Frame(TEXT, message.encode())
        assert client.read_close() == 1001


def test_a_close_inside_a_message(echo_server):
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, "never", fin=False), close_frame(1000))
        assert client.read_close() == 1000


@pytest.mark.parametrize(
    "after",
    [
        frame(TEXT, "after"),
        frame(PING, "after"),
        close_frame(1001),
        frame(CONTINUATION, "after"),
        frame(TEXT, "unmasked", key=b""),
        frame(3, rsv=RSV1 | RSV2 | RSV3),
        b"\xff" * 1000,
        frame(TEXT, b"\xff"),
        frame(BINARY, bytes(100_000)),
    ],
    ids=[
        "text",
        "ping",
        "close",
        "continuation",
        "unmasked",
        "reserved",
        "junk",
        "not UTF-8",
        "long",
    ],
)
@pytest.mark.parametrize("in_one_segment", [True, False])
def test_what_comes_after_a_close_is_ignored(echo_server, after, in_one_segment):
    with open_websocket(echo_server) as client:
        if in_one_segment:
            client.send(close_frame(1000, b"first"), after)
        else:
            client.send(close_frame(1000, b"first"))
            client.send(after)
        assert client.read_close() == 1000
    assert client.log_line() == "closed: 1000 (first), ended by the peer"


def test_what_comes_after_the_answer_is_ignored(echo_server):
    with open_websocket(echo_server) as client:
        client.send(close_frame(1000))
        opcode, payload, *_ = client.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1000).to_bytes(2))
        for data in (frame(TEXT, "late"), frame(PING), close_frame(1002), b"\xff" * 100):
            client.send(data)
        client.read_end()
    assert client.log_line() == "closed: 1000, ended by the peer"


# ---- The server ends TCP first, and without a reset


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (close_frame(1000), 1000),
        (frame(TEXT, "unmasked", key=b""), 1002),
        (frame(TEXT, b"\xff"), 1007),
    ],
    ids=["close", "unmasked", "not UTF-8"],
)
def test_megabytes_that_nobody_reads_do_not_destroy_the_close_frame(echo_server, last, code):
    with open_websocket(echo_server) as client:
        client.send(last, MEGABYTES)
        client.send(MEGABYTES)
        assert client.read_close() == code
    assert client.log_line().startswith(f"closed: {code}")


def test_a_message_too_big_that_is_sent_nevertheless(start_server):
    server = start_server("--max-message-size", "1000")
    with open_websocket(server) as client:
        client.send(frame(BINARY, bytes(32 << 20)))
        assert client.read_close() == 1009


def test_a_peer_that_sent_megabytes_before_it_read_anything(echo_server):
    message = bytes(1 << 20)
    with open_websocket(echo_server) as client:
        sender = Thread(target=client.send, args=(frame(BINARY, message) * 32, close_frame(1000)))
        sender.start()
        try:
            for _ in range(32):
                echo = client.read_frame()
                assert (echo.opcode, len(echo.payload)) == (BINARY, len(message))
                same = echo.payload == message
                assert same
            assert client.read_close() == 1000
        finally:
            sender.join()


def test_the_servers_end_of_stream_does_not_wait_for_the_peers(echo_server):
    """It ends its side at once, and takes what still comes until the peer ends too."""
    with open_websocket(echo_server) as client:
        client.send(close_frame(1000))
        assert client.read_close() == 1000
        for _ in range(100):
            client.send(bytes(10_000))
        client.send_end()
        assert client.log_line() == "closed: 1000, ended by the peer"


def test_a_peer_that_never_ends_its_side_is_left_after_a_while(impatient_server):
    with open_websocket(impatient_server) as client:
        client.send(close_frame(1000))
        assert client.read_close() == 1000
        assert client.log_line() == "closed: 1000, ended by the peer"


def test_a_peer_that_never_stops_sending_is_left_after_a_while(impatient_server):
    with open_websocket(impatient_server) as client:
        client.send(close_frame(1000))
        assert client.read_close() == 1000
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_for_a_while(client)
    assert client.log_line() == "closed: 1000, ended by the peer"


def send_for_a_while(client):
    deadline = time.monotonic() + 2 * DEADLINE
    while time.monotonic() < deadline:
        client.send(bytes(10_000))


def test_an_end_of_stream_right_behind_a_close(echo_server):
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, "last"), frame(PING, "p"), close_frame(1000))
        client.send_end()
        assert client.read_frame() == Frame(TEXT, b"last")
        assert client.read_frame() == Frame(PONG, b"p")
        assert client.read_close() == 1000
    assert client.log_line() == "closed: 1000, ended by the peer"


def test_what_came_before_an_end_of_stream_without_a_close_is_answered(echo_server):
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, "one"), frame(TEXT, "two"), frame(TEXT, "thr", fin=False))
        client.send_end()
        assert client.read_frame() == Frame(TEXT, b"one")
        assert client.read_frame() == Frame(TEXT, b"two")
        client.read_end()
    assert re.fullmatch(r"closed: 1006 \(.+\), ended by the peer", client.log_line())
