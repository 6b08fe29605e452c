"""Bytes in and out of one socket: the only file that touches gevent's hub.

A Channel belongs to the greenlet that made it. That greenlet waits here and nowhere else: it parks
in the hub, and a watcher on the socket or a timer switches back to it.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from errno import EBADF, ECONNABORTED
from socket import AF_INET, AF_INET6, IPPROTO_TCP, MSG_PEEK, SHUT_WR, TCP_NODELAY, socket
from time import monotonic
from typing import ClassVar, Final

import gevent
from greenlet import greenlet

from echo.net.turns import Turns
from echo.protocol.budget import BudgetShare

#: Bytes that one receive takes at most.
RECEIVE_SIZE: Final = 256 * 1024

#: Above this size (bytes) the last piece is sent with sendmsg(); joining smaller ones is cheaper,
#: and on Windows, which has no sendmsg(), all are joined.
_JOIN_SIZE: Final = 16 * 1024 if hasattr(socket, "sendmsg") else sys.maxsize

#: libev's names for the two events of a socket.
_READ: Final = 1
_WRITE: Final = 2

#: The hub's own ``switch`` first checks that it is not called from the hub, which here it never is.
_switch_to: Final = greenlet.switch


class NothingReceived(TimeoutError):
    """Not one byte came in time."""


class Interrupted(Exception):
    """Another greenlet has called ``interrupt``."""


class Channel:
    """A connected stream socket with blocking calls for one greenlet.

    Only ``interrupt`` and ``abort_write`` may be called by another greenlet.
    """

    #: What the last receive brought, whichever channel made it. One buffer serves the process, so
    #: that an idle connection owns none; whoever receives takes its bytes before it waits again.
    buffer: ClassVar[bytearray] = bytearray(RECEIVE_SIZE)

    __slots__ = (
        "_greenlet",
        "_hub",
        "_interrupted",
        "_parked",
        "_reader",
        "_reading",
        "_sock",
        "_turns",
        "_writing",
    )

    def __init__(self, sock: socket, turns: Turns | None = None) -> None:
        """Take over a connected socket, a plain one, as waiting is this class's own affair.

        ``close`` ends it. ``turns``: for ``yield_now``, shared with other channels; None for turns
        of its own.
        """
        self._sock = sock
        sock.setblocking(False)
        if self._sock.family in (AF_INET, AF_INET6):
            self._sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._greenlet = gevent.getcurrent()
        self._hub = gevent.get_hub()
        self._turns = Turns() if turns is None else turns
        self._interrupted = False
        self._parked = False
        # Whether a write waits for the socket and may go on.
        self._writing = False
        # Started when the greenlet first waits and left running: starting it anew for each receive
        # would cost more than the rare event that comes when the greenlet is elsewhere.
        self._reading = False
        self._reader = self._hub.loop.io(self._sock.fileno(), _READ)

    def handshake(self, deadline: float, turn: Callable[[], object]) -> None:
        """Do nothing: what comes before the first byte of HTTP is a matter of TLSChannel."""

    def receive(
        self,
        timeout: float | None = None,
        *,
        interruptible: bool = True,
        limit: int = RECEIVE_SIZE,
    ) -> int:
        """Wait for bytes and put them into ``buffer``, at most ``limit``.

        Returns how many; 0 at the end of the stream. Raises OSError, TimeoutError among them when
        nothing came within ``timeout`` seconds; and Interrupted, unless that is to wait. What has
        come counts even when the server is late to look at it.
        """
        deadline = 0.0 if timeout is None else monotonic() + timeout
        while True:
            if self._interrupted and interruptible:
                self._interrupted = False
                raise Interrupted
            if not self._reading:
                self._start_reading()
            late = None
            if timeout is None:
                # _park, without the call, as it is done for every message.
                self._parked = True
                try:
                    _switch_to(self._hub)
                finally:
                    self._parked = False
            else:
                try:
                    self._park_until(deadline, timeout)
                except TimeoutError as error:
                    late = error
            try:
                return self._sock.recv_into(self.buffer, limit)
            except BlockingIOError:
                if late is not None:
                    raise late from None

    def has_input(self) -> bool:
        """Whether something has arrived that was not received yet, be it the end of the stream.

        May be called by any greenlet.
        """
        try:
            self._sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return self._sock.fileno() >= 0
        return True

    def send(
        self,
        pieces: list[bytes],
        timeout: float | None = None,
        share: BudgetShare | None = None,
    ) -> int:
        """Write all bytes to the socket, waiting while its buffer is full.

        Returns how many they are, and may empty the list. ``share`` counts what has to wait.
        Raises OSError, TimeoutError among them when no byte could be written for ``timeout``
        seconds, and TryAgainLater when the share cannot count what waits.
        """
        if pieces and len(pieces[-1]) > _JOIN_SIZE:
            return self._send_both(pieces, timeout, share)
        data = b"".join(pieces)
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            pieces.clear()  # a peer that does not read must not hold thousands of small objects
            self._send_rest(memoryview(data)[sent:], timeout, share)
        return len(data)

    def yield_now(self) -> None:
        """Let the other greenlets run that can, those with new input too, and go on in turn."""
        self._turns.wait()

    def interrupt(self) -> None:
        """Make ``receive`` raise Interrupted: the call that waits, or else the next one."""
        self._interrupted = True
        self._hub.loop.run_callback(self._wake)

    def abort_write(self) -> bool:
        """Make a ``send`` that waits for the socket raise OSError; False when none does."""
        waits, self._writing = self._writing, False
        if waits:
            self._hub.loop.run_callback(self._wake)
        return waits

    def finish(self, timeout: float) -> None:
        """Say that nothing more is sent, read on until the peer ends too, and close.

        Closing a socket with input unread makes the kernel send a reset, which can overtake and
        destroy what was just written. So the input is read and thrown away, for at most
        ``timeout`` seconds. Does nothing when the channel is closed.
        """
        if self._sock.fileno() < 0:
            return
        deadline = monotonic() + timeout
        self._end_output()
        try:
            with suppress(OSError):
                while (left := deadline - monotonic()) > 0:
                    if not self.receive(left, interruptible=False):
                        break
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket at once. May be called again."""
        self._stop_reading()
        self._reader.close()
        self._sock.close()

    def _send_both(
        self, pieces: list[bytes], timeout: float | None, share: BudgetShare | None
    ) -> int:
        """As send, where the last piece is too large to be joined with the others."""
        last = pieces[-1]
        data = b"".join(pieces[:-1])
        try:
            sent = self._sock.sendmsg((data, last))
        except BlockingIOError:
            sent = 0
        size = len(data) + len(last)
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], timeout, share)
            sent = len(data)
        if sent < size:
            self._send_rest(memoryview(last)[sent - len(data) :], timeout, share)
        return size

    def _send_rest(
        self, rest: memoryview, timeout: float | None, share: BudgetShare | None
    ) -> None:
        """Write what the socket did not take at once, as it makes room."""
        writer = self._hub.loop.io(self._sock.fileno(), _WRITE)
        self._stop_reading()
        writer.start(self._wake)
        self._writing = True
        counted = 0
        try:
            if share is not None:
                counted = share.cover(len(rest))
            while rest:
                rest = rest[self._send_some(rest, timeout) :]
        except BaseException:
            # The peer has part of a frame: whatever else were written would be taken for its rest.
            self._end_output()
            raise
        finally:
            self._writing = False
            writer.stop()
            writer.close()
            if share is not None:
                share.give_back(counted)

    def _send_some(self, rest: memoryview, timeout: float | None) -> int:
        """Wait until the socket takes some bytes; returns how many."""
        deadline = 0.0 if timeout is None else monotonic() + timeout
        while True:
            if timeout is None:
                self._park()
            else:
                self._park_until(deadline, timeout)
            if not self._writing:
                raise OSError(ECONNABORTED, "the write was given up")
            with suppress(BlockingIOError):
                return self._sock.send(rest)

    def _end_output(self) -> None:
        """Tell the peer that no more comes; a peer that is gone need not be told."""
        with suppress(OSError):
            self._sock.shutdown(SHUT_WR)

    def _park(self) -> None:
        """Leave the processor to others until something wakes this greenlet."""
        self._parked = True
        try:
            _switch_to(self._hub)
        finally:
            self._parked = False

    def _park_until(self, deadline: float, timeout: float) -> None:
        """Park until something wakes this greenlet, at the latest at ``deadline``.

        Raises TimeoutError when that has passed already, by the monotonic clock; ``timeout``, the
        seconds that it was away, is for the message.
        """
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing happened for {timeout} s")
        timer = self._hub.loop.timer(left)
        timer.start(self._wake, update=True)
        try:
            self._park()
        finally:
            timer.close()

    def _wake(self) -> None:
        """Called by the hub: go on with the greenlet if it is parked here."""
        if self._parked:
            self._greenlet.switch()

    def _readable(self) -> None:
        """Called by the hub when there is input: wake the greenlet if it is parked here."""
        if self._parked:
            self._greenlet.switch()
        else:
            self._stop_reading()

    def _start_reading(self) -> None:
        if self._sock.fileno() < 0:
            # libev ends the process when it finds a watcher on a descriptor that is closed.
            raise OSError(EBADF, "the channel is closed")
        self._reading = True
        self._reader.start(self._readable)

    def _stop_reading(self) -> None:
        self._reading = False
        self._reader.stop()
