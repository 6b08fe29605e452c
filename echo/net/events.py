"""What the net floor has to tell: one port, on which logs, metrics and shared records listen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from echo.net.connection import Connection
from echo.net.records import ConnectionRecord, RefusedHandshake


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP request that was answered, or a connection that was refused.

    Attributes:
        peer: the client's address.
        request: the request line, as much of it as has come.
        status: of the response; ``-`` for none.
        reason: why it was refused, for a person; empty for a request that was not.
        refused_as: what it was refused as, one of a few dozen words whatever clients send: the
            class of an exception in ``echo.protocol.errors``, or the status; empty for a request
            that was not.
    """

    peer: str
    request: str
    status: str
    reason: str = ""
    refused_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Who listens to what. Listeners are called in their order and must not block.

    Attributes:
        on_opened: a request has become a WebSocket.
        on_closed: a WebSocket is over.
        on_refused: an opening handshake was refused.
        on_answered: an HTTP request was answered, or refused.
        on_tls_failed: a TLS handshake failed; whose and why.
        on_notice: something that an operator should know, as one line.
        on_fault: a traceback, as a text of some lines.
    """

    on_opened: Sequence[Callable[[Connection], object]] = ()
    on_closed: Sequence[Callable[[ConnectionRecord], object]] = ()
    on_refused: Sequence[Callable[[RefusedHandshake], object]] = ()
    on_answered: Sequence[Callable[[Answer], object]] = ()
    on_tls_failed: Sequence[Callable[[str, str], object]] = ()
    on_notice: Sequence[Callable[[str], object]] = ()
    on_fault: Sequence[Callable[[str], object]] = ()

    @classmethod
    def to(cls, *listeners: object) -> Self:
        """Events that each listener hears which has a method of that name."""
        names = ("opened", "closed", "refused", "answered", "tls_failed", "notice", "fault")
        return cls(
            **{
                f"on_{name}": [getattr(one, name) for one in listeners if hasattr(one, name)]
                for name in names
            }
        )

    def opened(self, connection: Connection) -> None:
        """Tell that a request has become a WebSocket."""
        for listener in self.on_opened:
            listener(connection)

    def closed(self, record: ConnectionRecord) -> None:
        """Tell that a WebSocket is over."""
        for listener in self.on_closed:
            listener(record)

    def refused(self, record: RefusedHandshake) -> None:
        """Tell that an opening handshake was refused."""
        for listener in self.on_refused:
            listener(record)

    def answered(self, answer: Answer) -> None:
        """Tell that an HTTP request was answered, or refused."""
        for listener in self.on_answered:
            listener(answer)

    def tls_failed(self, peer: str, reason: str) -> None:
        """Tell that the TLS handshake of ``peer`` failed."""
        for listener in self.on_tls_failed:
            listener(peer, reason)

    def notice(self, text: str) -> None:
        """Tell the operator something."""
        for listener in self.on_notice:
            listener(text)

    def fault(self, text: str) -> None:
        """Tell the traceback of a fault of ours."""
        for listener in self.on_fault:
            listener(text)
