"""The upgrade from HTTP to WebSocket, on gevent-websocket's handler made strict.

gevent-websocket 0.10.1 upgrades before the application is asked, on any path, and leniently. Here
it is the other way round: the request goes to the application like any other, and the handler of
a route calls ``upgrade``. What is taken from gevent-websocket is the way in which it turns pywsgi's
response into a 101 and keeps the connection.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gevent.pywsgi import WSGIHandler
from geventwebsocket.handler import WebSocketHandler

from echo.net.channel import Channel
from echo.net.connection import Connection
from echo.protocol.errors import CannotUpgrade, ConnectionLost
from echo.protocol.handshake import (
    HandshakePolicy,
    HandshakeRequest,
    HandshakeResponse,
    negotiate,
)

#: Where a request's environ has the handler that serves it.
_HANDLER: Final = "echo.handler"

#: Where a view may leave, in a request's environ, why it refused: for the access log.
REFUSAL: Final = "echo.refusal"

Environ = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UpgradePolicy:
    """What ``upgrade`` lets in, and what it gives to the connection.

    Attributes:
        handshake: the choices of the opening handshake.
        max_message_size: bytes of a message's payload.
    """

    handshake: HandshakePolicy = field(default_factory=HandshakePolicy)
    max_message_size: int = 16 * 1024 * 1024


def upgrade(environ: Environ, policy: UpgradePolicy) -> Connection:
    """Answer the request's opening handshake with 101 and give its WebSocket (RFC 6455, 4.2).

    Raises HandshakeError when the handshake is refused: nothing was sent then, and the caller
    answers with an ordinary HTTP response. Raises ConnectionLost when the peer went away.
    """
    request = HandshakeRequest(
        method=environ["REQUEST_METHOD"],
        http_version=environ["SERVER_PROTOCOL"],
        host=environ.get("HTTP_HOST"),
        upgrade=environ.get("HTTP_UPGRADE"),
        connection=environ.get("HTTP_CONNECTION"),
        version=environ.get("HTTP_SEC_WEBSOCKET_VERSION"),
        key=environ.get("HTTP_SEC_WEBSOCKET_KEY"),
        origin=environ.get("HTTP_ORIGIN"),
        protocols=environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL"),
    )
    response = negotiate(request, policy.handshake)
    handler = environ.get(_HANDLER)
    if not isinstance(handler, UpgradeHandler):
        raise CannotUpgrade("This WSGI server cannot upgrade; start the service by server.py.")
    return handler.switch_protocols(response, policy)


class UpgradeHandler(WebSocketHandler):  # type: ignore[misc]  # gevent-websocket has no types
    """gevent-websocket's handler, asked by the application instead of before it."""

    #: The connection that the request became.
    connection: Connection | None = None

    def get_environ(self) -> Environ:
        """The request's WSGI environ, with the way back to this handler."""
        environ: Environ = super().get_environ()
        environ[_HANDLER] = self
        return environ

    def run_application(self) -> None:
        """Let the application answer: gevent-websocket's own upgrade is passed over."""
        WSGIHandler.run_application(self)

    def switch_protocols(self, response: HandshakeResponse, policy: UpgradePolicy) -> Connection:
        """Send the 101 response and take the connection from HTTP. Raises ConnectionLost."""
        received = self._take_input()
        # gevent-websocket's start_response leaves out what a 101 must not have (a length, chunks)
        # and ends HTTP on this connection, when it finds a WebSocket in the environ.
        self.environ["wsgi.websocket"] = self
        try:
            self.start_response("101 Switching Protocols", response.headers())
            self.write(b"")
        except OSError as error:
            raise ConnectionLost(f"during the opening handshake: {error}") from error
        finally:
            del self.environ["wsgi.websocket"]
        self.connection = Connection(
            Channel(self.socket),
            peer=self.peer,
            subprotocol=response.subprotocol,
            max_message_size=policy.max_message_size,
            received=received,
        )
        return self.connection

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """As in WSGI; what the application answers after an upgrade goes nowhere."""
        if self.connection is not None:
            return _ignore
        write: Callable[[bytes], object] = super().start_response(status, headers, exc_info)
        return write

    def process_result(self) -> None:
        """Send what the application returned, unless the request became a WebSocket."""
        if self.connection is None:
            super().process_result()

    def log_request(self) -> None:
        """One line for each request: how it was answered, or how its WebSocket ended."""
        self.server.log.write(self.format_request())

    def format_request(self) -> str:
        """The line of the access log."""
        if self.connection is not None:
            return f"{self.peer} closed: {self.connection.ended}"
        status = (self._orig_status or "-").split()[0]
        refusal = (self.environ or {}).get(REFUSAL, "")
        return f'{self.peer} "{self.requestline}" {status} {refusal}'.rstrip()

    @property
    def peer(self) -> str:
        """The peer's address, ``host:port``, an IPv6 host in brackets."""
        host, port = self.client_address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _take_input(self) -> bytes:
        """What the HTTP reader has read ahead: frames in the segment of the request."""
        timeout = self.socket.gettimeout()
        self.socket.settimeout(0.0)
        try:
            received: bytes = self.rfile.peek()
        except OSError as error:
            raise ConnectionLost(f"during the opening handshake: {error}") from error
        finally:
            self.socket.settimeout(timeout)
        self.rfile.close()
        return received


def _ignore(data: bytes) -> None:
    """The WSGI write callable of a request that became a WebSocket."""
