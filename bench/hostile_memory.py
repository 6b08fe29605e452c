"""What hostile connections cost this service in memory.

    python3 bench/hostile_memory.py [--peers 1000] [--seconds 12] [FLOOD ...]

Resident memory per connection, beyond that of the server without any, while so many peers flood it
for so long: the highest value and the last; of all floods, or of those named. Prints a Markdown
table. Loopback only; Linux.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import time
from dataclasses import replace

import servers
from environment import ROOT, SERVICE_PYTHON, WORK
from idle import WARM_UP, resident_kib
from soak_attacks import ATTACKS, REPEATS, Attack, flood, get, upgrade
from tables import table

#: Bytes per second that all peers send, and connections per second that they open.
RATE, OPENS = 100e6, 1000

SMALL = b"\x82\x81maskx"

FLOODS = {
    "idle": Attack(0, first=upgrade("/ws/echo")),
    "small messages": Attack(0, first=upgrade("/ws/echo"), repeated=SMALL * REPEATS),
    "small messages, echoes unread": Attack(
        0, first=upgrade("/ws/echo"), repeated=SMALL * REPEATS, reads=False
    ),
    "messages of 125 bytes, echoes unread": ATTACKS["messages of 125 bytes, echoes unread"],
    "messages of 64 KiB less a byte, echoes unread": Attack(
        0,
        first=upgrade("/ws/echo"),
        repeated=(b"\x82\xfe\xff\xffmask" + bytes(0xFFFF)) * 8,
        reads=False,
    ),
    "messages of 64 KiB that never end": Attack(
        0, first=upgrade("/ws/echo") + b"\x02\xfe\xff\xffmask" + bytes(0xFFFF)
    ),
    "tiny frames to the inspector": ATTACKS["tiny frames to the inspector"],
    "tiny frames to the inspector, reports unread": replace(
        ATTACKS["tiny frames to the inspector"], reads=False
    ),
    "pipelined GET of the page, answers unread": Attack(
        0, repeated=get("/ws/echo_display") * REPEATS, reads=False
    ),
    "request heads of 31 kB that never end": Attack(
        0, first=get("/")[:-2] + b"X: " + b"x" * 31_000
    ),
}


def measure(name: str, count: int, seconds: float) -> list[str]:
    """A row of the table."""
    servers.SERVERS["measured"] = servers.Server(
        name,
        lambda port, _: [
            *(SERVICE_PYTHON, ROOT / "server.py", "--port", port, "--quiet"),
            # So that no peer is replaced.
            *("--head-timeout", "600", "--write-timeout", "600"),
        ],
    )
    with servers.running("measured", 0, log=False) as (port, pid):
        attack = replace(FLOODS[name], connections=WARM_UP, rate=RATE, opens=OPENS)
        flood(attack, port, 1.0)
        time.sleep(1.0)
        before = highest = last = resident_kib(pid)
        sizes = ("--peers", str(count), "--seconds", str(seconds))
        program = [sys.executable, __file__, *sizes, "--port", str(port), name]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as flooding:
            while flooding.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    flooding.wait(0.2)
                if flooding.returncode is None:
                    last = resident_kib(pid)
                    highest = max(highest, last)
            ended = flooding.stdout.read().strip()
        time.sleep(2.0)
        after = resident_kib(pid)
    figures = [f"{(kib - before) / count:.1f}" for kib in (highest, last)]
    return [name, *figures, ended, *(f"{kib / 1024:.0f}" for kib in (before, highest, after))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--port", type=int, help="only flood the server there")
    parser.add_argument("floods", nargs="*", choices=[[], *FLOODS])
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    floods, count = options.floods or list(FLOODS), options.peers
    if options.port is not None:
        (name,) = floods
        attack = replace(FLOODS[name], connections=count, rate=RATE, opens=OPENS)
        print(flood(attack, options.port, options.seconds)["ended"])
        return
    WORK.mkdir(exist_ok=True)
    rows = [measure(name, count, options.seconds) for name in floods]
    head = (
        *(f"{count:,} peers", "KiB per connection, highest", "at the end", "closed by the server"),
        *("server before, MiB", "highest, MiB", "2 s after, MiB"),
    )
    print(table(head, rows))


if __name__ == "__main__":
    main()
