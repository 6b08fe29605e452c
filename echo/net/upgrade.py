"""The upgrade from HTTP to WebSocket, on gevent-websocket's handler made strict.

gevent-websocket 0.10.1 upgrades before the application is asked, on any path, and leniently. Here
it is the other way round: the request goes to the application like any other, and the handler of
a route calls ``upgrade``. What is taken from gevent-websocket is the way in which it turns pywsgi's
response into a 101 and keeps the connection.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gevent.pywsgi import WSGIHandler

from echo.net.connection import Connection
from echo.net.http import EXCHANGE, ID_FIELD, Environ, Exchange, HTTPHandler, peer_of
from echo.protocol.deflate import PerMessageDeflate
from echo.protocol.errors import CannotUpgrade, ConnectionLost
from echo.protocol.handshake import HandshakePolicy, HandshakeResponse, negotiate
from echo.protocol.http_head import RequestHead
from echo.protocol.messages import MessageParser

#: Environ keys dropped after the handshake, to save memory.
_HANDSHAKE_ONLY: Final = (
    EXCHANGE,
    "HTTP_SEC_WEBSOCKET_EXTENSIONS",
    "HTTP_SEC_WEBSOCKET_KEY",
    "HTTP_SEC_WEBSOCKET_PROTOCOL",
    "HTTP_SEC_WEBSOCKET_VERSION",
    "HTTP_CONNECTION",
    "HTTP_UPGRADE",
)


class Upgraded(NamedTuple):
    """A request that became a WebSocket.

    Attributes:
        connection: the WebSocket.
        head: the request's.
        response: the head of the 101 as it was sent.
    """

    connection: Connection
    head: RequestHead
    response: bytes


def upgrade(environ: Environ, policy: HandshakePolicy) -> Connection:
    """Answer the request's opening handshake with 101 and give its WebSocket (RFC 6455, 4.2).

    Raises HandshakeError when the handshake is refused: nothing was sent then, and the caller
    answers with an ordinary HTTP response. Raises ConnectionLost when the peer went away.
    """
    return upgraded(environ, policy).connection


def upgraded(
    environ: Environ,
    policy: HandshakePolicy,
    parser_class: type[MessageParser] = MessageParser,
) -> Upgraded:
    """As ``upgrade``, with the handshake; ``parser_class`` is the connection's."""
    exchange = Exchange.of(environ)
    response = negotiate(exchange.head, policy, host=exchange.host, scheme=exchange.scheme)
    handler = exchange.handler
    if not isinstance(handler, UpgradeHandler):
        raise CannotUpgrade("This WSGI server cannot upgrade; start the service by server.py.")
    return handler.upgrade(environ, exchange.head, response, policy, parser_class)


def is_accepting(environ: Environ) -> bool:
    """Whether the server of a request accepts connections; True for one that cannot tell."""
    handler = Exchange.of(environ).handler
    return handler is None or bool(handler.server.accepting)


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

    def upgrade(
        self,
        environ: Environ,
        head: RequestHead,
        response: HandshakeResponse,
        policy: HandshakePolicy,
        parser_class: type[MessageParser],
    ) -> Upgraded:
        """Send the 101 and hand the channel over to a Connection.

        Raises BadRequest for an id that cannot be had, and ConnectionLost.
        """
        server = self.server
        connection_id = server.registry.reserve(environ["QUERY_STRING"])
        try:
            sent = self._send_response(environ, response, connection_id)
        except BaseException:
            server.registry.cancel(connection_id)
            raise
        deflate = None
        if response.deflate is not None and policy.deflate is not None:
            deflate = PerMessageDeflate(response.deflate, policy.deflate)
        self.connection = connection = Connection(
            self.channel,
            peer=peer_of(environ),
            limits=server.limits,
            budget=server.budget,
            connection_id=connection_id,
            path=environ["PATH_INFO"],
            subprotocol=response.subprotocol,
            deflate=deflate,
            received=self._parser.trailing_data(),
            counters=server.counters,
            parser_class=parser_class,
        )
        server.register(connection)
        return Upgraded(connection, head, sent)

    def _send_response(
        self, environ: Environ, response: HandshakeResponse, connection_id: str
    ) -> bytes:
        """Send the 101 response and drop what only HTTP needs; returns the head as sent.

        Raises ConnectionLost.
        """
        # That gevent-websocket writes the 101 is a rule of this service. Its start_response leaves
        # out what a 101 must not have (a length, chunks) and ends HTTP on this connection, when it
        # finds a WebSocket in the environ.
        environ["wsgi.websocket"] = self
        try:
            headers = [*response.headers(), (ID_FIELD, connection_id)]
            self.start_response("101 Switching Protocols", headers)
            self._switched = True
            self.write(b"")
        except OSError as error:
            raise ConnectionLost(f"during the opening handshake: {error}") from error
        finally:
            del environ["wsgi.websocket"]
        self._drop_http_state(environ)
        sent, self._sent = self._sent, b""
        return sent

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

    def _drop_http_state(self, environ: Environ) -> None:
        """Drop what only HTTP needs: a connection is idle most of its life, and there are many."""
        self.response_headers = None
        for name in _HANDSHAKE_ONLY:
            environ.pop(name, None)


def _ignore(data: bytes) -> None:
    """The WSGI write callable of a request that became a WebSocket."""
