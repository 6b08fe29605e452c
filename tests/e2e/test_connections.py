"""Several connections at once, and peers that vanish, on raw sockets against the real server."""

import random
import re
from threading import Thread

import pytest

from tests.e2e.raw_client import Frame, RawClient, open_websocket, upgrade_request, wait_for_logs
from tests.wire import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame


def test_two_connections_interleaved(echo_server):
    with open_websocket(echo_server) as one, open_websocket(echo_server) as other:
        second = frame(CONTINUATION, "and ", fin=False)
        one.send(frame(TEXT, "begun ", fin=False))
        other.send(frame(BINARY, "whole"))
        assert other.read_frame() == Frame(BINARY, b"whole")
        one.send(second[:8])
        other.send(frame(TEXT, b"\xc3", fin=False), frame(PING, "other"))
        assert other.read_frame() == Frame(PONG, b"other")
        one.send(second[8:], frame(PING, "one"))
        assert one.read_frame() == Frame(PONG, b"one")
        other.send(frame(CONTINUATION, b"\xa9"), close_frame(1000))
        assert other.read_frame() == Frame(TEXT, "é".encode())
        assert other.read_close() == 1000
        one.send(frame(CONTINUATION, "ended"))
        assert one.read_frame() == Frame(TEXT, b"begun and ended")


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_many_connections_interleaved(echo_server, seed):
    """Bytes of one connection never end up in another, however they are cut."""
    rng = random.Random(seed)
    payloads = [rng.randbytes(rng.choice([3, 200, 70_000])) for _ in range(12)]
    rest = [frame(BINARY, payload, key=rng.randbytes(4)) for payload in payloads]
    clients = [RawClient(echo_server) for _ in payloads]
    try:
        for client in clients:
            client.upgrade()
        while any(rest):
            number = rng.choice([number for number, data in enumerate(rest) if data])
            cut = rng.choice([1, 2, 7, 1000, 30_000])
            clients[number].send(rest[number][:cut])
            rest[number] = rest[number][cut:]
        for client, payload in zip(clients, payloads, strict=True):
            assert client.read_frame() == Frame(BINARY, payload)
    finally:
        for client in clients:
            client.sock.close()


def test_a_failed_connection_leaves_others_alone(echo_server):
    with open_websocket(echo_server) as good, open_websocket(echo_server) as bad:
        good.send(frame(TEXT, "half", fin=False))
        bad.send(frame(TEXT, b"\xff"))
        assert bad.read_close() == 1007
        good.send(frame(CONTINUATION, " and half"))
        assert good.read_frame() == Frame(TEXT, b"half and half")


def test_a_peer_that_does_not_read_stops_only_itself(echo_server):
    message = random.Random(0).randbytes(1 << 20)
    data = frame(BINARY, message)
    sent = []

    def send_more_than_the_kernel_keeps():
        for _ in range(64):
            for start in range(0, len(data), 1 << 14):
                unread.send(data[start : start + (1 << 14)])
                sent.append(1)

    with open_websocket(echo_server) as unread, open_websocket(echo_server) as other:
        sender = Thread(target=send_more_than_the_kernel_keeps)
        sender.start()
        try:
            # Until the sender stands still while the other connection goes back and forth.
            progress = -1
            while len(sent) > progress:
                progress = len(sent)
                for number in range(2000):
                    other.send(frame(TEXT, f"{number}"))
                    assert other.read_frame() == Frame(TEXT, b"%d" % number)
            assert sender.is_alive()
            for _ in range(64):
                echo = unread.read_frame()
                assert (echo.opcode, len(echo.payload)) == (BINARY, len(message))
                same = echo.payload == message
                assert same
        finally:
            sender.join()
        unread.send(close_frame(1000))
        assert unread.read_close() == 1000


# ---- Peers that vanish

UNFINISHED = {
    "between messages": b"",
    "in a header": frame(TEXT, "x" * 300)[:3],
    "in a masking key": frame(TEXT, "hello")[:4],
    "in a payload": frame(TEXT, "hello")[:8],
    "in a long payload": frame(BINARY, bytes(100_000))[:50_000],
    "between fragments": frame(TEXT, "x", fin=False),
    "in a second fragment": frame(TEXT, "x", fin=False) + frame(CONTINUATION, "hello")[:7],
    "in a ping": frame(PING, "hello")[:7],
    "in a close": close_frame(1000, b"bye")[:8],
}

unfinished = pytest.mark.parametrize("data", UNFINISHED.values(), ids=UNFINISHED.keys())

LOST = re.compile(r"closed: 1006 \(.+\), ended by the peer")


def still_serves(server):
    with open_websocket(server) as client:
        client.send(frame(TEXT, "still there?"), close_frame(1000))
        assert client.read_frame() == Frame(TEXT, b"still there?")
        assert client.read_close() == 1000


@unfinished
def test_an_end_of_stream(echo_server, data):
    with open_websocket(echo_server) as client:
        client.send(data)
        client.send_end()
        client.read_end()
    line = client.log_line()
    assert LOST.match(line)
    assert ("between messages" in line) == (not data)
    still_serves(echo_server)


@unfinished
def test_a_reset(echo_server, data):
    with open_websocket(echo_server) as client:
        client.send(frame(PING, "taken"), data)
        assert client.read_frame() == Frame(PONG, b"taken")
        client.reset()
    assert LOST.fullmatch(client.log_line())
    still_serves(echo_server)


def test_a_reset_with_echoes_unread(echo_server):
    """The server is in the middle of writing, or has just written."""
    with open_websocket(echo_server, receive_buffer=4096) as client:
        client.send(frame(BINARY, bytes(8 << 20)))
        assert client.sock.recv(1)
        client.reset()
    assert LOST.fullmatch(client.log_line())
    still_serves(echo_server)


def test_a_reset_instead_of_the_end_of_the_closing_handshake(echo_server):
    with open_websocket(echo_server) as client:
        client.send(close_frame(1000))
        assert client.read_close() == 1000
        client.reset()
    assert client.log_line() == "closed: 1000, ended by the peer"
    still_serves(echo_server)


@pytest.mark.parametrize("end", [RawClient.send_end, RawClient.reset], ids=["end", "reset"])
def test_peers_that_vanish_before_their_request_is_whole(server, end):
    request = upgrade_request(server.port)
    for cut in (0, 1, 10, 20, 60, -2, -1):
        with RawClient(server) as client:
            client.send(request[:cut])
            end(client)
        still_serves(server)
    wait_for_logs(server)
    assert server.stderr.matching("Traceback") == []


def test_hundreds_that_vanish_at_once(start_server):
    server = start_server()
    clients = [RawClient(server) for _ in range(300)]
    try:
        for client in clients:
            client.upgrade()
        for client in clients[::2]:
            client.send(frame(TEXT, "never", fin=False))
    finally:
        for number, client in enumerate(clients):
            if number % 3:
                client.reset()
            else:
                client.sock.close()
    for client in clients:
        server.stderr.wait_for_line(f"^{client.address} ")
    still_serves(server)
    wait_for_logs(server)
    assert len(server.stderr.matching(f"^[0-9.:]+ {LOST.pattern},")) == len(clients)
    assert server.stderr.position == len(clients) + 2
