"""What hostile clients do to the service, and the program that does one of it.

    soak_attacks.py ATTACK PORT SECONDS CORE
    soak_attacks.py drip PORT 0 CORE    slow TLS handshakes, until its standard input ends

All connections of an attack are held by one process, on the core of the load and at low priority.
Each attack has an upper bound of bytes and of connections a second. Prints one line of JSON.
"""

import json
import os
import resource
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from threading import Event, Thread

#: What the processes add to their nice value: healthy clients go first on the core that they share.
NICE = 10

#: Requests or frames that are made at once and sent over and over.
REPEATS = 5_000

MB = 1_000_000

#: Bytes that the server may take for an attack beyond what it has when idle.
MEMORY = 64 << 20


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def upgrade(path: str, version: bytes = b"13") -> bytes:
    return (
        b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: %s\r\n\r\n"
    ) % (path.encode(), version)


#: A message of two fragments of 8 MiB, masked with zeros, without the last byte.
STALLED = b"".join(
    [
        *(b"\x02\xff", (8 << 20).to_bytes(8), bytes(4), bytes(8 << 20)),
        *(b"\x80\xff", (8 << 20).to_bytes(8), bytes(4), bytes((8 << 20) - 1)),
    ]
)

#: An empty message, an empty ping, and a message of three bytes in three frames.
TINY = b"\x82\x80mask" + b"\x89\x80mask" + b"\x02\x81mask0" + b"\x00\x81mask1" + b"\x80\x81mask2"


@dataclass(frozen=True)
class Attack:
    """What each of its connections sends.

    Attributes:
        connections: how many there are at a time; a new one comes for each that ends.
        first: bytes sent once.
        repeated: bytes sent over and over behind them; with none the connection is held.
        reads: whether it reads what comes back.
        drops: whether it closes when all is sent.
        rate: bytes a second that all connections send, at most.
        opens: connections a second that are opened, at most.
        log_unread: whether nobody reads the server's log meanwhile.
        memory: bytes that the server may take for it beyond what it has when idle.
    """

    connections: int
    first: bytes = b""
    repeated: bytes = b""
    reads: bool = True
    drops: bool = False
    rate: float = 8 * MB
    opens: float = 500
    log_unread: bool = False
    memory: int = MEMORY


ATTACKS = {
    "pipelined GET /nope": Attack(60, repeated=get("/nope") * REPEATS),
    "pipelined GET /": Attack(60, repeated=get("/") * REPEATS),
    "pipelined GET /healthz": Attack(60, repeated=get("/healthz") * REPEATS),
    "pipelined GET /metrics": Attack(60, repeated=get("/metrics") * REPEATS),
    "pipelined GET /ws/echo (426)": Attack(60, repeated=get("/ws/echo") * REPEATS),
    "pipelined GET of the page, answers unread": Attack(
        60, repeated=get("/ws/echo_display") * REPEATS, reads=False
    ),
    "header fields of 31 kB, log unread": Attack(
        10, repeated=upgrade("/ws/echo", b"\x80" * 31_000), rate=30 * MB, log_unread=True
    ),
    "request lines of 8 kB, log unread": Attack(
        10, repeated=b"\1" * 8_000 + b"\r\n\r\n", rate=30 * MB, log_unread=True
    ),
    # They take the receive budget, 256 MiB.
    "stalled messages of 16 MiB": Attack(
        20,
        first=upgrade("/ws/echo") + STALLED,
        rate=200 * MB,
        opens=20,
        memory=(256 << 20) + MEMORY,
    ),
    "tiny frames to the inspector": Attack(
        20, first=upgrade("/ws/inspect"), repeated=TINY * REPEATS
    ),
    "messages of 125 bytes, echoes unread": Attack(
        60,
        first=upgrade("/ws/echo"),
        repeated=(b"\x82\xfdmask" + bytes(125)) * REPEATS,
        reads=False,
    ),
    "connections opened and dropped": Attack(50, first=upgrade("/ws/echo"), drops=True),
}

#: Bytes that are sent at a time.
PIECE = 1 << 16


class Pace:
    """A bound on how much is done per second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._begin = time.monotonic()
        self._done = 0

    def allows(self) -> bool:
        return self._done <= self._rate * (time.monotonic() - self._begin)

    def count(self, amount: int) -> None:
        self._done += amount


class Over(Exception):
    """A connection has come to its end; its argument says how."""


class Peer:
    """One connection of an attack, which never blocks.

    Attributes:
        sock: its socket.
        waits_for: the events that it has to do with.
    """

    def __init__(self, attack: Attack, port: int) -> None:
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.waits_for = EVENT_WRITE
        if attack.reads:
            self.waits_for |= EVENT_READ
        else:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect_ex(("127.0.0.1", port))
        self._drops = attack.drops
        repeated = repeat(attack.repeated) if attack.repeated else ()
        self._pieces: Iterator[bytes] = filter(None, chain([attack.first], repeated))
        self._rest = memoryview(b"")

    def receive(self, buffer: bytearray) -> int:
        """Read what has come; how many bytes. Raises Over and OSError."""
        received = self.sock.recv_into(buffer)
        if not received:
            raise Over("ended")
        return received

    def send(self) -> int:
        """Send a piece; how many bytes, 0 when all is sent. Raises Over and OSError."""
        self._rest = self._rest or memoryview(next(self._pieces, b""))
        if not self._rest:
            if self._drops:
                raise Over("dropped")
            self.waits_for = EVENT_READ
            return 0
        sent = self.sock.send(self._rest[:PIECE])
        self._rest = self._rest[sent:]
        return sent


def flood(attack: Attack, port: int, seconds: float) -> Counter[str]:
    """Run an attack: bytes sent and received, connections opened, and ended by the server."""
    counts: Counter[str] = Counter(sent=0, received=0, opened=0, ended=0)
    sending, opening = Pace(attack.rate), Pace(attack.opens)
    end = time.monotonic() + seconds
    with DefaultSelector() as selector:
        while time.monotonic() < end:
            while len(selector.get_map()) < attack.connections and opening.allows():
                peer = Peer(attack, port)
                selector.register(peer.sock, peer.waits_for, peer)
                opening.count(1)
                counts["opened"] += 1
            for key, events in selector.select(0.01):
                try:
                    _turn(key.data, events, sending, counts)
                    selector.modify(key.fileobj, key.data.waits_for, key.data)
                except Over as how:
                    counts[str(how)] += 1
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
            if not sending.allows():
                time.sleep(0.005)
    return counts


#: Where what comes back is read into, and forgotten.
_BIN = bytearray(1 << 18)


def _turn(peer: Peer, events: int, sending: Pace, counts: Counter[str]) -> None:
    """Read and send as far as it goes. Raises Over."""
    try:
        if events & EVENT_READ:
            counts["received"] += peer.receive(_BIN)
        if events & EVENT_WRITE and sending.allows():
            sent = peer.send()
            sending.count(sent)
            counts["sent"] += sent
    except BlockingIOError:
        pass
    except OSError:
        raise Over("ended") from None


#: Of the dripping handshakes: connections, and seconds from one byte to the next.
DRIPS, DRIP = 60, 1.5

#: Seconds between two looks at whether the server has ended one.
LOOK = 0.1


def drip(port: int, stop: Event) -> dict[str, float]:
    """TLS handshakes of which a byte comes now and then, and for how long one is held."""
    hello = _client_hello()
    opened: dict[socket.socket, float] = {}
    sent: Counter[socket.socket] = Counter()
    lives = [0.0]
    while not stop.wait(LOOK):
        now = time.monotonic()
        while len(opened) < DRIPS:
            sock = socket.create_connection(("127.0.0.1", port), timeout=60)
            sock.setblocking(False)
            opened[sock] = time.monotonic()
        for sock, begin in list(opened.items()):
            try:
                if now - begin >= sent[sock] * DRIP:
                    sock.send(hello[sent[sock] % len(hello)].to_bytes())
                    sent[sock] += 1
                over = not sock.recv(1 << 16)
            except BlockingIOError:
                over = False
            except OSError:
                over = True
            if over:
                lives.append(time.monotonic() - opened.pop(sock))
                del sent[sock]
                sock.close()
    ended = len(lives) - 1
    lives += [time.monotonic() - begin for begin in opened.values()]
    return {"opened": ended + len(opened), "ended": ended, "longest": max(lives)}


def _client_hello() -> bytes:
    """The first message of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def main() -> None:
    name, port, seconds, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    os.nice(NICE)
    result: dict[str, float]
    if name == "drip":
        stop = Event()
        Thread(target=lambda: (sys.stdin.read(), stop.set())).start()
        result = drip(int(port), stop)
    else:
        result = dict(flood(ATTACKS[name], int(port), float(seconds)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps(result | {"processor": usage.ru_utime + usage.ru_stime}))


if __name__ == "__main__":
    main()
