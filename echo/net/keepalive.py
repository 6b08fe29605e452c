"""One greenlet a process that notices which connections have gone quiet (RFC 6455, 5.5.2)."""

from time import monotonic
from typing import Final, NoReturn

import gevent

from echo.net.connection import Connection
from echo.protocol.errors import Cause, ClosedByServer
from echo.protocol.rfc6455 import CloseCode

#: How many times within an interval the connections are looked at, and seconds between at most.
_LOOKS: Final = 10
_LONGEST_PAUSE: Final = 1.0


class Keepalive:
    """Pings a connection that is quiet, and closes it when it stays so.

    Looking at all connections again and again sounds wasteful and is not: it takes a tenth of a
    microsecond for each, and nothing at all where the messages are handled.
    """

    def __init__(self, ping_interval: float, ping_timeout: float) -> None:
        """``ping_interval``: seconds without input until a ping; ``ping_timeout``: seconds from
        the ping until something must have come, 0 for no end.
        """
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        # Since when a connection is quiet, and when it was pinged for it, 0 for not yet. A ping
        # waits behind what its connection is writing, and counts from when it has been written.
        self._quiet: dict[Connection, tuple[float, float]] = {}
        # Seconds by which looks were late, altogether: they count against nobody.
        self._late = 0.0

    def watch(self, connection: Connection) -> None:
        """Look after a connection until it is over."""
        self._quiet[connection] = (monotonic() - self._late, 0.0)

    def forget(self, connection: Connection) -> None:
        """Look after a connection no more: it is over, and nothing should keep its memory."""
        self._quiet.pop(connection, None)

    def run(self) -> NoReturn:
        """Look at all connections for ever."""
        shortest = min(self._ping_interval, self._ping_timeout or self._ping_interval)
        pause = min(shortest / _LOOKS, _LONGEST_PAUSE)
        while True:
            due = monotonic() + pause
            gevent.sleep(pause)
            now = monotonic()
            # While the server itself came to nothing, it could hear nobody.
            self._late += max(0.0, now - due - pause)
            self.look(now - self._late)

    def look(self, now: float) -> None:
        """Look at all connections once; ``now`` by the monotonic clock, less what was late."""
        over = []
        for connection, (since, pinged) in self._quiet.items():
            if connection.ended is not None:
                over.append(connection)
            elif connection.heard:
                connection.heard = False
                self._quiet[connection] = (now, 0.0)
            elif not pinged:
                if now - since >= self._ping_interval:
                    self._quiet[connection] = (since, now)
                    connection.ping_soon()
            elif not connection.pinged:
                self._quiet[connection] = (since, now)
            elif self._ping_timeout and now - pinged >= self._ping_timeout:
                if connection.has_input():
                    # It has answered in time: the server has not come to reading it.
                    self._quiet[connection] = (now, 0.0)
                    continue
                over.append(connection)
                reason = f"no answer to a ping in {self._ping_timeout:g} s"
                connection.close_soon(
                    ClosedByServer(CloseCode.INTERNAL_ERROR, reason, Cause.PING_TIMEOUT)
                )
        for connection in over:
            del self._quiet[connection]
