"""Healthy clients whose round trips are measured, and a control that tells a busy host.

    soak_healthy.py PORT PID CORE    the server's port, and its process id

Says "ready" once all are connected, and goes on until its standard input ends. Then it prints a
line of JSON: for each client its opening handshakes and round trips, each with its begin (monotonic
clock), the seconds that it took and those of them that the host took; and what the control saw.

The host's part of a round trip is what the control saw go by in it: how long the server's thread
waited for its core while other programs had it (as the kernel counts it), and how late a timer in
this process woke up.
"""

import json
import logging
import os
import random
import sys
import time
from bisect import bisect_left, bisect_right
from pathlib import Path
from threading import Event, Thread

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

CLIENTS = 10

#: Seconds for anything; only a hang takes so long.
DEADLINE = 60.0

#: Seconds between two round trips of a client, at most.
PAUSE = 0.1

#: Round trips of a connection; then the client connects again.
TRIPS = 50

#: The most bytes of a message.
SIZE = 400

#: Seconds between two looks of the control.
TICK = 0.01

logging.getLogger("websockets").setLevel(logging.CRITICAL + 1)


class Control(Thread):
    """A thread that sleeps for a tick again and again, and notes how late it wakes up."""

    def __init__(self, server: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._over = Event()
        #: When it looked, how late, and how long the server had waited for its core by then.
        self._times = [time.monotonic()]
        self._late = [0.0]
        self._waited = [self._look(0.0)]

    def run(self) -> None:
        while not self._over.is_set():
            due = time.monotonic() + TICK
            time.sleep(TICK)
            now = time.monotonic()
            self._times.append(now)
            self._late.append(now - due)
            self._waited.append(self._look(self._waited[-1]))

    def stop(self) -> None:
        self._over.set()
        self.join()

    def host_part(self, begin: float, end: float) -> float:
        """Seconds between two times that neither the server nor the clients are to blame for."""
        first = max(bisect_right(self._times, begin) - 1, 0)
        last = min(bisect_left(self._times, end), len(self._times) - 1)
        late = sum(
            max(min(self._times[n], end) - max(self._times[n] - self._late[n], begin), 0)
            for n in range(first, last + 1)
        )
        waited = max(self._waited[last] - self._waited[first], 0)
        return min(late + waited, end - begin)

    def result(self) -> dict[str, float]:
        """Seconds: the latest wake-up, the server's waiting, and how long it looked."""
        return {
            "late": max(self._late),
            "waited": max(self._waited[-1] - self._waited[0], 0),
            "seconds": self._times[-1] - self._times[0],
        }

    def _look(self, before: float) -> float:
        """Seconds that the server's main thread has waited, less what its other threads ran."""
        nanoseconds = 0
        try:
            for task in Path(f"/proc/{self._server}/task").iterdir():
                ran, waited, _ = map(int, (task / "schedstat").read_text().split())
                nanoseconds += waited if task.name == str(self._server) else -ran
        except OSError:  # the thread or the process has just ended
            return before
        return nanoseconds / 1e9


class Client:
    """A client that waits for each echo before it sends the next message.

    Attributes:
        kind: how it sends its messages.
        openings: for each opening handshake, when it began and ended.
        trips: for each round trip, when it began and ended.
        wrong: echoes that differ from the message.
        ended: how a connection was refused, or closed before its time; empty if none was.
        connected: set with the first connection, or when there is none.
    """

    def __init__(self, number: int, port: int) -> None:
        self._rng = random.Random(number)
        self._compressed, self._in_pieces = number % 2 == 1, number % 4 >= 2
        self._url = f"ws://127.0.0.1:{port}/ws/echo"
        pieces = "in pieces" if self._in_pieces else "whole"
        self.kind = f"{pieces}, {'compressed' if self._compressed else 'plain'}"
        self.openings: list[tuple[float, float]] = []
        self.trips: list[tuple[float, float]] = []
        self.wrong = 0
        self.ended = ""
        self.connected = Event()

    def run(self, stop: Event) -> None:
        """Exchange messages until ``stop``, on one connection after the other."""
        try:
            while not stop.is_set() and not self.ended:
                self._connection(stop)
        except TimeoutError:
            self.ended = f"no answer within {DEADLINE:.0f} s"
        except (OSError, WebSocketException) as error:
            self.ended = f"refused or closed: {error}"
        finally:
            self.connected.set()

    def _connection(self, stop: Event) -> None:
        begin = time.monotonic()
        with connect(
            self._url,
            compression="deflate" if self._compressed else None,
            proxy=None,
            open_timeout=DEADLINE,
            close_timeout=DEADLINE,
            ping_interval=None,
        ) as connection:
            self.openings.append((begin, time.monotonic()))
            self.connected.set()
            for _ in range(TRIPS):
                if stop.wait(self._rng.uniform(0, PAUSE)):
                    break
                self._round_trip(connection)
        if connection.close_code != 1000:
            self.ended = f"closed with {connection.close_code} in the end"

    def _round_trip(self, connection: ClientConnection) -> None:
        message: str | bytes = self._rng.randbytes(self._rng.randrange(SIZE // 2))
        if self._rng.randrange(2):
            message = message.hex()
        middle = self._rng.randrange(len(message) + 1)
        begin = time.monotonic()
        connection.send([message[:middle], message[middle:]] if self._in_pieces else message)
        echo = connection.recv(timeout=DEADLINE)
        self.trips.append((begin, time.monotonic()))
        self.wrong += echo != message


def main() -> None:
    port, server, core = map(int, sys.argv[1:])
    os.sched_setaffinity(0, {core})
    control, stop = Control(server), Event()
    clients = [Client(number, port) for number in range(CLIENTS)]
    threads = [Thread(target=client.run, args=(stop,)) for client in clients]
    for thread in (control, *threads):
        thread.start()
    for client in clients:
        client.connected.wait()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    control.stop()
    seen = [
        {
            "kind": client.kind,
            **{
                what: [(begin, end - begin, control.host_part(begin, end)) for begin, end in times]
                for what, times in (("openings", client.openings), ("trips", client.trips))
            },
            "wrong": client.wrong,
            "ended": client.ended,
        }
        for client in clients
    ]
    print(json.dumps({"clients": seen, "control": control.result()}))


if __name__ == "__main__":
    main()
