"""The loads: what is asked of which servers, with which tool."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from environment import BENCH, WORK
from idle import processor_ns

#: Given a server's port, its process id and seconds to measure: the command of a tool.
Tool = Callable[[int, int, float], list[object]]

#: Idle or rarely used connections that are held open at once.
MANY = 10_000

#: Seconds beyond its own that a tool may take, above all to open many connections.
PATIENCE = 120

PYTHON_PEERS = ("websockets", "aiohttp", "picows")
WEBSOCKETS = ("ours", "go", "stock", *PYTHON_PEERS)
EVERYONE = (*WEBSOCKETS, "raw")
PAIR = ("ours", "go")
COMPRESSING = ("ours", "go", "websockets", "aiohttp")


@dataclass(frozen=True)
class Load:
    """One kind of work.

    Attributes:
        title: for people; of a load of messages ``connections x in flight x bytes``.
        log: the message log of those that have one: "off", "on", or "ours" for as shipped, which
            is on in ours and off in the others.
        tool: what puts the load on a server.
        servers: the names of those that it is put on.
        quick: the names of those in a quick run.
        once: the names of further ones, in the first round only, to save time.
    """

    title: str
    log: str
    tool: Tool
    servers: tuple[str, ...]
    quick: tuple[str, ...] = ()
    once: tuple[str, ...] = ()

    def has_log(self, server: str) -> bool:
        return self.log == "on" or (self.log == "ours" and server == "ours")


class Failed(Exception):
    """A load did not come to its end. Says why."""


def echo(connections: int, in_flight: int, size: int, kind: str = "binary") -> Tool:
    """So many messages always under way; the next is sent when one came back."""
    return lambda port, pid, seconds: [
        *(WORK / "wsload", "-c", connections, "-d", in_flight, "-s", size, "-k", kind),
        *("-t", seconds, "-p", pid, port),
    ]


def compressed(connections: int, in_flight: int, size: int) -> Tool:
    """Messages of JSON, compressed both ways with no context kept."""
    plain = echo(connections, in_flight, size, "json")

    def command(port: int, pid: int, seconds: float) -> list[object]:
        program, *options = plain(port, pid, seconds)
        return [program, "-z", *options]

    return command


def paced(connections: int, rate: int, *neighbour: object) -> Tool:
    """64-byte messages, ``rate`` a second on each connection, whatever comes back.

    Takes three times as long as others: few messages a second make few samples.
    """
    return lambda port, pid, seconds: [
        *(WORK / "wsload", "-c", connections, "-r", rate, *neighbour),
        *("-t", 3 * seconds, "-p", pid, port),
    ]


def idle(what: str, count: int | None = None) -> Tool:
    """``count`` connections, or a thousand for each second."""
    return lambda port, pid, seconds: [
        *(sys.executable, BENCH / "idle.py", what, port, pid, count or int(1000 * seconds)),
    ]


def starts(count: int) -> Tool:
    """So many starts of the service beside the one that runs, which has nothing to do."""
    return lambda *_: [sys.executable, BENCH / "start.py", count]


#: In this order in each round: those that are compared with each other close together.
LOADS = {
    "small": Load("64 x 1 x 64", "off", echo(64, 1, 64), EVERYONE, ("ours", "go", "stock")),
    "small-log": Load("64 x 1 x 64", "on", echo(64, 1, 64, "text"), PAIR, PAIR),
    "thousand": Load("1,000 x 1 x 64", "off", echo(1000, 1, 64), (*PAIR, "raw"), ("ours",)),
    "text": Load("64 x 1 x 64, ASCII text", "off", echo(64, 1, 64, "text"), PAIR),
    "deep": Load("64 x 32 x 64", "off", echo(64, 32, 64), EVERYONE, PAIR),
    "deep-log": Load("64 x 32 x 64", "on", echo(64, 32, 64, "text"), PAIR),
    "4k": Load("16 x 1 x 4,096", "off", echo(16, 1, 4096), EVERYONE, PAIR),
    "text-4k": Load(
        "16 x 1 x 4,096, text of two-byte characters", "off", echo(16, 1, 4096, "text2"), PAIR
    ),
    "64k": Load("16 x 1 x 65,536", "off", echo(16, 1, 65536), EVERYONE, ("ours", "go", "stock")),
    "1m": Load(
        # Without gevent-websocket as it comes, which echoes a handful of these a second.
        "4 x 1 x 1,048,576",
        "off",
        echo(4, 1, 1048576),
        ("ours", "go", *PYTHON_PEERS, "raw"),
        PAIR,
    ),
    "deflate-1k": Load("16 x 1 x 1,024, JSON", "off", compressed(16, 1, 1024), COMPRESSING),
    "deflate-64k": Load("16 x 1 x 65,536, JSON", "off", compressed(16, 1, 65536), COMPRESSING),
    "handshake": Load("connect, upgrade, close", "ours", idle("handshakes"), WEBSOCKETS, PAIR),
    "handshake-cut": Load("connect, upgrade, hang up", "ours", idle("handshakes-cut"), PAIR, PAIR),
    "start": Load("`python server.py` to its first line", "ours", starts(5), ("ours",), ("ours",)),
    "memory": Load(
        f"{MANY:,} idle connections",
        "ours",
        idle("memory", MANY),
        PAIR,
        once=("stock", *PYTHON_PEERS),
    ),
    "many": Load(f"{MANY:,} connections", "ours", paced(MANY, 1), PAIR),
    "alone": Load("alone", "ours", paced(60, 10), PAIR),
    "beside-deep": Load(
        "beside one with 1,000 messages in flight", "ours", paced(60, 10, "-D", 1000), PAIR
    ),
    "beside-stream": Load(
        "beside one that streams messages of 16 MiB",
        "ours",
        paced(60, 10, "-D", 1, "-S", 16 * 2**20),
        PAIR,
    ),
}


@dataclass(frozen=True)
class Disturbance:
    """Who else had the two cores meanwhile, in percent of their time.

    Attributes:
        steal: other machines on the same host.
        others: other processes on this machine.
    """

    steal: float
    others: float


def put(
    command: list[object], cores: tuple[int, int], pid: int, seconds: float
) -> tuple[list[dict[str, float]], Disturbance]:
    """Run a tool on the load's core: what it found about the server, and what disturbed it.

    Raises Failed.
    """
    pinned = ["taskset", "-c", cores[1], *command]
    before = processor_times(cores, pid)
    process = subprocess.Popen(
        list(map(str, pinned)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        printed, errors = process.communicate(timeout=PATIENCE + 4 * seconds)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"no result within {error.timeout:.0f} s") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise Failed((errors.strip().splitlines() or ["the tool failed"])[-1])
    after = processor_times(cores, pid)
    total, stolen, busy, own = (now - then for now, then in zip(after, before, strict=True))
    disturbance = Disturbance(100 * stolen / total, 100 * max(0.0, busy - own) / total)
    return list(map(json.loads, printed.splitlines())), disturbance


def processor_times(cores: tuple[int, int], pid: int) -> tuple[float, float, float, float]:
    """Seconds since the start: the cores' all, stolen and used, and what the server and we used."""
    total = stolen = idle = 0
    names = {f"cpu{core}" for core in cores}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name in names:
            ticks = list(map(int, values[:8]))
            total += sum(ticks)
            idle += ticks[3] + ticks[4]
            stolen += ticks[7]
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = processor_ns(pid) / 1e9 + sum(usage.ru_utime + usage.ru_stime for usage in used)
    tick = os.sysconf("SC_CLK_TCK")
    return total / tick, stolen / tick, (total - idle - stolen) / tick, own
