"""What TLS costs a message: .venv/bin/python bench/tls.py [--rounds 5] [--seconds 2].

Prints the server's processor microseconds per echo with TLS and without, medians over the rounds,
one message on its way on each connection. Server and clients have a core each. It needs what
`make test` installs.
"""

import argparse
import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests.e2e.authority import Authority  # noqa: E402
from tests.e2e.raw_client import BINARY, RawClient, frame  # noqa: E402
from tests.e2e.server_process import ServerProcess  # noqa: E402

#: Connections and bytes of a message.
LOADS = ((64, 64), (16, 65_536))


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(server: ServerProcess, connections: int, size: int, seconds: float) -> float:
    """The server's processor microseconds for an echo of ``size`` bytes."""
    message = frame(BINARY, os.urandom(size))
    expected = len(message) - 4  # an echo has no masking key
    buffer = bytearray(1 << 20)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(connections):
            client = stack.enter_context(RawClient(server))
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.upgrade()
            selector.register(client.sock, selectors.EVENT_READ, [0])
        for key in selector.get_map().values():
            key.fileobj.sendall(message)
        echoes = 0
        used, end = processor_seconds(server.process.pid), time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in selector.select():
                sock, arrived = key.fileobj, key.data
                arrived[0] += sock.recv_into(buffer)
                while server.tls and sock.pending():
                    arrived[0] += sock.recv_into(buffer)
                if arrived[0] == expected:
                    arrived[0] = 0
                    echoes += 1
                    sock.sendall(message)
        return (processor_seconds(server.process.pid) - used) / echoes * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    pinned = ("taskset", "-c", str(cores[0]), sys.executable, "server.py")
    costs: dict[tuple[int, int, bool], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        for _ in range(options.rounds):
            for connections, size in LOADS:
                for tls in (False, True):
                    server = ServerProcess(
                        "--quiet",
                        *(authority.options if tls else ()),
                        tls=authority.context if tls else None,
                        command=pinned,
                    )
                    server.start()
                    try:
                        used = cost(server, connections, size, options.seconds)
                    finally:
                        server.finish()
                    costs.setdefault((connections, size, tls), []).append(used)
    for (connections, size, tls), used in costs.items():
        print(
            f"{connections} x 1 x {size:,} bytes, {'TLS' if tls else 'plain'}: "
            f"{statistics.median(used):.1f} us/message ({min(used):.1f} to {max(used):.1f})"
        )


if __name__ == "__main__":
    main()
