"""SIGTERM and SIGINT: what every kind of peer sees, and how the process ends."""

import random
import signal
import socket
from contextlib import ExitStack

import pytest

from tests.e2e.crowd import Crowd
from tests.e2e.raw_client import Frame, RawClient, open_websocket, upgrade_request
from tests.e2e.server_process import DEADLINE
from tests.wire import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame

signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])

GOING_AWAY = Frame(CLOSE, b"\x03\xe9going away")

#: Connections of each kind, where a few show it.
MANY = 20


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def assert_refused(server):
    """Nobody listens; what the kernel has not got yet of it is waited for by the caller."""
    with pytest.raises(ConnectionRefusedError), RawClient(server):
        pass


@signals
def test_it_stops_listening_while_it_waits_for_answers(server, number):
    with open_websocket(server) as client:
        server.process.send_signal(number)
        assert client.read_frame() == GOING_AWAY
        assert_refused(server)
        assert server.process.poll() is None
        client.send(close_frame(1001))
        client.read_end()
        client.send_end()
        server.stop(number=0)
    assert_refused(server)


@signals
def test_it_ends_when_all_have_answered(start_server, stack, number):
    """With 0 it is over after the last answer, however long it might wait."""
    server = start_server("--shutdown-timeout", "1000", "--close-timeout", "1000")
    clients = [stack.enter_context(open_websocket(server)) for _ in range(20)]
    server.process.send_signal(number)
    for client in clients:
        assert client.read_frame() == GOING_AWAY
    for client in clients:
        assert server.process.poll() is None
        client.send(close_frame(1001))
        client.read_end()
        client.sock.close()
    server.stop(number=0)
    lines = server.stderr.matching(r" closed: 1001 \(going away\), ended by the server, after ")
    assert len(lines) == len(server.stderr.lines) == len(clients)


def not_reading(server, stack):
    """A WebSocket that is sent more than the kernel keeps for it."""
    client = stack.enter_context(RawClient(server, receive_buffer=4096))
    client.upgrade()
    client.send(frame(BINARY, bytes(8 << 20)))
    return client


@signals
@pytest.mark.parametrize("timeout", ["0", "1"])
def test_peers_of_all_kinds_do_not_hold_it_up(start_server, stack, number, timeout):
    server = start_server("--quiet", "--shutdown-timeout", timeout)
    silent = [stack.enter_context(open_websocket(server)) for _ in range(MANY)]
    answering = [stack.enter_context(open_websocket(server)) for _ in range(MANY)]
    half = [stack.enter_context(RawClient(server)) for _ in range(MANY)]
    request = upgrade_request(server.port)
    for client in half:
        client.send(request[: len(request) // 2])
    stuck = [not_reading(server, stack) for _ in range(5)]
    for client in answering:
        client.send(frame(PING, "here"))
        assert client.read_frame() == Frame(PONG, b"here")
    server.process.send_signal(number)
    for client in answering:
        assert client.read_frame() == GOING_AWAY
        if timeout != "0":
            client.send(close_frame(1001))
            client.read_end()
        client.sock.close()
    for client in silent:
        assert client.read_close() == 1001
    for client in half:
        client.read_end()
    server.stop(number=0)
    assert len(server.stderr.matching(" closed: ")) == 2 * MANY + len(stuck)
    server.check()


def test_a_thousand_connections_of_all_kinds_end_in_good_order(start_server):
    """Half of them in the opening handshake. Only --shutdown-timeout can end it before the test."""
    never = [f"--{name}-timeout=1000" for name in ("head", "close", "write")]
    server = start_server("--quiet", "--shutdown-timeout", "2", *never)
    request = upgrade_request(server.port)
    going_away = b"\x88\x0c\x03\xe9going away"
    long_message = frame(BINARY, bytes(5 << 20))  # more than the kernel keeps for who does not read
    with Crowd(server) as crowd:
        for count in range(500):  # at every byte of the request, at none of it too
            crowd.join(1, request[: count % len(request)])
        half = list(crowd.peers)
        answering = crowd.join_websockets(330)
        silent = crowd.join_websockets(150)
        stuck = crowd.join_websockets(20, receive_buffer=4096)
        crowd.stop_reading(stuck)
        for peer in stuck:
            peer.sock.settimeout(DEADLINE)
            peer.sock.sendall(long_message)
            # Its echo has begun, and cannot end.
            assert peer.sock.recv(1, socket.MSG_PEEK) == b"\x82"
            peer.sock.setblocking(False)
        for peer in answering:
            peer.send(frame(TEXT, "here"))
        crowd.wait_until(lambda peer: peer.received == b"\x81\x04here", answering)
        server.process.send_signal(signal.SIGTERM)
        crowd.wait_until(lambda peer: len(peer.received) >= 6 + len(going_away), answering)
        for peer in answering:
            peer.send(close_frame(1001))
        crowd.wait_until(lambda peer: peer.ended, half + answering + silent)
        server.stop(number=0)
        crowd.start_reading(stuck)
        crowd.wait_until(lambda peer: peer.ended, stuck)
        for peers, answer in [
            (half, b""),
            (answering, b"\x81\x04here" + going_away),
            (silent, going_away),
        ]:
            assert {(bytes(peer.received), peer.ended) for peer in peers} == {(answer, "end")}
        # Part of a frame, and nothing behind it that would be taken for its rest.
        echo = b"\x82\x7f" + (5 << 20).to_bytes(8) + bytes(5 << 20)
        assert all(len(peer.received) < len(echo) for peer in stuck)
        assert all(echo.startswith(peer.received) for peer in stuck)
    ends = [line.partition(" closed: ")[2].partition(", after ")[0] for line in server.stderr.lines]
    assert ends == ["1001 (going away), ended by the server"] * 500


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGTERM),
    ],
)
def test_a_second_signal_ends_it_at_once(start_server, stack, first, second):
    server = start_server("--shutdown-timeout", "1000", "--close-timeout", "1000")
    clients = [stack.enter_context(open_websocket(server)) for _ in range(20)]
    stack.enter_context(RawClient(server)).send(upgrade_request(server.port)[:30])
    not_reading(server, stack)
    server.process.send_signal(first)
    for client in clients:
        assert client.read_frame() == GOING_AWAY
    assert server.process.poll() is None
    with pytest.raises(AssertionError, match=rf"^exit code {128 + second} "):
        server.stop(second)
    server.check()
    assert server.process.returncode == 128 + second
    server.start()  # for the fixture, which ends a server in good order


@signals
def test_an_echo_that_is_under_way_comes_whole(server, number):
    """And those behind it, as far as they were promised: then the close frame."""
    message = random.Random(number).randbytes(4 << 20)
    with RawClient(server, receive_buffer=4096) as slow, open_websocket(server) as other:
        slow.upgrade()
        slow.send(frame(BINARY, message))
        start = b""
        while len(start) < 1000:
            start += slow.sock.recv(1000 - len(start))
        server.process.send_signal(number)
        assert other.read_frame() == GOING_AWAY
        assert_refused(server)
        other.send(close_frame(1001))
        other.read_end()
        other.sock.close()
        assert server.process.poll() is None
        slow._received[:0] = start
        echo = slow.read_frame()
        same = echo == Frame(BINARY, message)
        assert same
        assert slow.read_frame() == GOING_AWAY
        slow.send(close_frame(1001))
        slow.read_end()
        slow.sock.close()
        server.stop(number=0)
        log = server.stderr.lines
    assert len(log) == 2
    figures = f" sent 1 message ({10 + len(message) + 2 + len(GOING_AWAY.payload)} bytes)"
    (line,) = [line for line in log if line.endswith(figures)]
    assert " closed: 1001 (going away), ended by the server, after " in line


@signals
def test_every_message_that_was_answered_is_answered_whole(server, number):
    """A stream of messages, cut by the signal: a row of whole echoes and the close frame."""
    with open_websocket(server) as client:
        messages = [b"%d of many" % count for count in range(20_000)]
        client.send(b"".join(frame(TEXT, message) for message in messages[:10_000]))
        assert client.read_frame() == Frame(TEXT, messages[0])
        server.process.send_signal(number)
        client.send(b"".join(frame(TEXT, message) for message in messages[10_000:]))
        seen = 1
        while (answer := client.read_frame()).opcode == TEXT:
            assert answer.payload == messages[seen]
            seen += 1
        assert answer == GOING_AWAY
        client.send(close_frame(1001))
        client.read_end()
        client.sock.close()
        server.stop(number=0)
        (line,) = server.stderr.lines
        assert f" sent {seen} message" in line


@signals
@pytest.mark.parametrize("cut", [1, 4, 8, 9, 500])
def test_a_message_that_was_begun_takes_nothing_from_those_before_it(server, number, cut):
    """A signal in the middle of a message: the echoes before it come whole, of it comes nothing."""
    whole, begun = frame(TEXT, "x" * 1000), frame(BINARY, bytes(1000))
    with open_websocket(server) as client:
        # One segment, so that the server has it all when it answers the first frame.
        client.send(frame(PING, "here"), whole, whole, begun[:cut])
        assert client.read_frame() == Frame(PONG, b"here")
        server.process.send_signal(number)
        for _ in range(2):
            assert client.read_frame() == Frame(TEXT, b"x" * 1000)
        assert client.read_frame() == GOING_AWAY
        client.send(begun[cut:], close_frame(1001))
        client.read_end()
        client.sock.close()
        server.stop(number=0)
    (line,) = server.stderr.lines
    assert " sent 2 messages " in line


@signals
def test_a_handshake_that_was_begun_gets_no_half_answer(server, number):
    with RawClient(server) as half, RawClient(server) as silent, open_websocket(server) as client:
        half.send(upgrade_request(server.port)[:-1])
        server.process.send_signal(number)
        assert client.read_frame() == GOING_AWAY
        half.read_end()
        silent.read_end()
        client.send(close_frame(1001))
        client.read_end()
        client.sock.close()
        server.stop(number=0)
