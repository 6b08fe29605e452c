"""Every exception of the service, each with the close code or the HTTP status that it stands for.

WebSocketError
├── HandshakeError              the upgrade is refused; the answer is an HTTP response
│   ├── BadRequest              400  a header is missing, repeated or malformed
│   ├── ForbiddenOrigin         403  a page of another site asks
│   ├── MethodNotAllowed        405  the opening handshake is a GET
│   ├── UpgradeRequired         426  not a WebSocket request, or of another version
│   ├── CannotUpgrade           501  the WSGI server has no WebSocket handler
│   └── HTTPVersionNotSupported 505  the opening handshake needs HTTP/1.1
├── RequestError                an HTTP request is refused, and its connection closed
│   ├── MalformedRequest        400
│   ├── PlainHTTP               400  without TLS, to a port that speaks it
│   ├── UnexpectedTLS                with TLS, to a port that does not: a TLS alert
│   ├── RequestTimeout          408
│   ├── BodyNotTaken            413
│   ├── RequestLineTooLong      414
│   ├── HeadTooLarge            431
│   ├── UnknownMethod           501
│   ├── TooManyConnections      503
│   └── UnknownVersion          505  neither HTTP/1.0 nor HTTP/1.1
├── ProtocolViolation           the peer broke a rule; the connection fails with its close code
│   ├── ProtocolError           1002
│   ├── InvalidPayload          1007
│   ├── MessageTooSlow          1008
│   ├── MessageTooBig           1009
│   └── TryAgainLater           1013
└── ConnectionClosed            the connection is over; raised by all of Connection's methods
    ├── ClosedByPeer            the peer began the closing handshake
    ├── ClosedByServer          the server began the closing handshake
    ├── ConnectionFailed        the server failed the connection after a ProtocolViolation
    └── ConnectionLost          the TCP connection ended without a closing handshake (1006)
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Literal, Self

from echo.protocol.rfc6455 import VERSION, CloseCode


class Cause(StrEnum):
    """What ended a connection, in a word that logs, metrics and post-mortems share."""

    PEER_CLOSE = "peer-close"
    SERVER_CLOSE = "server-close"
    SHUTDOWN = "shutdown"
    INTERNAL_ERROR = "internal-error"
    PING_TIMEOUT = "ping-timeout"
    VIOLATION = "violation"
    LIMIT = "limit"
    END_OF_STREAM = "end-of-stream"
    RESET = "reset"
    WRITE_TIMEOUT = "write-timeout"
    NETWORK_ERROR = "network-error"


class WebSocketError(Exception):
    """The root of the tree."""


class HandshakeError(WebSocketError):
    """The opening handshake is refused (RFC 6455, section 4.2.2).

    The first argument is the reason, a sentence for a person; it begins the body of the response.

    Attributes:
        cures: lines behind it that say what to change, each for another proxy.
    """

    #: HTTP status of the response.
    status: ClassVar[int]
    #: Header fields that the response carries besides the usual ones.
    headers: ClassVar[Sequence[tuple[str, str]]] = ()

    def __init__(self, reason: str, cures: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.cures = cures


class BadRequest(HandshakeError):
    """A header field of the handshake is missing, repeated or malformed."""

    status = 400


class ForbiddenOrigin(HandshakeError):
    """The Origin is neither the service's own nor an allowed one (section 10.2)."""

    status = 403


class MethodNotAllowed(HandshakeError):
    """The method is not GET (section 4.1, requirement 2)."""

    status = 405
    headers = (("Allow", "GET"),)


class UpgradeRequired(HandshakeError):
    """Not an upgrade to WebSocket, or to a version that the service does not speak (4.2.2)."""

    status = 426
    headers = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", VERSION),
    )


class CannotUpgrade(HandshakeError):
    """The application runs under a WSGI server that cannot hand over the connection."""

    status = 501


class HTTPVersionNotSupported(HandshakeError):
    """The request is not HTTP/1.1 (section 4.1, requirement 2)."""

    status = 505


class RequestError(WebSocketError):
    """An HTTP request is refused before it is a request: nothing behind it is looked at.

    The first argument is the reason, a sentence for a person; it is the body of the response.
    """

    #: HTTP status code and phrase of the response.
    status: ClassVar[str]
    #: Header fields that the response carries besides the usual ones.
    headers: ClassVar[Sequence[tuple[str, str]]] = ()


class MalformedRequest(RequestError):
    """The head is against the grammar of RFC 9112, or says two things at once."""

    status = "400 Bad Request"


class PlainHTTP(RequestError):
    """The request came without TLS, to a port that speaks TLS."""

    status = "400 Bad Request"


class UnexpectedTLS(RequestError):
    """TLS came to a port that does not speak it: the answer is a TLS alert."""

    status = "400 Bad Request"


class RequestTimeout(RequestError):
    """The head did not come in time."""

    status = "408 Request Timeout"


class BodyNotTaken(RequestError):
    """The head announces a body."""

    status = "413 Content Too Large"


class RequestLineTooLong(RequestError):
    """The request line is above the limit."""

    status = "414 URI Too Long"


class HeadTooLarge(RequestError):
    """The header fields are too many or too large (RFC 6585, section 5)."""

    status = "431 Request Header Fields Too Large"


class UnknownMethod(RequestError):
    """The method is none that a server could know: its case counts (RFC 9110, section 9.1)."""

    status = "501 Not Implemented"


class TooManyConnections(RequestError):
    """The process has as many connections as it takes."""

    status = "503 Service Unavailable"
    headers = (("Retry-After", "5"),)


class UnknownVersion(RequestError):
    """The version of HTTP is neither 1.0 nor 1.1 (RFC 9110, section 15.6.6)."""

    status = "505 HTTP Version Not Supported"


class ProtocolViolation(WebSocketError):
    """What a peer sent breaks a rule. The first argument is the reason, at most 123 bytes."""

    #: The close code that the connection fails with (section 7.4.1).
    code: ClassVar[CloseCode]
    cause: ClassVar[Cause]

    @property
    def reason(self) -> str:
        """What was wrong, for the close frame and the log."""
        return str(self.args[0])


class ProtocolError(ProtocolViolation):
    """Framing, fragmentation or a close frame is against the protocol."""

    code = CloseCode.PROTOCOL_ERROR
    cause = Cause.VIOLATION


class InvalidPayload(ProtocolViolation):
    """A text message or a close reason is not UTF-8 (section 8.1)."""

    code = CloseCode.INVALID_PAYLOAD
    cause = Cause.VIOLATION


class MessageTooBig(ProtocolViolation):
    """A message is above the limit."""

    code = CloseCode.MESSAGE_TOO_BIG
    cause = Cause.LIMIT


class MessageTooSlow(ProtocolViolation):
    """A large message takes too long to arrive, or to be taken back."""

    code = CloseCode.POLICY_VIOLATION
    cause = Cause.LIMIT


class TryAgainLater(ProtocolViolation):
    """The server has no memory for this unfinished message now."""

    code = CloseCode.TRY_AGAIN_LATER
    cause = Cause.LIMIT


class ConnectionClosed(WebSocketError):
    """The connection is over, and how.

    Attributes:
        code: the close code; 1005 for a close frame without one, 1006 without a close frame.
        reason: the close frame's reason, or what happened; may be empty.
        cause: what ended it.
    """

    #: Who began the end.
    initiator: Literal["peer", "server"]

    def __init__(self, code: int, reason: str, cause: Cause) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.cause = cause

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.code}{reason}, ended by the {self.initiator}"


class ClosedByPeer(ConnectionClosed):
    """The peer sent the first close frame, and got its answer (section 7.1.3)."""

    initiator = "peer"

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason, Cause.PEER_CLOSE)


class ClosedByServer(ConnectionClosed):
    """The server sent the first close frame."""

    initiator = "server"

    def __init__(self, code: int, reason: str = "", cause: Cause = Cause.SERVER_CLOSE) -> None:
        super().__init__(code, reason, cause)


class ConnectionFailed(ConnectionClosed):
    """The server failed the connection, since the peer broke a rule (section 7.1.7)."""

    initiator = "server"

    def __init__(self, violation: ProtocolViolation) -> None:
        super().__init__(violation.code, violation.reason, violation.cause)


class ConnectionLost(ConnectionClosed):
    """End of file, a reset or a time-out, without a closing handshake (section 7.1.5: 1006)."""

    initiator: Literal["peer", "server"] = "peer"

    def __init__(self, reason: str, cause: Cause = Cause.NETWORK_ERROR) -> None:
        super().__init__(CloseCode.ABNORMAL_CLOSURE, reason, cause)
        if cause in {Cause.WRITE_TIMEOUT, Cause.SHUTDOWN, Cause.LIMIT}:
            self.initiator = "server"

    @classmethod
    def after(cls, error: OSError) -> Self:
        """What an error of the socket means."""
        if isinstance(error, ConnectionError):
            return cls(error.strerror or str(error), Cause.RESET)
        # One without a number is the server's own; the kernel has time-outs too.
        if isinstance(error, TimeoutError) and error.errno is None:
            return cls(str(error), Cause.WRITE_TIMEOUT)
        return cls(error.strerror or str(error))
