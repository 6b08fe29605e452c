"""The hostile half of the soak: floods, each alone and then all at once, beside healthy clients."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
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

#: The names of the phases in which all attacks come at once, and of the one with none.
ALL, CALM = "all at once", "none"


class Complaints(Output):
    """The server's log, read slowly, of which only the lines that tell of a fault are kept."""

    def _add(self, lines: list[bytes], *, ended: bool = False) -> None:
        super()._add([line for line in lines if FAULTS.search(line)], ended=ended)
        time.sleep(sum(map(len, lines)) / LOG_RATE)


class Target(ServerProcess):
    """The service with one worker, on a core of its own.

    Attributes:
        worker: the process id of the worker.
    """

    def __init__(self) -> None:
        super().__init__(
            *("--workers", "1", "--quiet", "--metrics", "on"),
            environment=MEMORY_GIVEN_BACK,
            command=PINNED,
        )
        self.stderr = Complaints("stderr")
        self.worker = 0

    def look_inside(self) -> None:
        """Find its worker, and let it make what it makes with the first requests."""
        (self.worker,) = self.wait_for_workers(1)
        for path in ("/ws/echo_display", "/metrics"):
            with urlopen(self.url + path, timeout=DEADLINE) as response:
                response.read()

    def in_use(self) -> dict[str, int]:
        """How many descriptors and threads the worker has."""
        threads = len(list(Path(f"/proc/{self.worker}/task").iterdir()))
        return {"descriptors": descriptors(self.worker), "threads": threads}

    def forget_peak(self) -> None:
        """Let the most memory be what it has now."""
        Path(f"/proc/{self.worker}/clear_refs").write_text("5")


@dataclass
class Phase:
    """One or several attacks at a time, and what came of it.

    Attributes:
        name: of the attack, or ALL, or CALM.
        begin: when it began, by the monotonic clock.
        attacks: what each of them has sent, received, opened and lost, by its name.
        peak, after: KiB that the worker had at most and in the end.
        in_use: what the worker had open, and its threads, in the end.
    """

    name: str
    begin: float
    attacks: dict[str, dict[str, float]] = field(default_factory=dict)
    peak: int = 0
    after: int = 0
    in_use: dict[str, int] = field(default_factory=dict)


@dataclass
class Hostile:
    """What the hostile half has shown.

    Attributes:
        phase_seconds: how long the attacks of a phase last.
        clients, control: what soak_healthy.py prints.
        drip: what the slow TLS handshakes came to, as soak_attacks.py prints it.
        idle: KiB that the worker had before the first attack.
        in_use: what the worker had open, and its threads, before the first attack.
        problems: what was not right but for figures.
    """

    phase_seconds: float = 0.0
    phases: list[Phase] = field(default_factory=list)
    clients: list[dict[str, Any]] = field(default_factory=list)
    control: dict[str, float] = field(default_factory=dict)
    drip: dict[str, float] = field(default_factory=dict)
    idle: int = 0
    in_use: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def memory(self) -> list[int]:
        """KiB after each time that all attacks came at once."""
        return [phase.after for phase in self.phases if phase.name == ALL]


def hostile(seconds: float) -> Hostile:
    """Put the floods on a service of its own, and the slow TLS handshakes on another."""
    result = Hostile()
    with ExitStack() as stack:
        stack.enter_context(_noting(result))
        authority = Authority(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        options = ("--quiet", "--head-timeout", str(HEAD_TIMEOUT), *authority.options)
        tls = ServerProcess(*options, tls=authority.context, command=PINNED)
        tls.stderr = Complaints("stderr")
        service = Target()
        for server in (tls, service):
            stack.callback(_finish, server, result)
            server.start()
        dripping = _start(stack, "soak_attacks.py", "drip", tls.port, 0, LOAD_CORE)
        service.look_inside()
        healthy = _start(stack, "soak_healthy.py", service.port, service.worker, LOAD_CORE)
        assert healthy.stdout.readline() == "ready\n", "the healthy clients did not get in"
        result.in_use = service.in_use()
        result.idle = memory(service, worker=service.worker) // 1024
        plan = _plan(seconds)
        result.phase_seconds = seconds / len(plan)
        for name, attacks in plan:
            _attack(stack, service, name, attacks, result)
        result.drip = _result(dripping)
        seen = _result(healthy)
        result.clients, result.control = seen["clients"], seen["control"]
    return result


def _plan(seconds: float) -> list[tuple[str, list[str]]]:
    """The phases: their names, and the attacks of each."""
    everything = [(ALL, list(ATTACKS))]
    plan = [(CALM, []), *((name, [name]) for name in ATTACKS), *everything * ROUNDS]
    return plan if seconds / len(plan) >= LEAST else [(CALM, []), *everything]


@contextmanager
def _noting(result: Hostile) -> Iterator[None]:
    """Let a failure be a problem."""
    try:
        yield
    except (AssertionError, OSError) as error:
        result.problems.append((str(error) or repr(error))[:2000])


def _finish(server: ServerProcess, result: Hostile) -> None:
    with _noting(result):
        server.finish()


def _attack(
    stack: ExitStack, service: Target, name: str, attacks: list[str], result: Hostile
) -> None:
    """Attack, and wait until nothing is left of it."""
    seconds = result.phase_seconds
    phase = Phase(name, time.monotonic())
    result.phases.append(phase)
    service.forget_peak()
    if any(ATTACKS[attack].log_unread for attack in attacks):
        service.stderr.pause()
    running = {
        attack: _start(stack, "soak_attacks.py", attack, service.port, seconds, LOAD_CORE)
        for attack in attacks
    }
    if not running:
        time.sleep(seconds)
    phase.attacks = {attack: _result(process) for attack, process in running.items()}
    service.stderr.resume()
    assert service.worker_ids() == {service.worker}, f"{name}: gunicorn replaced the worker"
    phase.peak = memory(service, "VmHWM", service.worker) // 1024
    phase.in_use = _settled(service, result.in_use)
    phase.after = memory(service, worker=service.worker) // 1024


def _start(stack: ExitStack, program: str, *arguments: object) -> subprocess.Popen:
    """A program of bench/, which ends with the stack at the latest."""
    process = subprocess.Popen(
        [sys.executable, BENCH / program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _result(process: subprocess.Popen) -> dict[str, Any]:
    """What a program prints at its end, which comes with that of its standard input or before."""
    printed, _ = process.communicate()
    assert process.returncode == 0, f"{process.args[1:]} failed with {process.returncode}"
    return json.loads(printed)


def _settled(service: Target, before: dict[str, int]) -> dict[str, int]:
    """What the worker has in use, once it is no more than ``before``, or after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while True:
        in_use = service.in_use()
        if time.monotonic() > deadline or all(in_use[what] <= before[what] for what in in_use):
            return in_use
        time.sleep(0.1)
