"""Several workers on one port: what their clients notice of each other, which is nothing."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest

from tests.e2e.raw_client import Frame, RawClient, http_request, open_websocket
from tests.e2e.server_process import reserve_port, run_command
from tests.wire import BINARY, CLOSE, TEXT, close_frame, frame

GOING_AWAY = Frame(CLOSE, b"\x03\xe9going away")


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def worker_of(server, client):
    """The process id of the worker that serves a connection."""
    remote = f"{client.sock.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, peer, _, _, _, _, _, _, inode, *_ = line.split()
        if local.endswith(f":{server.port:04X}") and peer.endswith(f":{remote}"):
            break
    for worker in server.worker_ids():
        for link in Path(f"/proc/{worker}/fd").iterdir():
            try:
                if str(link.readlink()) == f"socket:[{inode}]":
                    return worker
            except FileNotFoundError:  # closed meanwhile
                continue
    raise AssertionError("nobody serves it")


def clients_by_worker(server, stack, count):
    """Connections, opened until each of so many workers has two; by the worker's process id."""
    clients = {}
    while len(clients) < count or min(map(len, clients.values())) < 2:
        assert sum(map(len, clients.values())) < 1000, f"one gets them all: {clients}"
        client = stack.enter_context(open_websocket(server))
        clients.setdefault(worker_of(server, client), []).append(client)
    return clients


def assert_echoes(client, text="hello"):
    client.send(frame(TEXT, text))
    assert client.read_frame() == Frame(TEXT, text.encode())


class Load:
    """Messages back and forth without pause, in a thread; as a context manager."""

    def __init__(self, client):
        self._client = client
        self._over = Event()
        self._fault = None
        self._thread = Thread(target=self._run)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _run(self):
        try:
            while not self._over.is_set():
                assert_echoes(self._client, "load" * 100)
        except (AssertionError, OSError) as fault:
            self._fault = fault


def test_all_workers_get_connections_and_echo(start_server, stack):
    server = start_server("--workers", "3")
    workers = server.wait_for_workers(3)
    clients = clients_by_worker(server, stack, 3)
    assert set(clients) == workers
    for several in clients.values():
        for client in several:
            assert_echoes(client)
    assert server.stdout.lines[:2] == [
        f"Page:      {server.url}/ws/echo_display",
        f"WebSocket: {server.websocket_url}",
    ]
    assert not server.stdout.matching("^(Page|WebSocket):", 2)


@pytest.mark.parametrize("environment", ["WEB_CONCURRENCY", "ECHO_QUIET"])
def test_options_and_environment_reach_the_workers(start_server, stack, environment):
    options = ["--max-message-size", "10", "--subprotocol", "a", "--subprotocol", "b"]
    if environment == "WEB_CONCURRENCY":
        server = start_server(*options, "--quiet", environment={"WEB_CONCURRENCY": "2"})
    else:
        server = start_server(*options, "--workers", "2", environment={"ECHO_QUIET": "1"})
    server.wait_for_workers(2)
    for _ in range(10):
        client = stack.enter_context(RawClient(server))
        response = client.upgrade(sec_websocket_protocol="c, b")
        assert response.header("Sec-WebSocket-Protocol") == "b"
        assert_echoes(client, "0123456789")
        client.send(frame(TEXT, "0123456789a"))
        assert client.read_close() == 1009
    assert len(server.stdout.lines) == 2


def test_port_0_is_any_that_is_free(start_server):
    server = start_server("--workers", "2", port=0)
    assert server.stdout.lines[0] == f"Page:      {server.url}/ws/echo_display"
    with open_websocket(server) as client:
        assert_echoes(client)


def test_one_worker_by_the_option_is_gunicorn_too(start_server):
    server = start_server("--workers", "1")
    (worker,) = server.wait_for_workers(1)
    with open_websocket(server) as client:
        assert worker_of(server, client) == worker


def test_without_the_option_there_is_no_gunicorn(start_server):
    assert start_server().worker_ids() == set()


# ---- A worker that dies


def test_a_killed_worker_is_replaced_and_the_others_notice_nothing(start_server, stack):
    server = start_server("--workers", "3", "--quiet")
    workers = server.wait_for_workers(3)
    clients = clients_by_worker(server, stack, 3)
    victim, *others = clients
    with Load(clients[others[0]][0]), Load(clients[others[1]][0]):
        os.kill(victim, signal.SIGKILL)
        for client in clients[victim]:
            with pytest.raises((AssertionError, ConnectionResetError)):
                client.read_frame()
        new = server.wait_for_workers(3, besides={victim}) - workers
        assert len(new) == 1
        while worker_of(server, stack.enter_context(open_websocket(server))) not in new:
            pass
    for worker in others:
        for client in clients[worker]:
            assert_echoes(client)
    line = server.stderr.wait_for_line(r"^gunicorn: Worker \(pid:(\d+)\) was sent SIGKILL!")
    assert int(line[1]) == victim


def test_a_worker_that_hangs_is_replaced(start_server, stack):
    server = start_server(
        "--workers", "2", "--quiet", environment={"GUNICORN_CMD_ARGS": "--timeout 4"}
    )
    server.wait_for_workers(2)
    clients = clients_by_worker(server, stack, 2)
    victim, other = clients
    with Load(clients[other][0]):
        os.kill(victim, signal.SIGSTOP)
        assert other in server.wait_for_workers(2, besides={victim})
    server.stderr.wait_for_line(rf"^gunicorn: WORKER TIMEOUT \(pid:{victim}\)")


def test_a_busy_worker_gives_signs_of_life(start_server):
    """It is given work without pause, for longer than gunicorn waits."""
    server = start_server(
        "--workers", "1", "--quiet", environment={"GUNICORN_CMD_ARGS": "--timeout 3"}
    )
    workers = server.wait_for_workers(1)
    end = monotonic() + 5
    with open_websocket(server) as client:
        while monotonic() < end:
            client.send(frame(TEXT, "x") * 2000)
            for _ in range(2000):
                assert client.read_frame() == Frame(TEXT, b"x")
    assert server.worker_ids() == workers
    assert server.stderr.matching("TIMEOUT") == []


# ---- Reloading


def test_hangup_drains_the_old_workers_and_new_ones_take_over(start_server, stack):
    server = start_server("--workers", "2", "--quiet")
    old = server.wait_for_workers(2)
    clients = [client for some in clients_by_worker(server, stack, 2).values() for client in some]
    for client in clients:
        client.send(frame(BINARY, bytes(200_000)))
    server.process.send_signal(signal.SIGHUP)
    for client in clients:
        assert client.read_frame() == Frame(BINARY, bytes(200_000))
        assert client.read_frame() == GOING_AWAY
    # By now each of the old workers was told to go, and none of them takes a connection.
    for client in clients:
        # Whoever connects again meanwhile is not refused.
        with open_websocket(server) as again:
            assert_echoes(again)
        client.send(close_frame(1001))
        client.read_end()
        client.sock.close()
    new = server.wait_for_workers(2, besides=old)
    again = clients_by_worker(server, stack, 2)
    assert set(again) == new
    assert server.stderr.matching("^gunicorn:") == []


# ---- Limits


def test_a_connection_too_many_gets_503(start_server, stack):
    server = start_server("--workers", "2", "--max-connections", "2")
    server.wait_for_workers(2)
    refused = served = 0
    while not refused or served < 4:
        client = stack.enter_context(RawClient(server))
        client.send(http_request(path="/", headers=[("Host", f"{server.host}:{server.port}")]))
        response = client.read_response()
        assert response.status in {302, 503}
        if response.status == 503:
            assert response.header("Retry-After") == "5"
            client.send_end()
            client.read_end()
            refused += 1
        else:
            served += 1
    assert served == 4


# ---- Logs


def test_lines_of_several_workers_stay_whole(start_server, stack):
    """Though nobody reads for a while and the pipe is full."""
    server = start_server("--workers", "3")
    server.wait_for_workers(3)
    clients = [some[0] for some in clients_by_worker(server, stack, 3).values()]
    before = server.stdout.position
    server.stdout.pause()
    texts = [letter * 1000 for letter in "abc"]
    for _ in range(20):
        for client, text in zip(clients, texts, strict=True):
            client.send(frame(TEXT, text) * 100)
        for client, text in zip(clients, texts, strict=True):
            for _ in range(100):
                assert client.read_frame() == Frame(TEXT, text.encode())
    server.stdout.resume()
    whole = {f"{client.address} sent: {text}" for client, text in zip(clients, texts, strict=True)}
    server.stdout.wait_for_lines(" sent: ", 6000, after=before)
    assert set(server.stdout.lines[before:]) == whole


# ---- What gunicorn is told and cannot do


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--bind 127.0.0.1:0 --bind 127.0.0.2:0", "one TCP port"),
        ("--bind unix:SOCKET", "one TCP port"),
        ("--certfile CERTIFICATE", "ECHO_CERTFILE"),
        ("--worker-class sync", "--worker-class"),
    ],
)
def test_what_the_worker_cannot_do_is_refused(authority, tmp_path, arguments, reason):
    arguments = arguments.replace("CERTIFICATE", str(authority.certfile))
    arguments = arguments.replace("SOCKET", str(tmp_path / "socket"))
    result = run_command(
        "--workers", "1", "--port", "0", environment={"GUNICORN_CMD_ARGS": arguments}
    )
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert reason in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["--port", "TAKEN"],
            "'--port' (env vars: 'ECHO_PORT', 'PORT') TAKEN: Address already in use",
        ),
        (["--port", "0", "--host", "192.0.2.1"], "'--host'"),
        (["--port", "0", "--host", "a..b"], "'--host'"),
    ],
)
def test_an_address_to_listen_on_that_cannot_be_had_is_one_line(arguments, reason):
    with reserve_port() as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run_command(
            "--workers", "2", *(argument.replace("TAKEN", port) for argument in arguments)
        )
    assert result.returncode in {1, 2}
    (line,) = result.stderr.splitlines()
    assert reason.replace("TAKEN", port) in line
    assert result.stdout == ""
