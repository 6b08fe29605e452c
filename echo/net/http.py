"""One HTTP connection: gevent's pywsgi and gevent-websocket's handler, with a strict front.

pywsgi waits for ever, reads heads leniently and writes to its log what it was sent. Here heads are
read by HeadParser against deadlines, responses are written by Channel against a deadline, and what
pywsgi keeps doing is what it does well: the WSGI side of a request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import EPIPE
from io import BytesIO
from socket import socket
from ssl import SSLError
from time import monotonic
from traceback import format_exception
from typing import Any, Final, Self
from urllib.parse import unquote_to_bytes

from gevent import GreenletExit
from gevent.pywsgi import Input
from geventwebsocket.handler import WebSocketHandler

from echo.net.channel import Interrupted, NothingReceived
from echo.net.events import Answer
from echo.net.registry import chosen_id
from echo.protocol.errors import RequestError, RequestTimeout, UnexpectedTLS, WebSocketError
from echo.protocol.excerpts import ENTRY_EXCERPT, excerpt
from echo.protocol.http_head import HeadParser, RequestHead
from echo.protocol.lost_fields import is_handshake

#: The field of a response that names a connection, or a handshake that was refused.
ID_FIELD: Final = "X-Connection-Id"

#: Where a request's environ has its Exchange.
EXCHANGE: Final = "echo.exchange"

#: Seconds to read on after the last response, so that the peer gets it (see Channel.finish).
LINGER: Final = 2.0

#: Requests of a connection in a row of which none waited for the answer to the one before; the last
#: one is answered with ``Connection: close``.
MAX_PIPELINED: Final = 1_000

#: Bytes that are received at a time: a connection keeps what it has not come to, and one that does
#: not read its answers comes to nothing.
_RECEIVE_SIZE: Final = 16 * 1024

#: A fatal TLS alert, unexpected_message (RFC 8446, sections 5.1 and 6).
_UNEXPECTED_MESSAGE: Final = bytes.fromhex("1503010002020a")

#: The header fields that WSGI calls otherwise than ``HTTP_`` and their name (PEP 3333).
_CGI_NAMES: Final = {"CONTENT_TYPE", "CONTENT_LENGTH"}

Environ = dict[str, Any]


def peer_of(environ: Environ) -> str:
    """Who has sent a request, ``host:port`` or the host alone, an IPv6 host in brackets."""
    return _peer(environ["REMOTE_ADDR"], environ["REMOTE_PORT"])


def unmapped(host: str) -> str:
    """An IP address; as IPv4 where it is an IPv4 one written as IPv6 (RFC 4291, 2.5.5.2)."""
    return host.removeprefix("::ffff:") if "." in host else host


def _peer(host: str, port: str) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _closing(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Header fields with the connection option ``close`` among them."""
    options = [value for name, value in headers if name.lower() == "connection"]
    others = [(name, value) for name, value in headers if name.lower() != "connection"]
    options += [] if "close" in options else ["close"]
    return [*others, ("Connection", ", ".join(options))]


@dataclass(slots=True)
class Exchange:
    """A request, and what the application has to say of it beside the response.

    Attributes:
        head: the request's head as it was parsed.
        host: the Host that the client asked for, as trusted proxies say it where there are some.
        handler: serves the request; None under another WSGI server.
        scheme: ``http`` or ``https``, by which the client came; None where that is not known: a
            proxy in front may end TLS.
        refused: why its opening handshake was refused; None if it was not, or was none.
        refusal: why the request was refused, for the access log; empty where it was not.
        refused_as: the class of the exception, or empty for the status, for those who count.
    """

    head: RequestHead
    host: str | None
    handler: "HTTPHandler | None" = None
    scheme: str | None = None
    refused: WebSocketError | None = None
    refusal: str = ""
    refused_as: str = ""

    def take_refused(self) -> WebSocketError:
        """Why the opening handshake was refused, for the one who raises it.

        It is not kept here: its traceback leads to the environ, and from there back to this.
        """
        refused, self.refused = self.refused, None
        if refused is None:
            raise LookupError("the opening handshake was not refused")
        return refused.with_traceback(None)

    @classmethod
    def of(cls, environ: Environ) -> Self:
        """The exchange of a request; made from the environ under another WSGI server."""
        found = environ.get(EXCHANGE)
        if not isinstance(found, cls):
            fields = [
                (key.removeprefix("HTTP_").replace("_", "-"), str(value))
                for key, value in environ.items()
                if key.startswith("HTTP_")
            ]
            version = environ["SERVER_PROTOCOL"].removeprefix("HTTP/")
            head = RequestHead.of(environ["REQUEST_METHOD"], "/", version, fields)
            found = environ[EXCHANGE] = cls(head, environ.get("HTTP_HOST"))
        return found


#: The input of every request: no request has a body here.
_NO_BODY: Final = Input(BytesIO(), 0)  # type: ignore[arg-type]


class HTTPHandler(WebSocketHandler):  # type: ignore[misc]  # gevent-websocket has no types
    """Serves the requests of one connection, one after the other."""

    environ: Environ | None

    def __init__(self, sock: socket, address: Any, server: Any) -> None:
        # pywsgi's own constructor opens a buffered reader, for which there is no use here.
        # A unix socket's peer has no address.
        self.client_address = (unmapped(str(address[0])), address[1]) if address else ("", "")
        self.server = server
        self.channel = server.make_channel(sock)
        self.wsgi_input = _NO_BODY
        self._parser = HeadParser()
        # How many of MAX_PIPELINED there have been.
        self._pipelined = 1

    @property
    def peer(self) -> str:
        """The address of the socket's other end, a proxy's if there is one, as ``peer_of``."""
        return _peer(*map(str, self.client_address))

    def handle(self) -> None:
        """Answer requests until one of both sides has enough. Called by the server."""
        # For all that has to come until the first request is whole.
        deadline = monotonic() + self.server.limits.head_timeout
        try:
            self._shake_hands(deadline)
            more = self._take_request(deadline)
            while more:
                self.handle_one_response()
                more = not self.close_connection and self._take_request()
        except UnexpectedTLS as error:
            self._alert(error)
        except RequestError as error:
            self.refuse(error)
        except SSLError as error:
            reason = (error.reason or "failed").replace("_", " ").lower()
            self.server.events.tls_failed(self.peer, reason)
            self.channel.finish(LINGER)
        except (OSError, Interrupted):
            self.channel.close()
        else:
            self.channel.finish(LINGER)
        finally:
            self.channel.close()
            # The environ knows its handler: without this the two would wait for the collector.
            self.environ = None

    def turn_away(self, error: RequestError) -> None:
        """Answer a connection that is not served, whatever it asks for, log it and close."""
        try:
            self.channel.handshake(monotonic() + LINGER, self.server.turns.take)
        except (OSError, RequestError):
            # No answer would be understood.
            self.log_refusal(error)
            self.channel.close()
        else:
            self.refuse(error)

    def refuse(self, error: RequestError) -> None:
        """Answer a request that is none, log it and close. Nothing behind it is looked at."""
        reason = f"{error}\n".encode()
        headers = (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(reason))),
            ("Connection", "close"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *error.headers,
        )
        head = RequestHead.of_part(self._parser.line, self._parser.fields)
        status = int(error.status[:3])
        refused_id = self.remember_refusal(head, peer=self.peer, status=status, reason=str(error))
        if refused_id is not None:
            headers = (*headers, (ID_FIELD, refused_id))
        lines = [f"HTTP/1.1 {error.status}", *(f"{name}: {value}" for name, value in headers)]
        answer = "\r\n".join([*lines, "", ""]).encode("latin-1") + reason
        self.server.turns.take()
        self.log_refusal(error)
        self._send_last(answer)

    def remember_refusal(
        self,
        head: RequestHead,
        *,
        peer: str,
        status: int,
        reason: str,
        cures: Sequence[str] = (),
    ) -> str | None:
        """Keep what is known of an opening handshake that is refused.

        Returns its id; None for any other request, of which nothing is kept.
        """
        query = head.target.partition("?")[2]
        if not is_handshake(head) and chosen_id(query) is None:
            return None
        record = self.server.registry.refuse(
            peer, head.line, head.fields, query, status=status, reason=reason, cures=cures
        )
        self.server.events.refused(record)
        return str(record.id)

    def _alert(self, error: UnexpectedTLS) -> None:
        """Answer TLS in its own terms, log it without what it sent and close."""
        self.server.turns.take()
        self.server.events.tls_failed(self.peer, str(error))
        self._send_last(_UNEXPECTED_MESSAGE)

    def _send_last(self, data: bytes) -> None:
        """Send the last bytes of the connection, as far as the peer takes them, and close."""
        try:
            self.channel.send([data], LINGER)
        except (OSError, RequestError):
            self.channel.close()
        else:
            self.channel.finish(LINGER)

    def log_refusal(self, error: RequestError) -> None:
        """One line for a request that is refused before it is one, or a connection."""
        line = excerpt(self._parser.line, ENTRY_EXCERPT)
        reason = excerpt(str(error), ENTRY_EXCERPT)
        answer = Answer(self.peer, line, error.status[:3], reason, type(error).__name__)
        self.server.events.answered(answer)

    def _shake_hands(self, deadline: float) -> None:
        """Do the TLS handshake, where there is one, until ``deadline``. Raises as the channel."""
        try:
            self.channel.handshake(deadline, self.server.turns.take)
        except NothingReceived:
            raise
        except TimeoutError:
            seconds = self.server.limits.head_timeout
            self.server.events.tls_failed(
                self.peer, f"the handshake was not finished within {seconds:g} s"
            )
            raise

    def _read_head(self, deadline: float | None) -> RequestHead | None:
        """Wait for the head of a request; None at the end of the stream.

        The first one of a connection must be whole at ``deadline``, by the monotonic clock. Later
        ones, without one, may take Limits.head_timeout from their first byte; before that byte a
        connection may be idle for Limits.keep_alive_timeout, then None is returned. Raises
        RequestError for a head that is not taken, RequestTimeout among them for one that is late.
        """
        limits = self.server.limits
        head_timeout = limits.head_timeout
        head = self._parser.feed(b"")
        idle = deadline is None and not self._parser.started
        if deadline is None:
            deadline = monotonic() + (limits.keep_alive_timeout if idle else head_timeout)
        while head is None:
            try:
                size = self._receive(max(0.0, deadline - monotonic()))
            except TimeoutError:
                # Browsers connect in advance, and may have nothing to ask.
                if idle or not self._parser.started:
                    return None
                reason = f"the request did not come within {head_timeout:g} s"
                raise RequestTimeout(reason) from None
            if not size:
                return None
            if idle:
                idle = False
                deadline = monotonic() + head_timeout
            head = self._parser.feed(self.channel.buffer[:size])
        return head

    def _receive(self, timeout: float) -> int:
        """As Channel.receive. When the server stops, what has come by then is still taken."""
        try:
            return int(self.channel.receive(timeout, limit=_RECEIVE_SIZE))
        except Interrupted:
            if not self.channel.has_input():
                raise
            self.channel.interrupt()
            return int(self.channel.receive(timeout, limit=_RECEIVE_SIZE, interruptible=False))

    def _take_request(self, deadline: float | None = None) -> bool:
        """Wait for a request and make it the one to answer; False when none came. As _read_head."""
        if deadline is None:
            waiting = self._parser.started or self.channel.has_input()
            self._pipelined = self._pipelined + 1 if waiting else 1
        head = self._read_head(deadline)
        if head is None:
            return False
        self.server.turns.take()
        self.requestline = head.line
        self.command = head.method
        self.request_version = f"HTTP/{head.version}"
        # A proxy may take for a tunnel what has asked to be one: nothing behind a request for an
        # upgrade is looked at, unless it is granted.
        self.close_connection = (
            not head.keep_alive or "upgrade" in head.values or self._pipelined >= MAX_PIPELINED
        )
        self.environ = self._make_environ(head)
        self.application = self.server.application
        return True

    def _make_environ(self, head: RequestHead) -> Environ:
        """The request's WSGI environ (PEP 3333)."""
        environ: Environ = self.server.get_environ()
        environ[EXCHANGE] = Exchange(head, head.host, self, self.server.scheme)
        path, _, query = head.target.partition("?")
        environ.update(
            REQUEST_METHOD=head.method,
            SCRIPT_NAME="",
            PATH_INFO=unquote_to_bytes(path).decode("latin-1"),
            QUERY_STRING=query,
            SERVER_PROTOCOL=self.request_version,
            REMOTE_ADDR=self.client_address[0],
            REMOTE_PORT=str(self.client_address[1]),
        )
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        for name, value in head.fields:
            # An underscore could pass for the hyphen of a field that a proxy has set or removed.
            if "_" in name:
                continue
            key = name.upper().replace("-", "_")
            if key not in _CGI_NAMES:
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        if head.host is not None:
            environ["HTTP_HOST"] = head.host
        return environ

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """As in WSGI; the last response of a connection says so (RFC 9112, section 9.6)."""
        if self.close_connection and not status.startswith("101"):
            headers = _closing(headers)
        write: Callable[[bytes], object] = super().start_response(status, headers, exc_info)
        return write

    def _sendall(self, data: bytes) -> None:
        """Write a piece of the response; pywsgi calls it."""
        try:
            self.response_length += self.channel.send([data], self.server.limits.write_timeout)
        except TimeoutError as error:
            # A peer that does not read is gone for pywsgi too.
            raise BrokenPipeError(EPIPE, str(error)) from error

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        """Report what went wrong in the application, and answer 500; pywsgi calls it."""
        if not issubclass(t, GreenletExit):
            self.server.events.fault("".join(format_exception(t, v, tb)))
        self._send_error_response_if_possible(500)

    def log_request(self) -> None:
        """One line for each request; pywsgi calls it when the request is done."""
        status = (self._orig_status or "-").split()[0]
        peer, refusal, refused_as = self.peer, "", ""
        if self.environ:
            peer = peer_of(self.environ)
            exchange = Exchange.of(self.environ)
            refusal, refused_as = exchange.refusal, exchange.refused_as
        if status >= "400":
            refused_as = refused_as or status
        line = excerpt(self.requestline, ENTRY_EXCERPT)
        reason = excerpt(refusal, ENTRY_EXCERPT)
        self.server.events.answered(Answer(peer, line, status, reason, refused_as))
