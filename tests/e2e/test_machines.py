"""The service where the machine is another one: its terminal, its environment, its system."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.raw_client import Frame, open_websocket
from tests.e2e.server_process import DEADLINE, ROOT, Output, clean_environment, run_command
from tests.wire import CLOSE, TEXT, frame

INSIDE = ROOT / "tests" / "e2e" / "inside"


# ---- A connection that nobody uses


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=DEADLINE)


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(start_server):
    server = start_server("--head-timeout", "0.2")
    with connect(server) as unused:
        assert unused.recv(100) == b""
    with connect(server) as begun:
        begun.sendall(b"G")
        assert begun.recv(100).startswith(b"HTTP/1.1 408 ")
    assert server.stderr.wait_for_line(r'"G" 408 ')
    assert len(server.stderr.lines) == 1


# ---- SIGHUP


def test_a_hangup_without_a_terminal_ends_nothing(echo_server):
    with open_websocket(echo_server) as client:
        position = echo_server.stderr.position
        echo_server.process.send_signal(signal.SIGHUP)
        echo_server.stderr.wait_for_line("nothing to read again", after=position)
        client.send(frame(TEXT, "still here"))
        assert client.read_frame() == Frame(TEXT, b"still here")


class InTerminal:
    """A server that was started in a terminal of its own."""

    host, tls = "127.0.0.1", None

    def __init__(self, *wrapper):
        self.stderr = Output("terminal")
        command = [*wrapper, sys.executable, "server.py", "--port", "0", "--quiet"]
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may be run under nohup
            os.chdir(ROOT)
            os.execvpe(command[0], command, clean_environment())
        self._ended = False

    def __enter__(self):
        try:
            said = b""
            while not (address := re.search(rb"ws://127.0.0.1:(\d+)/ws/echo", said)):
                assert select.select([self._terminal], [], [], DEADLINE)[0], said
                said += os.read(self._terminal, 1000)
            self.port = int(address[1])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def hang_up(self):
        os.close(self._terminal)

    def wait(self):
        """Wait for the end; returns the exit code."""
        self._ended = True
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_terminal_that_goes_away_stops_the_server_in_good_order():
    with InTerminal() as server, open_websocket(server) as client:
        server.hang_up()
        close = client.read_frame()
        assert (close.opcode, close.payload[:2]) == (CLOSE, (1001).to_bytes(2))
        client.sock.close()
        assert server.wait() == 0


def test_under_nohup_the_server_outlives_its_terminal():
    nohup = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    with InTerminal(*nohup) as server, open_websocket(server) as client:
        server.hang_up()
        for number in range(20):
            client.send(frame(TEXT, f"{number}"))
            assert client.read_frame() == Frame(TEXT, b"%d" % number)
        os.kill(server.pid, signal.SIGTERM)
        assert client.read_frame().opcode == CLOSE
        client.sock.close()
        assert server.wait() == 0


# ---- Addresses


def test_an_ipv4_client_of_an_ipv6_socket_is_shown_as_ipv4(start_server):
    server = start_server("--host", "::")
    with open_websocket(server) as client:
        client.send(frame(TEXT, "from afar"))
        client.read_frame()
    assert server.stdout.wait_for_line(r"^127\.0\.0\.1:\d+ sent: from afar$")
    assert server.stderr.wait_for_line(r"^127\.0\.0\.1:\d+ closed: ")


# ---- Other systems


def test_it_serves_where_the_system_lacks_what_only_unix_has(start_server):
    server = start_server(environment={"PYTHONPATH": str(INSIDE / "less_system")}, port=None)
    with open_websocket(server) as client:
        for size in (5, 100_000):
            client.send(frame(TEXT, "x" * size))
            assert client.read_frame() == Frame(TEXT, b"x" * size)
    server.stop(signal.SIGINT)


def test_workers_are_refused_where_gunicorn_is_missing():
    environment = {"PYTHONPATH": str(INSIDE / "less_system")}
    done = run_command("--workers", "2", environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "'--workers'" in done.stderr
    assert "gunicorn" in done.stderr


@pytest.mark.parametrize("limit", [["--nofile=256:256"], ["--nofile=70:4096"]])
def test_a_limit_of_open_files_leaves_room_for_connections(limit):
    command = ["prlimit", *limit, sys.executable, "server.py", "--port", "0"]
    options = ["--max-connections", "100", "--quiet"]
    with subprocess.Popen(
        [*command, *options], cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert "Page:" in process.stdout.readline()
            port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as probe:
                probe.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                assert probe.recv(100).startswith(b"HTTP/1.1 200 ")
            files = run_limits(process.pid)
            assert files <= 256
        finally:
            process.terminate()


def run_limits(pid):
    """The soft limit of open files of a process."""
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (line,) = (line for line in limits if line.startswith("Max open files"))
    return int(line.split()[3])
