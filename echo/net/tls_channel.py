"""A Channel that speaks TLS: what it waits for, the Channel underneath waits for."""

import ssl
from collections.abc import Callable
from contextlib import suppress
from errno import ECONNRESET
from socket import socket
from time import monotonic
from typing import Final, NoReturn

from echo.net.channel import RECEIVE_SIZE, Channel, NothingReceived
from echo.net.turns import Turns
from echo.protocol.budget import BudgetShare
from echo.protocol.errors import PlainHTTP

#: Bytes that OpenSSL is given at a time: a record's most. The buffers between it and the socket
#: stay as large as they have been once, and each connection has two.
_RECORD: Final = 16 * 1024

#: Records that are encrypted before they are sent together.
_RECORDS: Final = 16

#: Seconds to send what TLS has to say of its own: answers of the handshake, alerts, new keys.
_OWN_TIMEOUT: Final = 10.0


class TLSChannel(Channel):
    """As a Channel, with bytes that are decrypted and encrypted on their way.

    ``handshake`` comes first, then ``receive`` and ``send``. Where TLS fails they raise
    ssl.SSLError, which is an OSError, once the peer has been told by an alert. A peer that sends an
    HTTP request instead of TLS makes the handshake raise PlainHTTP, a RequestError. In both cases
    TLS is over, and what comes and goes then is not encrypted.
    """

    __slots__ = ("_incoming", "_more", "_outgoing", "_tls")

    def __init__(
        self,
        sock: socket,
        context: ssl.SSLContext,
        turns: Turns | None = None,
    ) -> None:
        """As Channel; ``context``: for the server's side."""
        super().__init__(sock, turns)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # None once TLS is over.
        self._tls: ssl.SSLObject | None = context.wrap_bio(
            self._incoming, self._outgoing, server_side=True
        )
        # Whether there may be something to read without any bytes that arrive.
        self._more = False

    def handshake(self, deadline: float, turn: Callable[[], object]) -> None:
        """Do the server's part of the TLS handshake.

        ``deadline``: by the monotonic clock; what the peer sends does not put it off. ``turn`` is
        called before each step, which can be as much work as a request, and may block. Raises
        OSError, TimeoutError, NothingReceived and ssl.SSLError among them, PlainHTTP, and
        Interrupted.
        """
        tls = self._tls
        begun = False
        while tls is not None:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_own()
                try:
                    arrived = super().receive(max(0.0, deadline - monotonic()), limit=_RECORD)
                except TimeoutError as error:
                    if begun:
                        raise
                    raise NothingReceived(str(error)) from None
                begun = True
                if not arrived:
                    raise ConnectionResetError(
                        ECONNRESET, "end of stream in the TLS handshake"
                    ) from None
                self._incoming.write(self.buffer[:arrived])
                turn()
            except ssl.SSLError as error:
                self._fail(error)
            else:
                self._send_own()
                # A request can have come along with the end of the handshake.
                self._more = True
                return

    def receive(
        self,
        timeout: float | None = None,
        *,
        interruptible: bool = True,
        limit: int = RECEIVE_SIZE,
    ) -> int:
        """As Channel.receive, of decrypted bytes; 0 at the peer's close_notify too."""
        deadline = None if timeout is None else monotonic() + timeout
        while (tls := self._tls) is not None:
            if self._more:
                size = self._read(tls, memoryview(self.buffer)[:limit])
            else:
                left = None if deadline is None else deadline - monotonic()
                arrived = super().receive(left, interruptible=interruptible, limit=limit)
                if not arrived:
                    return 0
                size = self._decrypt(tls, arrived)
            self._send_own()
            if size or self._more:
                return size
        return super().receive(timeout, interruptible=interruptible, limit=limit)

    def has_input(self) -> bool:
        """As Channel.has_input."""
        return (self._tls is not None and self._more) or super().has_input()

    def send(
        self,
        pieces: list[bytes],
        timeout: float | None = None,
        share: BudgetShare | None = None,
    ) -> int:
        """As Channel.send; returns how many bytes it was given."""
        tls = self._tls
        if tls is None:
            return super().send(pieces, timeout, share)
        data = b"".join(pieces)
        pieces.clear()
        view = memoryview(data)
        records = []
        for start in range(0, len(data), _RECORD):
            self._encrypt(tls, view[start : start + _RECORD])
            records.append(self._outgoing.read())
            if len(records) == _RECORDS:
                super().send(records, timeout, share)
                records = []
        if records:
            super().send(records, timeout, share)
        return len(data)

    def finish(self, timeout: float) -> None:
        """As Channel.finish, beginning with a close_notify."""
        deadline = monotonic() + timeout
        with suppress(OSError):
            super().send([self._end_tls()], timeout)
        super().finish(deadline - monotonic())

    def close(self) -> None:
        """As Channel.close, with a close_notify if there is room for it."""
        with suppress(OSError):
            self._sock.send(self._end_tls())
        super().close()

    def _end_tls(self) -> bytes:
        """Make an end of TLS; returns the close_notify, empty where that is not in place."""
        tls, self._tls = self._tls, None
        if tls is not None:
            with suppress(OSError):
                # Raises when the peer's close_notify is not there yet, which it need not be.
                tls.unwrap()
        return self._outgoing.read()

    def _decrypt(self, tls: ssl.SSLObject, size: int) -> int:
        """Replace the ``size`` bytes that have arrived by what they mean; returns how many."""
        buffer = memoryview(self.buffer)
        if size <= _RECORD:
            self._incoming.write(buffer[:size])
            return self._read(tls, buffer)
        # What is decrypted could overtake what is not yet.
        arrived = memoryview(bytes(buffer[:size]))
        decrypted = 0
        for start in range(0, size, _RECORD):
            self._incoming.write(arrived[start : start + _RECORD])
            decrypted += self._read(tls, buffer[decrypted:])
        return decrypted

    def _read(self, tls: ssl.SSLObject, buffer: memoryview) -> int:
        """Read what is decrypted, as far as there is room for it; returns how many bytes.

        Sets ``_more``, also at the end of the stream: it can be read again and again.
        """
        size = 0
        self._more = True
        while size < len(buffer):
            try:
                read = int(tls.read(len(buffer) - size, buffer[size:]))
            except ssl.SSLWantReadError:
                self._more = False
                break
            except ssl.SSLError as error:
                self._fail(error)
            if not read:
                break
            size += read
            # Cheaper than to try and fail, which most often it would. OpenSSL takes one record at a
            # time from what is coming in, so there is none that neither of the two knows.
            if not (self._incoming.pending or tls.pending()):
                self._more = False
                break
        return size

    def _encrypt(self, tls: ssl.SSLObject, data: memoryview) -> None:
        """Put at most a record's bytes into the buffer of what leaves."""
        try:
            tls.write(data)
        except ssl.SSLError as failure:
            self._fail(failure)

    def _send_own(self) -> None:
        """Send what TLS itself has to say."""
        if self._outgoing.pending:
            super().send([self._outgoing.read()], _OWN_TIMEOUT)

    def _fail(self, error: ssl.SSLError) -> NoReturn:
        """Tell the peer that TLS has failed, in its own terms."""
        self._tls = None
        if error.reason == "HTTP_REQUEST":
            self._outgoing.read()
            raise PlainHTTP("This port speaks TLS: use https:// or wss://.") from error
        with suppress(OSError):
            self._send_own()
        raise error
