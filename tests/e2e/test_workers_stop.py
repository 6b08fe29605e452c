"""Stopping several workers: everybody sees 1001, and the exit code is 0."""

import os
import signal
import subprocess
from contextlib import ExitStack, suppress

import pytest

from tests.e2e.raw_client import Frame, RawClient, open_websocket, upgrade_request
from tests.e2e.server_process import ROOT
from tests.wire import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame

GOING_AWAY = Frame(CLOSE, b"\x03\xe9going away")

#: The first worker is told to stop in the moment that it is forked; see inside/.
TOLD_TO_STOP = {"PYTHONPATH": str(ROOT / "tests" / "e2e" / "inside" / "told_to_stop_at_once")}

#: Connections of each kind.
MANY = 60


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def server(start_server):
    server = start_server("--workers", "3", "--quiet", "--shutdown-timeout", "2")
    server.wait_for_workers(3)
    return server


def to_master(server, number):
    server.process.send_signal(number)


def to_all(server, number):
    """As hosting platforms do, and a terminal."""
    for process_id in [server.process.pid, *server.worker_ids()]:
        os.kill(process_id, number)


def to_workers_first(server, number):
    for process_id in [*server.worker_ids(), server.process.pid]:
        os.kill(process_id, number)


def twice(server, number):
    workers = server.worker_ids()
    for process_id in [server.process.pid, *workers] * 2:
        os.kill(process_id, number)


WAYS = pytest.mark.parametrize(
    ("tell", "number"),
    [
        (to_master, signal.SIGTERM),
        (to_all, signal.SIGTERM),
        (to_workers_first, signal.SIGTERM),
        (twice, signal.SIGTERM),
        (to_master, signal.SIGINT),
        (to_all, signal.SIGINT),
        (to_master, signal.SIGQUIT),
    ],
)


@WAYS
def test_peers_of_all_kinds(server, stack, tell, number):
    answering = [stack.enter_context(open_websocket(server)) for _ in range(MANY)]
    silent = [stack.enter_context(open_websocket(server)) for _ in range(MANY)]
    half = [stack.enter_context(RawClient(server)) for _ in range(MANY)]
    for client in half:
        client.send(upgrade_request(server.port)[:50])
    stuck = [stack.enter_context(RawClient(server, receive_buffer=4096)) for _ in range(3)]
    for client in stuck:
        client.upgrade()
        client.send(frame(BINARY, bytes(8 << 20)))
    for client in answering:
        client.send(frame(BINARY, bytes(100_000)), frame(PING, "here"))
        assert client.read_frame() == Frame(BINARY, bytes(100_000))
        assert client.read_frame() == Frame(PONG, b"here")
    tell(server, number)
    for client in answering:
        assert client.read_frame() == GOING_AWAY
        client.send(close_frame(1001))
        client.read_end()
        client.sock.close()
    for client in silent:
        assert client.read_close() == 1001
    for client in half:
        client.read_end()
    server.stop(number=0)
    assert len(server.stderr.matching(r" closed: 1001 \(going away\), ended by the server")) == (
        2 * MANY + len(stuck)
    )
    assert len(server.stderr.lines) == 2 * MANY + len(stuck)


def test_one_worker_alone_is_drained_and_replaced(server, stack):
    workers = server.worker_ids()
    clients = [stack.enter_context(open_websocket(server)) for _ in range(MANY)]
    victim = min(workers)
    os.kill(victim, signal.SIGTERM)
    new = server.wait_for_workers(3, besides={victim})
    assert new > workers - {victim}
    told = 0
    for client in clients:
        client.send(frame(TEXT, "x"))
        told += client.read_frame() == GOING_AWAY
    assert told < MANY
    assert server.stderr.matching("^gunicorn:") == []


def test_a_worker_that_is_told_to_stop_while_it_begins_does(start_server):
    server = start_server("--workers", "1", environment=TOLD_TO_STOP)
    told = int(server.stderr.wait_for_line(r"^(\d+) is told to stop$")[1])
    server.wait_for_workers(1, besides={told})
    with open_websocket(server) as client:
        client.send(frame(TEXT, "x"))
        assert client.read_frame() == Frame(TEXT, b"x")


def test_a_second_interrupt_ends_it_at_once(start_server, stack):
    server = start_server("--workers", "2", "--shutdown-timeout", "1000", "--close-timeout", "1000")
    server.wait_for_workers(2)
    clients = [stack.enter_context(open_websocket(server)) for _ in range(10)]
    to_all(server, signal.SIGINT)
    for client in clients:
        assert client.read_frame() == GOING_AWAY
    assert server.process.poll() is None
    # As a person does it: two that a busy process has not looked at are one to it.
    while server.process.poll() is None:
        with suppress(ProcessLookupError):
            to_all(server, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(1)
    server.stop(number=0)


def test_workers_whose_master_is_gone_end_in_good_order(start_server, stack):
    server = start_server("--workers", "2")
    server.wait_for_workers(2)
    clients = [stack.enter_context(open_websocket(server)) for _ in range(10)]
    server.process.kill()
    for client in clients:
        assert client.read_frame() == GOING_AWAY
        client.send(close_frame(1001))
        client.read_end()
        client.sock.close()
    with pytest.raises(AssertionError, match="exit code -9"):
        server.stop(number=0)
    server.check()
    server.start()  # for the fixture, which ends a server in good order


def test_it_can_be_started_again_at_once_on_the_same_port(server):
    for _ in range(2):
        with open_websocket(server) as client:
            client.send(frame(TEXT, "hello"))
            assert client.read_frame() == Frame(TEXT, b"hello")
            server.stop()
            assert client.read_close() == 1001
        server.start()
        server.wait_for_workers(3)
