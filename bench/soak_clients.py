"""The clients of the soak: healthy ones that compare every echo, and broken ones."""

import logging
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

#: Seconds that anything may take; only a hang takes so long.
DEADLINE = 60.0

# A kill in the middle of a frame it takes for a fault of its own, and prints.
logging.getLogger("websockets").setLevel(logging.CRITICAL + 1)

HANDSHAKE = (
    b"GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
)

#: What broken clients send behind the opening handshake, and then reset the connection.
BROKEN_FRAMES = (
    b"\x81\x05hello",  # not masked
    b"\x83\x80mask",  # a reserved opcode
    b"\xf1\x80mask",  # reserved bits
    b"\x81\x81mask\x92",  # not UTF-8
    b"\x82\xff\x3f\xff\xff\xff\xff\xff\xff\xffmask",  # 2^62 bytes
    b"\x82\xfe\xff\xffmask" + bytes(1000),  # cut off in the middle
    b"\x01\x83maskabc" * 2,  # a message inside another
    b"\x81\x85ma",  # cut off in the header
    b"\x88\x81maskx",  # half a close code
    (b"\x82\xfe\xff\xffmask" + bytes(0xFFFF)) * 20,  # many megabytes that nobody reads back
)


class Tally:
    """What the clients of all kinds have seen, and what was not right."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []

    def count(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1

    def problem(self, text: str) -> None:
        with self._lock:
            self.problems.append(text)


def idle(_: ClientConnection, __: random.Random, stop: Event, ___: Tally) -> None:
    """Say nothing; the library answers the pings."""
    stop.wait()


def chatty(client: ClientConnection, rng: random.Random, stop: Event, tally: Tally) -> None:
    """Short messages, several at a time."""
    while not stop.is_set():
        messages = [_message(rng, rng.randrange(2000)) for _ in range(rng.randrange(1, 20))]
        for message in messages:
            client.send(message)
        for message in messages:
            _check(client, message, tally)


def huge(client: ClientConnection, rng: random.Random, stop: Event, tally: Tally) -> None:
    """Megabytes at once."""
    while not stop.is_set():
        message = _message(rng, rng.randrange(1 << 20, 8 << 20))
        client.send(message)
        _check(client, message, tally)


def slow(client: ClientConnection, rng: random.Random, stop: Event, tally: Tally) -> None:
    """A message in fragments with pauses between them."""
    while not stop.is_set():
        pieces = [_message(rng, 300, text=False) for _ in range(5)]

        def dribble(pieces: list[bytes] = pieces):
            for piece in pieces:
                stop.wait(0.05)
                yield piece

        client.send(dribble())
        _check(client, b"".join(pieces), tally)


#: The healthy kinds, and how many there are of each.
HEALTHY: dict[Callable[..., None], int] = {idle: 20, chatty: 8, huge: 2, slow: 10}


def healthy(kind, service, rng: random.Random, stop: Event, tally: Tally) -> None:
    """A client of a kind until ``stop``; connects again when its worker was killed."""
    while not stop.is_set():
        kills = service.kills
        try:
            with connect(
                service.websocket_url,
                compression=rng.choice(["deflate", None]),
                max_size=None,
                open_timeout=DEADLINE,
                close_timeout=DEADLINE,
                ping_interval=None,
            ) as client:
                kind(client, rng, stop, tally)
            ended = "" if client.close_code == 1000 else f"closed with {client.close_code}"
        except TimeoutError as error:
            tally.problem(f"{kind.__name__}: {error!r}")
            continue
        except (OSError, WebSocketException, EOFError) as error:
            ended = repr(error)
        if ended:
            if service.kills == kills:
                tally.problem(f"{kind.__name__}: {ended}")
                stop.wait(0.1)
            tally.count("connections cut by a kill")


def broken(service, rng: random.Random, stop: Event, tally: Tally) -> None:
    """Peers that break off or break rules, one after the other."""
    while not stop.is_set():
        with (
            suppress(ConnectionResetError, BrokenPipeError, TimeoutError),
            socket.create_connection((service.host, service.port)) as sock,
        ):
            sock.settimeout(DEADLINE)
            if rng.randrange(4):
                sock.sendall(HANDSHAKE)
                sock.recv(4096)
                sock.settimeout(1.0)
                sock.sendall(rng.choice(BROKEN_FRAMES))
            else:
                sock.sendall(HANDSHAKE[: rng.randrange(len(HANDSHAKE))])
            if rng.randrange(2):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tally.count("broken clients")
        stop.wait(0.02)


def _message(rng: random.Random, size: int, *, text: bool | None = None) -> str | bytes:
    text = rng.randrange(2) == 0 if text is None else text
    if not text:
        return rng.randbytes(size)
    return rng.choice(["a", "é", "€", "\U0001f600"]) * (size // 4) + f"{rng.random()}"


def _check(client: ClientConnection, message: str | bytes, tally: Tally) -> None:
    echo = client.recv(timeout=DEADLINE)
    if echo != message:
        tally.problem(f"a wrong echo of {len(message)}: {len(echo)} came back")
    tally.count("echoes")
