"""What hostile connections cost this service in memory: python3 bench/hostile_memory.py [N].

Resident memory per connection, beyond that of the server without any, while N peers (1,000 if not
given) flood it: the highest value and the last. Prints a Markdown table. Loopback only; Linux.
"""

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

#: Seconds of each flood. None reaches the server's --write-timeout, so that no peer is replaced.
SECONDS = 12

#: Bytes per second that all peers send, and connections per second that they open.
RATE, OPENS = 100e6, 500

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


def measure(name: str, count: int) -> list[str]:
    """A row of the table."""
    servers.SERVERS["measured"] = servers.Server(
        name,
        lambda port, _: [
            *(SERVICE_PYTHON, ROOT / "server.py", "--port", port, "--quiet"),
            *("--message-timeout", "600", "--head-timeout", "60"),
        ],
    )
    with servers.running("measured", 0, log=False) as (port, pid):
        attack = replace(FLOODS[name], connections=WARM_UP, rate=RATE, opens=OPENS)
        flood(attack, port, 1.0)
        time.sleep(1.0)
        before = highest = last = resident_kib(pid)
        program = [sys.executable, __file__, "--flood", name, str(count), str(port)]
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
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if sys.argv[1:2] == ["--flood"]:
        name, count, port = sys.argv[2:]
        attack = replace(FLOODS[name], connections=int(count), rate=RATE, opens=OPENS)
        print(flood(attack, int(port), SECONDS)["ended"])
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    WORK.mkdir(exist_ok=True)
    rows = [measure(name, count) for name in FLOODS]
    head = (
        *(f"{count:,} peers", "KiB per connection, highest", "at the end", "closed by the server"),
        *("server before, MiB", "highest, MiB", "2 s after, MiB"),
    )
    print(table(head, rows))


if __name__ == "__main__":
    main()
