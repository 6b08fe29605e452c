"""Bytes in and out of one socket: the only file that touches gevent's hub.

A Channel belongs to the greenlet that made it. That greenlet waits here and nowhere else: it parks
in the hub, and a watcher on the socket or a timer switches back to it.
"""

from collections.abc import Sequence
from contextlib import suppress
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SHUT_WR, TCP_NODELAY, socket
from time import monotonic
from typing import Final

import gevent
from gevent import socket as gevent_socket

#: Bytes that one receive takes at most.
RECEIVE_SIZE: Final = 256 * 1024

#: What the last receive brought, whichever channel made it. One buffer serves the whole process,
#: so that an idle connection owns none; whoever receives takes its bytes before it waits again.
receive_buffer: Final = bytearray(RECEIVE_SIZE)

#: libev's names for the two events of a socket.
_READ: Final = 1
_WRITE: Final = 2

#: Up to this many bytes, several buffers are cheaper to join than to hand over one by one.
_JOIN_SIZE: Final = 32 * 1024


class Channel:
    """A connected stream socket with blocking calls for one greenlet."""

    __slots__ = ("_greenlet", "_hub", "_parked", "_reader", "_reading", "_sock", "_socket")

    def __init__(self, sock: gevent_socket.socket) -> None:
        """Take over a connected socket; ``close`` ends it."""
        # gevent's socket is kept, since closing it also closes what gevent knows of it. Reading
        # and writing go to the socket underneath: waiting is this class's own affair.
        self._socket = sock
        self._sock: socket = sock._sock  # type: ignore[attr-defined]  # what gevent's socket wraps
        if sock.family in (AF_INET, AF_INET6):
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._greenlet = gevent.getcurrent()
        self._hub = gevent.get_hub()
        self._parked = False
        # Started when the greenlet first waits and left running: starting it anew for each receive
        # would cost more than the rare event that comes when the greenlet is elsewhere.
        self._reading = False
        self._reader = self._hub.loop.io(self._sock.fileno(), _READ)

    def receive(self, timeout: float | None = None) -> int:
        """Wait for bytes and put them into ``receive_buffer``.

        Returns how many; 0 at the end of the stream. Raises OSError, TimeoutError among them when
        nothing came within ``timeout`` seconds.
        """
        while True:
            if not self._reading:
                self._reading = True
                self._reader.start(self._readable)
            if timeout is None:
                self._park()
            else:
                with _deadline(timeout):
                    self._park()
            try:
                return self._sock.recv_into(receive_buffer)
            except BlockingIOError:
                continue

    def send(self, pieces: Sequence[bytes], timeout: float | None = None) -> None:
        """Write all bytes to the socket, waiting while its buffer is full.

        Raises OSError, TimeoutError among them when no byte could be written for ``timeout``
        seconds.
        """
        if len(pieces) > 1 and sum(map(len, pieces)) > _JOIN_SIZE:
            for piece in pieces:
                self._send(piece, timeout)
        else:
            self._send(b"".join(pieces), timeout)

    def _send(self, data: bytes, timeout: float | None) -> None:
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        writer = self._hub.loop.io(self._sock.fileno(), _WRITE)
        self._stop_reading()
        writer.start(self._wake)
        try:
            while rest:
                with _deadline(timeout):
                    self._park()
                try:
                    rest = rest[self._sock.send(rest) :]
                except BlockingIOError:
                    continue
        except BaseException:
            # The peer has part of a frame: whatever else were written would be taken for its rest.
            self._end_output()
            raise
        finally:
            writer.stop()
            writer.close()

    def finish(self, timeout: float) -> None:
        """Say that nothing more is sent, read on until the peer ends too, and close.

        Closing a socket with input unread makes the kernel send a reset, which can overtake and
        destroy what was just written. So the input is read and thrown away, for at most
        ``timeout`` seconds.
        """
        deadline = monotonic() + timeout
        self._end_output()
        try:
            with suppress(OSError):
                while self.receive(max(0.0, deadline - monotonic())):
                    pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket at once. May be called again."""
        self._stop_reading()
        self._reader.close()
        self._socket.close()

    def _end_output(self) -> None:
        """Tell the peer that no more comes; a peer that is gone need not be told."""
        with suppress(OSError):
            self._socket.shutdown(SHUT_WR)

    def _park(self) -> None:
        """Leave the processor to others until a watcher or a timer wakes this greenlet."""
        self._parked = True
        try:
            self._hub.switch()
        finally:
            self._parked = False

    def _wake(self) -> None:
        """Called by the hub: go on with the parked greenlet."""
        if self._parked:
            self._greenlet.switch()

    def _readable(self) -> None:
        """Called by the hub when there is input: wake the greenlet if it waits for it here."""
        if self._parked:
            self._greenlet.switch()
        else:
            self._stop_reading()

    def _stop_reading(self) -> None:
        self._reading = False
        self._reader.stop()


def _deadline(timeout: float | None) -> gevent.Timeout:
    """A context that raises TimeoutError after ``timeout`` seconds; None for never."""
    return gevent.Timeout(timeout, TimeoutError(f"nothing happened for {timeout} s"))
