"""Turns: whatever clients send in bulk leaves a share of time to those who send little.

An HTTP request costs as much as dozens of messages, and a client can send thousands at once; so can
it send thousands of messages, and hundreds of clients can. So HTTP requests, and messages behind
those that a connection handles at a time, wait for their turn once all of their kind together have
had enough of one round of the event loop: in between, the loop looks at every socket, and messages
that have just arrived are handled at once.
"""

from collections import deque
from time import monotonic
from typing import Final

import gevent
from gevent.hub import Waiter

#: Seconds that the turns may take of one round of the loop: as long as everything else took of the
#: last one, within these bounds.
_SHORTEST: Final = 0.002
_LONGEST: Final = 0.005


class Turns:
    """Lets the work of one thread's connections in, one after the other, in their order."""

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop
        self._waiting: deque[Waiter[None]] = deque()
        # Unlike a callback, a timer waits until the loop has looked at the sockets.
        self._timer = self._loop.timer(0.0)
        self._due = False
        # The round of the loop in which the last turns were, and until when they may last.
        self._round = -1
        self._until = 0.0
        self._ended = 0.0

    @property
    def crowded(self) -> bool:
        """Whether anyone waits for a turn."""
        return bool(self._waiting)

    def take(self) -> None:
        """Wait for the calling greenlet's turn; at once while there is time left in this round.

        Its turn lasts until it waits for anything.
        """
        if self._waiting or not self._has_time():
            self.wait()

    def wait(self) -> None:
        """Wait for the calling greenlet's turn in a later round, as ``take``."""
        waiter: Waiter[None] = Waiter()
        self._waiting.append(waiter)
        self._call_next_round()
        waiter.get()

    def _has_time(self) -> bool:
        """Whether there may be more turns in this round of the loop."""
        now = monotonic()
        if self._round != self._loop.iteration:
            self._round = self._loop.iteration
            self._until = now + _SHORTEST
        return now < self._until

    def _call_next_round(self) -> None:
        if not self._due:
            self._due = True
            self._timer.start(self._next_round)

    def _next_round(self) -> None:
        """Called by the hub: let in those who wait, as many as there is time for."""
        self._due = False
        now = monotonic()
        self._round = self._loop.iteration
        self._until = now + min(max(now - self._ended, _SHORTEST), _LONGEST)
        waiting = self._waiting
        # Those who come back meanwhile wait for the next round.
        for _ in range(len(waiting)):
            waiting.popleft().switch(None)
            if monotonic() >= self._until:
                break
        self._ended = monotonic()
        if waiting:
            self._call_next_round()
