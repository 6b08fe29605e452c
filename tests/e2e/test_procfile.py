"""The Procfile, run as a hosting platform does: environment only, and SIGTERM to all at once."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.raw_client import Frame, RawClient, http_request, open_websocket
from tests.e2e.server_process import (
    DEADLINE,
    ROOT,
    ServerProcess,
    child_ids,
    clean_environment,
    reserve_port,
)
from tests.wire import CLOSE, TEXT, close_frame, frame

GOING_AWAY = Frame(CLOSE, b"\x03\xe9going away")

#: The folder of the commands that requirements*.txt brings, as a platform has it on its PATH.
COMMANDS = Path(sys.executable).parent


class Platform(ServerProcess):
    """The Procfile's one process, with what platforms set in the environment."""

    def __init__(self, reservation, **environment):
        path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
        port = reservation.getsockname()[1]
        super().__init__(
            environment={"PATH": path, "PORT": str(port)} | environment,
            command=[sys.executable, "-m", "honcho", "--no-colour", "start"],
        )
        # honcho gives the first process the port of the environment.
        self._reservation = reservation

    def _end(self, number, *, resume=True):
        """As it is, but that honcho says by its exit code that it was told to stop."""
        super()._end(number, resume=resume)
        if self.process.returncode == 128 + signal.SIGTERM:
            self.process.returncode = 0

    def descendants(self):
        """The ids of all processes below honcho."""
        found, new = set(), {self.process.pid}
        while new:
            new = set().union(*map(child_ids, new))
            found |= new
        return found


@pytest.fixture
def platform():
    """``platform(**environment)`` runs the Procfile."""
    with ExitStack() as stack:

        def run(**environment):
            one = Platform(reserve_port(), **environment)
            stack.callback(one.finish)
            one.start()
            return one

        yield run


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("workers", [1, 3])
def test_all_get_sigterm_at_once(platform, stack, workers):
    one = platform(WEB_CONCURRENCY=str(workers), ECHO_SHUTDOWN_TIMEOUT="5")
    clients = [stack.enter_context(open_websocket(one)) for _ in range(50)]
    for client in clients:
        client.send(frame(TEXT, "hello"))
        assert client.read_frame() == Frame(TEXT, b"hello")
    processes = one.descendants()
    assert len(processes) >= workers + 1
    for process_id in [*processes, one.process.pid]:
        os.kill(process_id, signal.SIGTERM)
    for client in clients:
        assert client.read_frame() == GOING_AWAY
        client.send(close_frame(1001))
        client.read_end()
        client.sock.close()
    one.stop(number=0)
    assert one.stdout.matching(r"web\.1 stopped \(rc=0\)")
    assert not [process_id for process_id in processes if Path(f"/proc/{process_id}").exists()]


def test_it_is_open_to_all_and_serves_the_page(platform):
    one = platform()
    with RawClient(one) as client:
        host = f"{one.host}:{one.port}"
        client.send(http_request(path="/ws/echo_display", headers=[("Host", host)]))
        response = client.read_response()
        assert response.status == 200
        assert response.header("Content-Type").startswith("text/html")
    listening = f"00000000:{one.port:04X}"
    assert any(
        line.split()[1] == listening for line in Path("/proc/net/tcp").read_text().splitlines()
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ECHO_HEAD_TIMEOUT", "soon"),
        ("ECHO_CERTFILE", "/nowhere.pem"),
        ("PORT", "65536"),
    ],
)
def test_a_bad_environment_is_one_line(variable, value):
    result = subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env=clean_environment({"PORT": "0", variable: value}),
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert variable in line
