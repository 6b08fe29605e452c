"""The servers that are measured: how each is started, and how it is surely ended."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from environment import BENCH, PEERS_PYTHON, ROOT, SERVICE_PYTHON, WORK

#: Seconds that a server may take until it listens.
START_TIMEOUT = 15.0

#: What every server finds in its environment, whatever the user's own has.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "GOMAXPROCS": "1"}


class NotStarted(Exception):
    """A server ended or did not listen in time. Says why, as far as it told."""


@dataclass(frozen=True)
class Server:
    """``command(port, log)``: what starts it, with the message log on or off where it has one."""

    title: str
    command: Callable[[int, bool], list[object]]


def peer(name: str) -> Callable[[int, bool], list[object]]:
    """The command of a server in bench/peers."""
    return lambda port, _: [PEERS_PYTHON, BENCH / "peers" / f"{name}.py", port]


SERVERS = {
    "ours": Server(
        "**this service**",
        lambda port, log: [
            *(SERVICE_PYTHON, ROOT / "server.py", "--port", port),
            *([] if log else ["--quiet"]),
        ],
    ),
    "go": Server(
        "Go, gorilla/websocket",
        lambda port, log: [WORK / "gorilla", port, *(["print"] if log else [])],
    ),
    "stock": Server("Flask, gevent-websocket as it comes", peer("stock_gevent_websocket")),
    "websockets": Server("websockets", peer("websockets_asyncio")),
    "aiohttp": Server("aiohttp on uvloop", peer("aiohttp_uvloop")),
    "picows": Server("picows on uvloop", peer("picows_uvloop")),
    "raw": Server("raw TCP echo in C", lambda port, _: [WORK / "rawecho", port]),
}


@contextmanager
def running(name: str, core: int, *, log: bool) -> Iterator[tuple[int, int]]:
    """A fresh server process on its core: its port and process id. Raises NotStarted."""
    port = free_port()
    errors = WORK / f"{name}.stderr"
    command = ["taskset", "-c", core, *SERVERS[name].command(port, log)]
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=ENVIRONMENT,
            cwd=ROOT,
        )
    try:
        if not listens(process, port):
            said = errors.read_text(errors="replace").strip().splitlines()
            raise NotStarted(said[-1] if said else "it does not listen")
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def listens(process: subprocess.Popen, port: int) -> bool:
    """Wait until the process takes connections; whether it does."""
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
