"""Peers that reset the connection at any byte: nothing of them stays, and the server goes on.

ECHO_TEST_RESETS: how many resets there are.
"""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.raw_client import Frame, RawClient, open_websocket, upgrade_request, wait_for_logs
from tests.e2e.server_process import ROOT, memory
from tests.wire import BINARY, CONTINUATION, PING, TEXT, close_frame, frame

#: Lets the server say how many greenlets it has.
COUNTING = {"PYTHONPATH": str(ROOT / "tests" / "e2e" / "inside" / "greenlet_count")}

RESETS = int(os.environ.get("ECHO_TEST_RESETS", "2000"))

#: Of one run, as many go before the baseline is taken: allocators and caches have grown by then.
WARM_UP = 300

#: What the server's memory may be above its baseline, in bytes: far below 1 KiB for each of 20,000.
ROOM = 8 * 1024 * 1024


def descriptors(server):
    """What the server's process has open; sockets and pipes by their kind alone."""
    found = []
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(link.readlink()).partition(":[")[0])
    return sorted(found)


def greenlets(server):
    """How many greenlets live in the server's process, which is asked by a signal."""
    position = server.stderr.position
    server.process.send_signal(signal.SIGRTMIN)
    return int(server.stderr.wait_for_line(r" has (\d+) greenlets$", after=position)[1])


def threads(server):
    """How many threads the server's process has."""
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def in_use(server):
    """All that a connection may leave behind, but memory."""
    return {
        "descriptors": descriptors(server),
        "greenlets": greenlets(server),
        "threads": threads(server),
    }


def streams(rng, port):
    """What a peer might send, and how much of it before the 101 has come."""
    request = upgrade_request(port)
    long = rng.randbytes(rng.choice([200, 500, 3000, 100_000]))
    frames = b"".join(
        [
            frame(TEXT, "hello"),
            frame(PING, "x" * 100),
            frame(TEXT, "frag", fin=False) + frame(CONTINUATION, "ment"),
            frame(BINARY, long, fin=False) + frame(PING) + frame(CONTINUATION, long),
            close_frame(1000, b"bye"),
        ]
    )
    return request, frames


def reset_somewhere(server, rng):
    """Connect, send up to a random byte, reset."""
    request, frames = streams(rng, server.port)
    client = RawClient(server)
    where = rng.randrange(4)
    if where == 0:
        client.send(request[: rng.randrange(len(request) + 1)])
    elif where == 1:  # the handshake is not waited for
        client.send(request, frames[: rng.randrange(400)])
    else:
        client.upgrade()
        client.send(frames[: rng.randrange(20, len(frames))])
        if where == 3:  # some of the answers are read
            assert client.read_frame() == Frame(TEXT, b"hello")
    client.reset()


def settle(server):
    """Wait until the server has nothing left of the peers so far: all is as when it was idle.

    The first time, until it has no socket but the one it listens on: then it is idle.
    """
    for _ in range(1000):
        wait_for_logs(server)
        left = in_use(server)
        if left == server.idle:
            return
        if server.idle is None and left["descriptors"].count("socket") == 1:
            server.idle = left
            return
    pytest.fail(f"{left}, and when idle {server.idle}")


@pytest.mark.timeout(60 + RESETS // 10)
def test_resets_leave_nothing_behind(start_server):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  # shown when the test fails
    rng = random.Random(seed)
    server = start_server("--quiet", environment=COUNTING)
    wait_for_logs(server)  # by a request: what the first page loads stays
    server.idle = None
    settle(server)
    for _ in range(WARM_UP):
        reset_somewhere(server, rng)
    settle(server)
    before = memory(server)
    with open_websocket(server) as healthy:
        assert greenlets(server) == server.idle["greenlets"] + 1  # so they are counted
        for number in range(RESETS):
            reset_somewhere(server, rng)
            if number % 50 == 0:
                healthy.send(frame(TEXT, f"{number}"))
                assert healthy.read_frame() == Frame(TEXT, b"%d" % number)
        healthy.send(close_frame(1000))
        assert healthy.read_close() == 1000
    settle(server)
    assert memory(server) - before < ROOM
    with open_websocket(server) as client:
        client.send(frame(TEXT, "still there"))
        assert client.read_frame() == Frame(TEXT, b"still there")
    server.check()
