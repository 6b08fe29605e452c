"""The hostile half of the soak: floods, each alone and then all at once, beside healthy clients."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from soak_attacks import ATTACKS
from soak_kills import MEMORY_GIVEN_BACK, ROOT, descriptors

from tests.e2e.authority import Authority
from tests.e2e.server_process import Output, ServerProcess, memory

BENCH = ROOT / "bench"

#: Seconds that anything may take; only a hang takes so long.
DEADLINE = 60.0

#: What the two servers and all clients run on: the first core and the last.
SERVER_CORE, *_, LOAD_CORE = [*sorted(os.sched_getaffinity(0))] * 2

#: The command line of a server on its core.
PINNED = ("taskset", "-c", str(SERVER_CORE), sys.executable, "server.py")

#: All attacks at once come so many times, if there is time for it.
ROUNDS = 10

#: Seconds that an attack needs to be worth a look; with less of them for each, all come at once.
LEAST = 1.0

#: Bytes a second that are read of the server's log.
LOG_RATE = 1_000_000

#: What the log tells of a fault.
FAULTS = re.compile(rb"Traceback|Exception ignored|Warning:|WORKER TIMEOUT|SIGABRT|SIGKILL")

#: The --head-timeout of the server that is sent slow TLS handshakes.
HEAD_TIMEOUT = 0.5

#: The name of the phases in which all attacks come at once.
ALL = "all at once"


class Complaints(Output):
    """The server's log, read slowly, of which only the lines that tell of a fault are kept."""

    def _add(self, lines: list[bytes], *, ended: bool = False) -> None:
        super()._add([line for line in lines if FAULTS.search(line)], ended=ended)
        time.sleep(sum(map(len, lines)) / LOG_RATE)


class Target(ServerProcess):
    """The service with one worker, on a core of its own.

    Attributes:
        worker: the process id of the worker.
        idle: what it has open, and its threads, before the first attack.
    """

    def __init__(self) -> None:
        super().__init__(
            *("--workers", "1", "--quiet", "--metrics", "on"),
            environment=MEMORY_GIVEN_BACK,
            command=PINNED,
        )
        self.stderr = Complaints("stderr")
        self.worker = 0
        self.idle: dict[str, int] = {}

    def begin(self) -> None:
        """Start it, and see what it has when it is idle."""
        self.start()
        (self.worker,) = self.wait_for_workers(1)
        for path in ("/ws/echo_display", "/metrics"):
            with urlopen(self.url + path, timeout=DEADLINE) as response:
                response.read()
        self.idle = self.in_use()

    def in_use(self) -> dict[str, int]:
        threads = len(list(Path(f"/proc/{self.worker}/task").iterdir()))
        return {"descriptors": descriptors(self.worker), "threads": threads}

    def left(self) -> dict[str, int]:
        """What it has more than when it was idle."""
        left = {what: count - self.idle[what] for what, count in self.in_use().items()}
        return {what: count for what, count in left.items() if count > 0}

    def was_replaced(self) -> bool:
        """Whether another worker has come in the place of the last."""
        (worker,) = self.wait_for_workers(1)
        replaced, self.worker = worker != self.worker, worker
        return replaced

    def forget_peak(self) -> None:
        """Let the most memory be what it has now."""
        Path(f"/proc/{self.worker}/clear_refs").write_text("5")


@dataclass
class Phase:
    """One or several attacks at a time, and what came of it.

    Attributes:
        attacks: what each of them has sent, received, opened and lost, by its name.
        clients: as soak_healthy.py prints them, with ``control``.
        peak, after: KiB that the worker had at most and in the end.
    """

    name: str
    attacks: dict[str, dict[str, float]] = field(default_factory=dict)
    clients: list[dict] = field(default_factory=list)
    control: dict[str, float] = field(default_factory=dict)
    peak: int = 0
    after: int = 0


@dataclass
class Hostile:
    """What the hostile half has shown.

    Attributes:
        drip: what the slow TLS handshakes came to, as soak_attacks.py prints it.
        idle: KiB that the worker had before the first attack.
    """

    phases: list[Phase] = field(default_factory=list)
    drip: dict[str, float] = field(default_factory=dict)
    idle: int = 0
    problems: list[str] = field(default_factory=list)

    def memory(self) -> list[int]:
        """KiB after each time that all attacks came at once."""
        return [phase.after for phase in self.phases if phase.name == ALL]


def hostile(seconds: float) -> Hostile:
    """Put the floods on a service of its own, and the slow TLS handshakes on another."""
    result = Hostile()
    plan = [*((name, [name]) for name in ATTACKS), *[(ALL, list(ATTACKS))] * ROUNDS]
    if seconds / len(plan) < LEAST:
        plan = [(ALL, list(ATTACKS))]
    with ExitStack() as stack:
        authority = Authority(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        options = ("--quiet", "--head-timeout", str(HEAD_TIMEOUT), *authority.options)
        tls = ServerProcess(*options, tls=authority.context, command=PINNED)
        tls.stderr = Complaints("stderr")
        stack.callback(_finish, tls, result)
        tls.start()
        service = Target()
        stack.callback(_finish, service, result)
        service.begin()
        result.idle = memory(service, worker=service.worker) // 1024
        dripping = _start("soak_attacks.py", "drip", tls.port, seconds, LOAD_CORE)
        try:
            for name, attacks in plan:
                result.phases.append(_phase(service, name, attacks, seconds / len(plan), result))
        except AssertionError as error:
            result.problems.append(str(error)[:2000])
        result.drip = _result(dripping)
    return result


def _finish(server: ServerProcess, result: Hostile) -> None:
    try:
        server.finish()
    except AssertionError as error:
        result.problems.append(str(error)[:2000])


def _phase(
    service: Target, name: str, attacks: list[str], seconds: float, result: Hostile
) -> Phase:
    """Attack beside healthy clients, and wait until nothing is left."""
    phase = Phase(name)
    healthy = _start("soak_healthy.py", service.port, service.worker, LOAD_CORE)
    if healthy.stdout.readline() != "ready\n":
        healthy.communicate()
        result.problems.append(f"{name}: the healthy clients did not get in")
        return phase
    service.forget_peak()
    if any(ATTACKS[attack].log_unread for attack in attacks):
        service.stderr.pause()
    running = {
        attack: _start("soak_attacks.py", attack, service.port, seconds, LOAD_CORE)
        for attack in attacks
    }
    phase.attacks = {attack: _result(process) for attack, process in running.items()}
    phase.__dict__.update(_result(healthy))
    service.stderr.resume()
    if service.was_replaced():
        result.problems.append(f"{name}: gunicorn replaced the worker")
    else:
        phase.peak = memory(service, "VmHWM", service.worker) // 1024
    _settle(service, name, result)
    phase.after = memory(service, worker=service.worker) // 1024
    return phase


def _start(program: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, BENCH / program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _result(process: subprocess.Popen) -> dict:
    """What a program prints at its end, which comes with that of its standard input or before."""
    printed, _ = process.communicate()
    return json.loads(printed)


def _settle(service: Target, name: str, result: Hostile) -> None:
    """Wait until the worker has no more than when it was idle."""
    deadline = time.monotonic() + DEADLINE
    while left := service.left():
        if time.monotonic() > deadline:
            result.problems.append(f"{name}: left behind: {left}")
            return
        time.sleep(0.1)
