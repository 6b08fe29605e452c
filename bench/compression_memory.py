"""What compression costs this service in memory: python3 bench/compression_memory.py [N].

Resident memory of each of N connections (1,000 if not given), for each value of --compression:
after a short message that is not compressed, and after MESSAGES compressed ones of 64 KiB. Prints a
Markdown table. Loopback only; Linux.
"""

import json
import random
import re
import resource
import socket
import sys
import time
import zlib
from contextlib import ExitStack

import servers
from environment import ROOT, SERVICE_PYTHON, WORK
from idle import HELLO, HELLO_ECHO, SETTLE, WARM_UP, ask, connect, is_open, resident_kib
from tables import table

#: The service's values of --compression, and whether the clients offer the extension.
CASES = {
    "no extension": ("off", False),
    "no-context": ("no-context", True),
    "on": ("on", True),
}

#: As browsers offer it.
OFFER = "permessage-deflate; client_max_window_bits"

#: Compressed messages on each connection.
MESSAGES = 3

#: Bytes of a message before it is compressed.
SIZE = 64 * 1024


def text(number: int) -> bytes:
    """Records as an interface might give them."""
    draw = random.Random(number)
    records = []
    while sum(map(len, records)) < SIZE:
        fields = {"id": draw.getrandbits(24), "user": f"u{draw.getrandbits(20)}", "ok": True}
        records.append(json.dumps(fields))
    return "\n".join(records).encode()[:SIZE]


def frame(message: bytes, bits: int) -> bytes:
    """A message as a frame, compressed with a window of so many bits, its mask of zeros."""
    compressor = zlib.compressobj(wbits=-bits)
    payload = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return b"\xc1\xfe" + len(payload).to_bytes(2) + bytes(4) + payload


def read_echo(sock: socket.socket) -> None:
    """Read a compressed message of 126 to 65,535 bytes."""
    got = b""
    while len(got) < 4 or len(got) < 4 + int.from_bytes(got[2:4]):
        got += sock.recv(1 << 16)
    if got[:2] != b"\xc1\x7e":
        raise SystemExit(f"compression_memory.py: expected a compressed echo, got {got[:2]!r}")


def measure(compression: str, count: int, *, offers: bool) -> tuple[float, float | None]:
    """KiB of a connection that is idle, and of one after compressed messages."""
    servers.SERVERS["measured"] = servers.Server(
        compression,
        lambda port, _: [
            *(SERVICE_PYTHON, ROOT / "server.py", "--port", port),
            *("--quiet", "--compression", compression),
        ],
    )
    with ExitStack() as stack:
        port, pid = stack.enter_context(servers.running("measured", 0, log=False))
        sockets, answers = [], []

        def open_until(total: int) -> int:
            while len(sockets) < total:
                sock, answer = connect(port, OFFER if offers else None)
                sockets.append(stack.enter_context(sock))
                answers.append(answer)
                ask(sock, HELLO, HELLO_ECHO)
            time.sleep(SETTLE)
            return resident_kib(pid)

        def exchange(some: list[socket.socket]) -> None:
            bits = re.search(r"client_max_window_bits=(\d+)", answers[0])
            frames = [frame(text(number), int(bits[1])) for number in range(MESSAGES)]
            for sock in some:
                for data in frames:
                    sock.sendall(data)
                    read_echo(sock)
                # The loop holds the last message until the next one: let it be short.
                ask(sock, HELLO, HELLO_ECHO)

        # What the service makes only once is made before anything is measured.
        open_until(WARM_UP)
        if offers:
            exchange(sockets[:1])
        before = open_until(WARM_UP)
        idle = (open_until(WARM_UP + count) - before) / count
        if not offers:
            return idle, None
        exchange(sockets[WARM_UP:])
        used = (open_until(WARM_UP + count) - before) / count
        if not all(map(is_open, sockets)):
            raise SystemExit("compression_memory.py: the server closed connections")
        return idle, used


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    WORK.mkdir(exist_ok=True)
    rows = []
    for title, (compression, offers) in CASES.items():
        idle, used = measure(compression, count, offers=offers)
        rows.append((title, f"{idle:.1f}", "-" if used is None else f"{used:.1f}"))
    head = (f"KiB for each of {count:,}", "idle", f"after {MESSAGES} x 64 KiB")
    print(table(head, rows))


if __name__ == "__main__":
    main()
