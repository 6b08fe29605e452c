"""The upgrade from HTTP to WebSocket, on gevent-websocket's handler made strict.

gevent-websocket 0.10.1 upgrades before the application is asked, on any path, and leniently. Here
it is the other way round: the request goes to the application like any other, and the handler of
a route calls ``upgrade``. What is taken from gevent-websocket is the way in which it turns pywsgi's
response into a 101 and keeps the connection.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from gevent.pywsgi import WSGIHandler

from echo.net.connection import Connection
from echo.net.http_handler import HEAD, SCHEME, Environ, HTTPHandler, peer_of
from echo.net.registry import Registry, is_id, new_id
from echo.protocol.deflate import PerMessageDeflate
from echo.protocol.errors import BadRequest, CannotUpgrade, ConnectionLost
from echo.protocol.handshake import (
    HandshakePolicy,
    HandshakeRequest,
    HandshakeResponse,
    negotiate,
)
from echo.protocol.http_head import RequestHead

_AnyConnection = TypeVar("_AnyConnection", bound=Connection)

#: Where a request's environ has the handler that serves it.
_HANDLER: Final = "echo.handler"

#: The field of the 101 response that names the connection.
_ID_FIELD: Final = "X-Connection-Id"

#: What of a request's environ nobody asks for behind the opening handshake.
_HANDSHAKE_ONLY: Final = (
    "HTTP_SEC_WEBSOCKET_EXTENSIONS",
    "HTTP_SEC_WEBSOCKET_KEY",
    "HTTP_SEC_WEBSOCKET_PROTOCOL",
    "HTTP_SEC_WEBSOCKET_VERSION",
    "HTTP_CONNECTION",
    "HTTP_UPGRADE",
)


def upgrade(environ: Environ, policy: HandshakePolicy) -> Connection:
    """Answer the request's opening handshake with 101 and give its WebSocket (RFC 6455, 4.2).

    Raises HandshakeError when the handshake is refused: nothing was sent then, and the caller
    answers with an ordinary HTTP response. Raises ConnectionLost when the peer went away.
    """
    connection, _, _ = switch_protocols(environ, policy, Connection)
    return connection


def switch_protocols(
    environ: Environ, policy: HandshakePolicy, connection_class: type[_AnyConnection]
) -> tuple[_AnyConnection, RequestHead, bytes]:
    """As ``upgrade``; gives a connection of that class, the request's head and the response's."""
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
        extensions=environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS"),
        scheme=environ.get(SCHEME),
    )
    response = negotiate(request, policy)
    handler = environ.get(_HANDLER)
    if not isinstance(handler, UpgradeHandler):
        raise CannotUpgrade("This WSGI server cannot upgrade; start the service by server.py.")
    registry = handler.server.registry
    connection_id = _choose_id(environ, registry)
    head: RequestHead = environ.pop(HEAD)
    registry.reserve(connection_id)
    try:
        sent = handler.send_response(response, connection_id)
    except BaseException:
        registry.cancel(connection_id)
        raise
    deflate = None
    if response.deflate is not None and policy.deflate is not None:
        deflate = PerMessageDeflate(response.deflate, policy.deflate)
    connection = connection_class(
        handler.channel,
        peer=peer_of(environ),
        limits=handler.server.limits,
        budget=handler.server.budget,
        connection_id=connection_id,
        path=environ["PATH_INFO"],
        subprotocol=response.subprotocol,
        deflate=deflate,
        received=handler.take_rest(),
        counters=handler.server.counters,
    )
    handler.connection = connection
    handler.server.watch(connection)
    return connection, head, sent


def is_accepting(environ: Environ) -> bool:
    """Whether the server of a request takes a further connection; one that cannot say does."""
    handler = environ.get(_HANDLER)
    return not isinstance(handler, UpgradeHandler) or bool(handler.server.accepting)


class UpgradeHandler(HTTPHandler):
    """gevent-websocket's handler, asked by the application instead of before it."""

    #: The connection that the request became.
    connection: Connection | None = None

    #: Whether the 101 response was begun: whatever the application answers then goes nowhere.
    _switched = False

    #: The head of the 101 response.
    _sent = b""

    def run_application(self) -> None:
        """Let the application answer: gevent-websocket's own upgrade is passed over."""
        try:
            WSGIHandler.run_application(self)
        finally:
            if self.connection is not None:
                self.connection.abandon()

    def send_response(self, response: HandshakeResponse, connection_id: str) -> bytes:
        """Send the 101 response and drop what only HTTP needs; returns the head as sent.

        Raises ConnectionLost.
        """
        # gevent-websocket's start_response leaves out what a 101 must not have (a length, chunks)
        # and ends HTTP on this connection, when it finds a WebSocket in the environ.
        environ = self.environ or {}
        environ["wsgi.websocket"] = self
        try:
            headers = [*response.headers(), (_ID_FIELD, connection_id)]
            self.start_response("101 Switching Protocols", headers)
            self._switched = True
            self.write(b"")
        except OSError as error:
            raise ConnectionLost(f"during the opening handshake: {error}") from error
        finally:
            del environ["wsgi.websocket"]
        self._let_go(environ)
        sent, self._sent = self._sent, b""
        return sent

    def take_rest(self) -> bytes:
        """What has come behind the request."""
        return self._parser.take_rest()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """As in WSGI; what the application answers after an upgrade goes nowhere."""
        if self._switched:
            return _ignore
        write: Callable[[bytes], object] = super().start_response(status, headers, exc_info)
        return write

    def process_result(self) -> None:
        """Send what the application returned, unless the request became a WebSocket."""
        if not self._switched:
            super().process_result()

    def go_away(self) -> None:
        """Ask the owner to end the connection, as the server stops. Called by its greenlet."""
        if self.connection is None:
            self.channel.interrupt()
        else:
            self.connection.go_away_soon()

    def log_request(self) -> None:
        """As for any request; of one that became a WebSocket the server logs the end."""
        if self.connection is None:
            super().log_request()

    def _sendall(self, data: bytes) -> None:
        """Write a piece of the response; of a 101 its head is kept."""
        if self._switched:
            self._sent = data
        super()._sendall(data)

    def _make_environ(self, head: RequestHead) -> Environ:
        """The request's environ, with the way back to this handler."""
        environ = super()._make_environ(head)
        environ[_HANDLER] = self
        return environ

    def _let_go(self, environ: Environ) -> None:
        """Drop what only HTTP needs: a connection is idle most of its life, and there are many."""
        self.response_headers = None
        for name in _HANDSHAKE_ONLY:
            environ.pop(name, None)


def _choose_id(environ: Environ, registry: Registry) -> str:
    """The id that the client has chosen in the query, or a new one.

    A script in a browser chooses, as it does not see the header fields of the response. Raises
    BadRequest for an id that is malformed or known already.
    """
    query: str = environ.get("QUERY_STRING", "")
    if not query:
        return new_id()
    for chosen in parse_qs(query, keep_blank_values=True).get("id", ()):
        if not is_id(chosen):
            raise BadRequest("An id has 22 to 64 letters, digits, underscores and hyphens.")
        if chosen in registry:
            raise BadRequest("This id is taken already.")
        return chosen
    return new_id()


def _ignore(data: bytes) -> None:
    """The WSGI write callable of a request that became a WebSocket."""
