"""The half of the soak with kills: healthy, slow and broken clients on two workers.

The time is cut into rounds. In each the clients of all kinds come, one worker is killed in the
middle (SIGKILL) and replaced, and all clients go; then nothing may be left of them.
"""

import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

from soak_clients import DEADLINE, HEALTHY, Tally, broken, healthy

from tests.e2e.server_process import ServerProcess, memory

ROOT = Path(__file__).resolve().parent.parent

WORKERS = 2

OPTIONS = (
    *("--workers", str(WORKERS)),
    *("--quiet", "--metrics", "on", "--ping-interval", "0.5"),
)

#: What is freed is given back at once where it is large: what is left is in use.
MEMORY_GIVEN_BACK = {
    "MALLOC_MMAP_THRESHOLD_": str(128 * 1024),
    "MALLOC_TRIM_THRESHOLD_": "0",
}

ENVIRONMENT = {
    **MEMORY_GIVEN_BACK,
    # Lets a worker say how many greenlets it has.
    "PYTHONPATH": str(ROOT / "tests" / "e2e" / "inside" / "greenlet_count"),
}

#: Memory is judged from so many rounds, as it takes some to settle.
JUDGED_ROUNDS = 10

#: KiB that memory may grow, from the first half of the rounds to the second: as much as the records
#: of connections that have ended take at most.
GROWTH = 8 * 1024


class Service(ServerProcess):
    """The service with several workers, seen from within.

    Attributes:
        survivor: the process id of the worker that is never killed.
        kills: how many workers were killed.
        sockets: what the killed workers had open above what an idle one has.
    """

    def __init__(self) -> None:
        super().__init__(*OPTIONS, environment=ENVIRONMENT)
        self.survivor = 0
        self.kills = 0
        self.sockets = 0
        self.idle: dict[str, int] = {}

    def begin(self) -> None:
        """Start it, and see what it has when it is idle."""
        self.start()
        self.survivor = min(self.wait_for_workers(WORKERS))
        self.idle = self.in_use(self.survivor)

    def kill(self) -> None:
        """End the other worker as a crash does, and wait for the one in its place."""
        (victim,) = self.worker_ids() - {self.survivor}
        os.kill(victim, signal.SIGSTOP)  # once it has stopped it accepts no connection
        while Path(f"/proc/{victim}/stat").read_text().rpartition(") ")[2][0] != "T":
            time.sleep(0.01)
        self.sockets += descriptors(victim) - self.idle["descriptors"]
        self.kills += 1
        os.kill(victim, signal.SIGKILL)
        self.wait_for_workers(WORKERS, besides={victim})

    def in_use(self, worker: int) -> dict[str, int]:
        """What a worker has, all but memory, once its garbage is collected."""
        position = self.stderr.position
        os.kill(worker, signal.SIGRTMIN + 1)
        pattern = rf"^{worker} has (\d+) greenlets$"
        said = self.stderr.wait_for_line(pattern, DEADLINE, after=position)
        return {"descriptors": descriptors(worker), "greenlets": int(said[1])}

    def left(self) -> dict[str, float]:
        """What is there above what there was when it was idle."""
        left: dict[str, float] = {"open in /metrics": self.metric("echo_connections_open")}
        for worker in self.worker_ids():
            for what, count in self.in_use(worker).items():
                left[f"{what} of {worker}"] = count - self.idle[what]
        return {what: count for what, count in left.items() if count > 0}

    def metric(self, name: str) -> float:
        """The sum of a figure over its labels, as /metrics has it: for all workers together."""
        with urlopen(f"{self.url}/metrics", timeout=DEADLINE) as response:
            lines = response.read().decode().splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        )


def descriptors(worker: int) -> int:
    return len(list(Path(f"/proc/{worker}/fd").iterdir()))


@dataclass
class Result:
    """What a run has shown.

    ``memory``: KiB after each round, ``in_use``: at the end; of the worker that lives on.
    """

    tally: Tally = field(default_factory=Tally)
    memory: list[int] = field(default_factory=list)
    kills: int = 0
    in_use: dict[str, int] = field(default_factory=dict)
    opened: float = 0.0


def growth(memory: list[int]) -> float | None:
    """KiB, of the second half of the rounds over the first, less its first two; None for few."""
    if len(memory) < JUDGED_ROUNDS:
        return None
    half = len(memory) // 2
    return statistics.median(memory[half:]) - statistics.median(memory[2:half])


def soak(seconds: float, rounds: int) -> Result:
    """Put the load on a service of its own."""
    result = Result()
    service = Service()
    try:
        service.begin()
        for number in range(rounds):
            _round(service, seconds / rounds, number, result.tally)
            _settle(service, result.tally)
            result.memory.append(memory(service, worker=service.survivor) // 1024)
        result.kills = service.kills
        result.in_use = service.in_use(service.survivor)
        result.opened = service.metric("echo_connections_total")
    finally:
        try:
            service.finish()
        except AssertionError as error:
            result.tally.problem(str(error)[:2000])
    cut = result.tally.seen["connections cut by a kill"]
    if cut > service.sockets:
        result.tally.problem(f"{cut} were cut, and the killed workers had {service.sockets}")
    grown = growth(result.memory)
    if grown is not None and grown > GROWTH:
        result.tally.problem(f"memory grew by {grown / 1024:.1f} MiB")
    return result


def _round(service: Service, seconds: float, number: int, tally: Tally) -> None:
    """All clients come, a worker is killed, all clients go."""
    stop = Event()
    threads = []
    for kind, count in HEALTHY.items():
        for n in range(count):
            rng = random.Random(f"{number} {kind.__name__} {n}")
            threads.append(_thread(tally, healthy, kind, service, rng, stop, tally))
    for n in range(WORKERS):
        rng = random.Random(f"{number} {n}")
        threads.append(_thread(tally, broken, service, rng, stop, tally))
    try:
        time.sleep(seconds / 2)
        service.kill()
        time.sleep(seconds / 2)
    finally:
        stop.set()
    for thread in threads:
        thread.join(2 * DEADLINE)
        if thread.is_alive():
            raise SystemExit("a client hangs")


def _thread(tally: Tally, client: Callable[..., None], *arguments: object) -> Thread:
    """A thread that runs a client, whose failure is a problem."""

    def run() -> None:
        try:
            client(*arguments)
        except Exception as error:  # noqa: BLE001
            tally.problem(f"{client.__name__}: {error!r}")

    thread = Thread(target=run, daemon=True)
    thread.start()
    return thread


def _settle(service: Service, tally: Tally) -> None:
    """Wait until nothing is left of the clients."""
    deadline = time.monotonic() + DEADLINE
    while left := service.left():
        if time.monotonic() > deadline:
            tally.problem(f"left behind: {left}")
            return
        time.sleep(0.1)


_METHOD = (
    "gunicorn runs {} workers. In each round come {} clients, and streams of broken ones, which "
    "reset, cut off or break the protocol. In its middle one worker is killed (SIGKILL), which may "
    "cut its own connections and no other, and is replaced. At its end all clients go, and nothing "
    "may be left of them: no connection in /metrics, no descriptor and no greenlet in any worker. "
    "Memory is that of the worker that lives on, resident, once its garbage is collected; it may "
    "grow by {:.0f} MiB, which is what the post-mortems of the last connections take at most."
)


def section(result: Result, seconds: float) -> str:
    """The result in Markdown."""
    seen, grown = result.tally.seen, growth(result.memory)
    kinds = ", ".join(f"{count} {kind.__name__}" for kind, count in HEALTHY.items())
    rows = {
        "Time": f"{seconds / 60:.1f} minutes in {len(result.memory)} rounds",
        "Workers": f"{WORKERS}, Python {sys.version.split()[0]}, {os.cpu_count()} cores",
        "Echoes, each compared": f"{seen['echoes']:,}",
        "WebSockets opened, as /metrics has it": f"{result.opened:,.0f}",
        "Broken clients": f"{seen['broken clients']:,}",
        "Kills": f"{result.kills}",
        "Connections they cut": f"{seen['connections cut by a kill']:,}",
        "At the end": ", ".join(f"{count} {what}" for what, count in result.in_use.items()),
        "Memory after each round, MiB": ", ".join(f"{kib / 1024:.1f}" for kib in result.memory),
        "Growth, second half over first": "too few rounds"
        if grown is None
        else f"{grown / 1024:+.1f} MiB",
    }
    lines = [
        "## Kills",
        "",
        _METHOD.format(WORKERS, kinds, GROWTH / 1024),
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
        "### Problems",
        "",
        *([f"- {problem}" for problem in result.tally.problems] or ["None."]),
        "",
    ]
    return "\n".join(lines)
