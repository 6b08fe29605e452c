"""``python server.py`` as a process of its own, for the end-to-end tests."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Condition, Event, Thread

ROOT = Path(__file__).resolve().parents[2]

#: How the service says where it is, as text or in JSON.
ANNOUNCED = r"""(?:WebSocket: |"websocket": ")wss?://.*:(\d+)/ws/"""

#: Seconds that anything may take; only a hang takes so long.
DEADLINE = 30


def clean_environment(extra=None):
    """The environment less what would set an option of the service, and ``extra``."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"HOST", "PORT", "WEB_CONCURRENCY"} and not name.startswith("ECHO_")
    }
    return inherited | (extra or {})


def run_command(*arguments, environment=None, wrapper=()):
    """Run ``python server.py`` to its end, which must come by itself.

    ``wrapper``: a command that the whole is given to as arguments.
    """
    return subprocess.run(
        [*wrapper, sys.executable, "server.py", *arguments],
        cwd=ROOT,
        env=clean_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )


def reserve_port(host="127.0.0.1", port=0):
    """A bound socket that never listens: nobody else gets its port, but who asks for it can listen.

    Linux lets two sockets with SO_REUSEADDR bind the same port while neither listens.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind((host, port))
    return reservation


def child_ids(process_id):
    """The ids of the processes that a process has started and that live."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return {int(child) for child in children}


def _serves(process_id):
    """Whether a worker has taken over from gunicorn, which catches SIGWINCH, and has its handlers.

    The handler of SIGUSR1 is among the last things that it makes.
    """
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except FileNotFoundError:
        return False
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    caught = int(caught, 16)
    return not caught >> (signal.SIGWINCH - 1) & 1 and bool(caught >> (signal.SIGUSR1 - 1) & 1)


class Output:
    """The lines that a process writes to a pipe, gathered by a thread."""

    def __init__(self, name):
        self.name = name
        self._lines = []
        self._changed = Condition()
        self._ended = False
        self._may_read = Event()
        self._may_read.set()
        self._abandoned = False
        self._thread = None

    def attach(self, pipe):
        """Read a pipe to its end, and close it."""
        self._ended = False
        self._thread = Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    @property
    def lines(self):
        """The lines so far, without their line breaks."""
        with self._changed:
            return list(self._lines)

    @property
    def position(self):
        """How many lines there are: for ``after``."""
        with self._changed:
            return len(self._lines)

    def matching(self, pattern, after=0):
        """The lines, behind the first ``after`` of them, in which the pattern is found."""
        return [line for line in self.lines[after:] if re.search(pattern, line)]

    def wait_for_line(self, pattern, timeout=DEADLINE, *, after=0):
        """The match of a pattern in the first line that has one, behind the first ``after`` lines.

        Fails when there is none within ``timeout`` seconds or until the process ends.
        """
        deadline = time.monotonic() + timeout
        position = after
        with self._changed:
            while True:
                for line in self._lines[position:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                position = max(position, len(self._lines))
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    seen = "\n".join(self._lines[after:][-50:])
                    raise AssertionError(f"no line {pattern!r} on {self.name}, but:\n{seen}")
                self._changed.wait(left)

    def wait_for_lines(self, pattern, count, *, after=0):
        """Wait until the pattern is found in ``count`` lines, behind the first ``after`` lines."""
        for _ in range(count):
            self.wait_for_line(pattern, after=after)
            lines = self.lines
            after = next(n for n in range(after, len(lines)) if re.search(pattern, lines[n])) + 1

    def tail(self):
        """The last lines."""
        return "\n".join(self.lines[-50:])

    def pause(self):
        """Read no more, after one more piece, so that the pipe fills up."""
        self._may_read.clear()

    def resume(self):
        """Read on."""
        self._may_read.set()

    def abandon(self):
        """Close the pipe instead of reading on, after one more piece."""
        self._abandoned = True
        self.resume()

    def join(self):
        """Wait for the end of the pipe."""
        if self._thread is not None:
            self._thread.join(DEADLINE)
            assert not self._thread.is_alive(), f"{self.name} is held open by somebody"

    def _read(self, pipe):
        rest = b""
        with pipe:
            while data := os.read(pipe.fileno(), 1 << 16):
                *lines, rest = (rest + data).split(b"\n")
                self._add(lines)
                if self._abandoned:
                    break
                self._may_read.wait()
        self._add([rest] if rest else [], ended=True)

    def _add(self, lines, *, ended=False):
        with self._changed:
            self._lines += [line.decode("utf-8", "surrogateescape") for line in lines]
            self._ended = ended
            self._changed.notify_all()


def memory(server, kind="VmRSS", worker=None):
    """The resident memory of a server's process, or of the worker of that process id, in bytes.

    VmHWM: the most that it ever was.
    """
    status = Path(f"/proc/{worker or server.process.pid}/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) * 1024


class ServerProcess:
    """The service on a port of its own, started and stopped at will.

    Attributes:
        host, port, url: where it is reached.
        process: the subprocess.Popen of the last start.
        tls: the ssl.SSLContext of its clients; None without TLS.
        stdout, stderr: the Output of all starts.
    """

    host = "127.0.0.1"

    def __init__(
        self, *options, port=None, environment=None, tls=None, command=(sys.executable, "server.py")
    ):
        """``port``: None for one that is kept free for this server, 0 to let the server choose.

        With None and 0 the option --port is given, unless the environment has PORT.
        """
        self.tls = tls
        self._command = command
        self._options = options
        self._environment = clean_environment(environment)
        self._reservation = None
        if port is None and "PORT" not in self._environment:
            self._reservation = reserve_port(self.host)
            port = self._reservation.getsockname()[1]
        self.port = port
        self.process = None
        self.stdout = Output("stdout")
        self.stderr = Output("stderr")
        self._stopped = True
        self._checked = 0

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def websocket_url(self):
        return f"{'wss' if self.tls else 'ws'}://{self.host}:{self.port}/ws/echo"

    def start(self):
        """Start it and wait until it listens."""
        assert self._stopped, "already started"
        position = self.stdout.position
        port = () if self.port is None else ("--port", str(self.port))
        self.process = subprocess.Popen(
            [*self._command, *port, *self._options],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on the tests' terminal is not for it
        )
        self._stopped = False
        self.stdout.attach(self.process.stdout)
        self.stderr.attach(self.process.stderr)
        try:
            address = self.stdout.wait_for_line(ANNOUNCED, after=position)
        except AssertionError as error:
            raise AssertionError(f"{error}\nstderr:\n{self.stderr.tail()}") from None
        self.port = int(address[1])

    def stop(self, number=signal.SIGTERM, *, resume=True):
        """Send a signal, none for 0, and wait for the end, which must be a clean one.

        ``resume``: first read on from outputs that were paused.
        """
        self._end(number, resume=resume)
        assert self.process.returncode == 0, (
            f"exit code {self.process.returncode} after {number!r}; stderr:\n{self.stderr.tail()}"
        )

    def worker_ids(self):
        """The process ids of its workers."""
        return child_ids(self.process.pid)

    def wait_for_workers(self, count, besides=frozenset()):
        """Wait until there are so many workers, none of them among ``besides``, and all serve.

        Returns their process ids.
        """
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            workers = self.worker_ids()
            if len(workers) == count and not workers & besides and all(map(_serves, workers)):
                return workers
            time.sleep(0.01)
        raise AssertionError(f"{workers} are not {count} workers besides {besides}")

    def finish(self):
        """Stop what still runs. Fails if anything about this server was not as it should be."""
        died = not self._stopped and self.process.poll() is not None
        try:
            if not self._stopped:
                self._end(signal.SIGTERM)
        finally:
            if self._reservation is not None:
                self._reservation.close()
        code = self.process.returncode
        assert not died, f"ended by itself with {code}; stderr:\n{self.stderr.tail()}"
        assert code == 0, f"exit code {code}; stderr:\n{self.stderr.tail()}"
        self.check()

    def check(self):
        """Fail if there is a new sign of a fault on stderr."""
        position, self._checked = self._checked, self.stderr.position
        faults = self.stderr.matching("Traceback|Exception ignored|Warning:", position)
        assert not faults, f"{faults} on stderr, which ends:\n{self.stderr.tail()}"

    def _end(self, number, *, resume=True):
        self._stopped = True
        if resume:
            self._resume()
        self.process.send_signal(number)
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
            self._resume()
            self.stdout.join()
            self.stderr.join()
        if self._reservation is None:
            self._reservation = reserve_port(self.host, self.port)

    def _resume(self):
        self.stdout.resume()
        self.stderr.resume()
