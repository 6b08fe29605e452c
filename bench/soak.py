"""Whether the service stays as it is: healthy, slow and broken clients for minutes, with kills.

    python bench/soak.py [--minutes 10] [--rounds 20] [--report bench/SOAK.md]

The time is cut into rounds. In each the clients of all kinds come, one process is killed in the
middle (SIGKILL) and started again, and all clients go; then nothing may be left of them. Exit code
1 when something was not right.
"""

import argparse
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from soak_clients import DEADLINE, HEALTHY, Tally, broken, healthy  # noqa: E402

from echo import metrics_files  # noqa: E402

#: The command of one process of the service; its port goes behind it.
SERVICE = (sys.executable, "server.py", "--quiet", "--metrics", "on", "--ping-interval", "0.5")

PROCESSES = 2

#: What is freed is given back at once where it is large: what is left is in use.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024), "MALLOC_TRIM_THRESHOLD_": "0"}

#: Memory is judged from so many rounds, as it takes some to settle.
JUDGED_ROUNDS = 10

#: What memory may grow, from the first half of the rounds to the second.
GROWTH = 0.05


class Process:
    """One process of the service.

    Attributes:
        life: how many times it was started.
        starting: whether it cannot be reached for the moment.
    """

    def __init__(self, errors: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.errors = errors
        self.life = 0
        self.starting = True
        self.start()

    def start(self) -> None:
        with self.errors.open("ab") as errors:
            self.popen = subprocess.Popen(
                [*SERVICE, "--port", str(self.port)],
                cwd=ROOT,
                env=os.environ | ENVIRONMENT,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        deadline = time.monotonic() + DEADLINE
        while not self._reached():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the service does not start: {self.errors.read_text()[-2000:]}")
            time.sleep(0.05)
        self.starting = False

    def _reached(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it as a crash does, and start it again."""
        self.starting = True
        self.life += 1
        self.popen.kill()
        self.popen.wait()
        metrics_files.forget(self.popen.pid)
        self.start()

    def stop(self) -> int:
        self.popen.terminate()
        return self.popen.wait(DEADLINE)

    def memory(self) -> int:
        """Resident memory, in KiB."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.popen.pid}/fd").iterdir()))

    def metric(self, name: str) -> float:
        """The sum of a figure over its labels, as /metrics has it: for all processes together."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=DEADLINE) as response:
            lines = response.read().decode().splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        )


@dataclass
class Result:
    """What a run has shown; ``memory``: KiB after each round, of the process that lives on."""

    tally: Tally = field(default_factory=Tally)
    memory: list[int] = field(default_factory=list)
    kills: int = 0
    descriptors: int = 0
    opened: float = 0.0

    def growth(self) -> float | None:
        """Of the second half of the rounds over the first, less its first two; None for few."""
        if len(self.memory) < JUDGED_ROUNDS:
            return None
        half = len(self.memory) // 2
        first, second = self.memory[2:half], self.memory[half:]
        return statistics.median(second) / statistics.median(first) - 1


def soak(seconds: float, rounds: int) -> Result:
    """Put the load on a service of its own."""
    result = Result()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        processes = [Process(Path(directory) / f"stderr-{n}") for n in range(PROCESSES)]
        try:
            quiet = [process.descriptors() for process in processes]
            for number in range(rounds):
                _round(processes, seconds / rounds, number, result)
                _settle(processes, quiet, result.tally)
                result.memory.append(processes[0].memory())
            result.descriptors = processes[0].descriptors()
            result.opened = processes[0].metric("echo_connections_total")
        finally:
            codes = [process.stop() for process in processes]
        if any(codes):
            result.tally.problem(f"exit codes {codes}")
        for process in processes:
            if "Traceback" in (said := process.errors.read_text()):
                result.tally.problem(said[said.index("Traceback") :][:2000])
    growth = result.growth()
    if growth is not None and growth > GROWTH:
        result.tally.problem(f"memory grew by {growth:.1%}")
    return result


def _round(processes: list[Process], seconds: float, number: int, result: Result) -> None:
    """All clients come, the last process is killed, all clients go."""
    stop = Event()
    threads = []
    for index, process in enumerate(processes):
        for kind, count in HEALTHY.items():
            for n in range(count):
                rng = random.Random(f"{number} {index} {kind.__name__} {n}")
                threads.append(
                    Thread(target=healthy, args=(kind, process, rng, stop, result.tally))
                )
        rng = random.Random(f"{number} {index}")
        threads.append(Thread(target=broken, args=(process, rng, stop, result.tally)))
    for thread in threads:
        thread.start()
    time.sleep(seconds / 2)
    processes[-1].kill()
    result.kills += 1
    time.sleep(seconds / 2)
    stop.set()
    for thread in threads:
        thread.join(2 * DEADLINE)
        if thread.is_alive():
            raise SystemExit("a client hangs")


def _settle(processes: list[Process], quiet: list[int], tally: Tally) -> None:
    """Wait until nothing is left of the clients: no connection and no descriptor."""
    deadline = time.monotonic() + DEADLINE
    while True:
        left = processes[0].metric("echo_connections_open")
        # One more than when quiet is the socket of the question before.
        more = [p.descriptors() - n for p, n in zip(processes, quiet, strict=True)]
        if left == 0 and max(more) <= 0:
            return
        if time.monotonic() > deadline:
            tally.problem(f"{left:g} connections are left, and descriptors: {more}")
            return
        time.sleep(0.1)


_METHOD = (
    "In each round come, for each process, {} clients, and a stream of broken ones, which reset, "
    "cut off or break the protocol. In its middle one process is killed (SIGKILL) and started "
    "again. At its end all clients go, and nothing may be left of them: no connection in "
    "/metrics, no descriptor. Memory is that of the process that lives on, resident; it may grow "
    "by {:.0%}."
)


def report(result: Result, seconds: float) -> str:
    """The result in Markdown."""
    seen, growth = result.tally.seen, result.growth()
    kinds = ", ".join(f"{count} {kind.__name__}" for kind, count in HEALTHY.items())
    rows = {
        "Time": f"{seconds / 60:.1f} minutes in {len(result.memory)} rounds",
        "Processes": f"{PROCESSES}, Python {sys.version.split()[0]}, {os.cpu_count()} cores",
        "Echoes, each compared": f"{seen['echoes']:,}",
        "WebSockets opened, as /metrics has it": f"{result.opened:,.0f}",
        "Broken clients": f"{seen['broken clients']:,}",
        "Kills": f"{result.kills}",
        "Connections they cut": f"{seen['connections cut by a kill']:,}",
        "Descriptors at the end": f"{result.descriptors}",
        "Memory after each round, MiB": ", ".join(f"{kib / 1024:.1f}" for kib in result.memory),
        "Growth, second half over first": "too few rounds" if growth is None else f"{growth:+.1%}",
    }
    lines = [
        "# Soak",
        "",
        f"What `make soak` has shown on {time.strftime('%Y-%m-%d')}. "
        + _METHOD.format(kinds, GROWTH),
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
        "## Problems",
        "",
        *([f"- {problem}" for problem in result.tally.problems] or ["None."]),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--report", type=Path, default=ROOT / "bench" / "SOAK.md")
    options = parser.parse_args()
    seconds = 60 * options.minutes
    result = soak(seconds, options.rounds)
    text = report(result, seconds)
    options.report.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(1 if result.tally.problems else 0)


if __name__ == "__main__":
    main()
