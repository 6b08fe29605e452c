"""``python server.py`` as a process: what it prints at start, and how it ends."""

import re
import signal
from urllib.request import urlopen

import pytest

from tests.e2e.raw_client import Frame, RawClient, open_websocket, upgrade_request
from tests.wire import BINARY, CLOSE, TEXT, close_frame, frame


@pytest.fixture
def impatient(start_server):
    """A server that waits a second for the answer to its close frame."""
    return start_server("--close-timeout", "1")


signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


# ---- What it prints at start


@pytest.mark.parametrize("options", [[], ["--quiet"]], ids=str)
def test_it_prints_both_addresses_and_nothing_else(start_server, options):
    server = start_server(*options)
    assert server.stdout.lines == [
        f"Page:      {server.url}/ws/echo_display",
        f"WebSocket: {server.websocket_url}",
    ]
    with urlopen(server.stdout.lines[0].split()[1], timeout=30) as page:
        assert page.status == 200
        assert "text/html" in page.headers["Content-Type"]
    server.stop()
    assert len(server.stdout.lines) == 2
    assert [line.split('"')[1] for line in server.stderr.lines] == ["GET /ws/echo_display HTTP/1.1"]


def test_an_idle_server_prints_nothing_more_until_its_end(server):
    server.stop(signal.SIGINT)
    assert len(server.stdout.lines) == 2
    assert server.stderr.lines == []


def test_it_can_be_started_again_at_once_on_the_same_port(impatient):
    for _ in range(2):
        with open_websocket(impatient) as client:
            client.send(frame(TEXT, "hello"))
            assert client.read_frame() == Frame(TEXT, b"hello")
            impatient.stop()
            assert client.read_close() == 1001
        impatient.start()


# ---- Ctrl-C sends SIGINT, a supervisor SIGTERM


@signals
def test_clients_see_1001(impatient, number):
    with (
        open_websocket(impatient) as idle,
        open_websocket(impatient) as busy,
        open_websocket(impatient) as midway,
        open_websocket(impatient) as in_frame,
    ):
        busy.send(frame(BINARY, bytes(70_000)))
        assert busy.read_frame() == Frame(BINARY, bytes(70_000))
        midway.send(frame(TEXT, "half", fin=False))
        in_frame.send(frame(TEXT, "hello")[:7])
        impatient.stop(number)
        for client in (idle, busy, midway, in_frame):
            assert client.read_close() == 1001


ENDED = re.compile(r"closed: 1001 \(.+\), ended by the server, after .+")


@signals
def test_the_log_has_a_line_for_who_answers_the_close(server, number):
    with open_websocket(server) as client:
        client.send(frame(TEXT, "half", fin=False))
        server.process.send_signal(number)
        assert client.read_frame().opcode == CLOSE
        client.send(close_frame(1001))
        client.read_end()
        client.send_end()
        server.stop(number=0)  # it has had its signal
    (line,) = server.stderr.lines
    assert ENDED.fullmatch(line.removeprefix(f"{client.address} "))


@signals
def test_the_log_has_a_line_for_who_does_not_answer(impatient, number):
    with open_websocket(impatient) as idle, open_websocket(impatient) as midway:
        midway.send(frame(TEXT, "half", fin=False))
        impatient.stop(number)
        for client in (idle, midway):
            (line,) = impatient.stderr.matching(f"^{client.address} ")
            assert ENDED.fullmatch(line.removeprefix(f"{client.address} "))


@signals
def test_hundreds_of_clients_see_1001(impatient, number):
    clients = []
    try:
        for _ in range(300):
            clients.append(RawClient(impatient))
            clients[-1].upgrade()
        impatient.stop(number)
        assert [client.read_close() for client in clients] == [1001] * len(clients)
    finally:
        for client in clients:
            client.sock.close()


def test_a_client_that_sends_megabytes_meanwhile(impatient):
    """What it still sends does not destroy the close frame."""
    with open_websocket(impatient) as client:
        client.send(frame(BINARY, bytes(15 << 20))[: 14 << 20])
        impatient.stop()
        assert client.read_close() == 1001


@signals
def test_what_is_not_a_websocket_does_not_hold_it_up(server, number):
    with RawClient(server) as silent, RawClient(server) as half, RawClient(server) as kept:
        half.send(upgrade_request(server.port)[:40])
        kept.send(upgrade_request(server.port, sec_websocket_key=None))
        assert kept.read_response().status == 400
        server.stop(number)
        for client in (silent, half, kept):
            client.read_end()


def test_a_client_that_does_not_read_does_not_hold_it_up(impatient):
    with (
        open_websocket(impatient, receive_buffer=4096) as client,
        open_websocket(impatient) as other,
    ):
        client.send(frame(BINARY, bytes(15 << 20)))
        other.send(frame(TEXT, "first come"))
        assert other.read_frame() == Frame(TEXT, b"first come")
        impatient.stop()
        assert other.read_close() == 1001


def test_nobody_listens_any_more(server):
    server.stop()
    with pytest.raises(ConnectionRefusedError), RawClient(server):
        pass
