"""One HTTP connection: gevent's pywsgi and gevent-websocket's handler, with a strict front.

pywsgi waits for ever, reads heads leniently and writes to its log what it was sent. Here heads are
read by HeadParser against deadlines, responses are written by Channel against a deadline, and what
pywsgi keeps doing is what it does well: the WSGI side of a request.
"""

from errno import EPIPE
from io import BytesIO
from ssl import SSLError
from time import monotonic
from traceback import format_exception
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from gevent import GreenletExit
from gevent import socket as gevent_socket
from gevent.pywsgi import Input
from geventwebsocket.handler import WebSocketHandler

from echo.net.channel import Interrupted, receive_buffer
from echo.net.watcher import Answer, Notice
from echo.protocol.errors import RequestError, RequestTimeout
from echo.protocol.http_head import HeadParser, RequestHead

#: Where a view may leave, in a request's environ, why it refused: for the access log.
REFUSAL: Final = "echo.refusal"

#: Where a request's environ has the scheme by which the client came, if a trusted proxy says it.
SCHEME: Final = "echo.scheme"
#: Where it may leave the name of the exception class, for those who count refusals.
REFUSAL_CLASS: Final = "echo.refusal-class"

#: Where a request's environ has its RequestHead.
HEAD: Final = "echo.head"

#: Seconds to read on after the last response, so that the peer gets it (see Channel.finish).
LINGER: Final = 2.0

#: The header fields that WSGI calls otherwise than ``HTTP_`` and their name (PEP 3333).
_CGI_NAMES: Final = {"CONTENT_TYPE", "CONTENT_LENGTH"}

Environ = dict[str, Any]


def peer_of(environ: Environ) -> str:
    """Who has sent a request, ``host:port`` or the host alone, an IPv6 host in brackets."""
    return _peer(environ["REMOTE_ADDR"], environ["REMOTE_PORT"])


def _peer(host: str, port: str) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


#: The input of every request: no request has a body here.
_NO_BODY: Final = Input(BytesIO(), 0)  # type: ignore[arg-type]


class HTTPHandler(WebSocketHandler):  # type: ignore[misc]  # gevent-websocket has no types
    """Serves the requests of one connection, one after the other."""

    environ: Environ | None

    def __init__(self, sock: gevent_socket.socket, address: Any, server: Any) -> None:
        # pywsgi's own constructor opens a buffered reader, for which there is no use here.
        self.client_address = address
        self.server = server
        self.channel = server.make_channel(sock)
        self.wsgi_input = _NO_BODY
        self._parser = HeadParser()

    @property
    def peer(self) -> str:
        """The address of the socket's other end, a proxy's if there is one, as ``peer_of``."""
        return _peer(*map(str, self.client_address[:2]))

    def handle(self) -> None:
        """Answer requests until one of both sides has enough. Called by the server."""
        limits = self.server.limits
        try:
            more = self._take_request()
            while more:
                self.handle_one_response()
                more = not self.close_connection and self._take_request(limits.keep_alive_timeout)
        except RequestError as error:
            self.refuse(error)
        except SSLError as error:
            reason = (error.reason or "failed").replace("_", " ").lower()
            self.server.log.write(Notice(f"{self.peer} TLS: {reason}"))
            self.server.watcher.refused("TLS")
            self.channel.finish(LINGER)
        except (OSError, Interrupted):
            self.channel.close()
        else:
            self.channel.finish(LINGER)
        finally:
            self.channel.close()
            # The environ knows its handler: without this the two would wait for the collector.
            self.environ = None

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
        lines = [f"HTTP/1.1 {error.status}", *(f"{name}: {value}" for name, value in headers)]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.log_refusal(error)
        try:
            self.channel.send([head, reason], LINGER)
        except (OSError, RequestError):
            self.channel.close()
        else:
            self.channel.finish(LINGER)

    def log_refusal(self, error: RequestError) -> None:
        """One line for a request that is refused before it is one, or a connection."""
        line = self._parser.line
        self.server.log.write(Answer(self.peer, line, error.status[:3], str(error)))
        self.server.watcher.refused(type(error).__name__)

    def _read_head(self, idle_timeout: float | None) -> RequestHead | None:
        """Wait for the head of a request; None at the end of the stream.

        It may take Limits.head_timeout from its first byte. Before that byte an idle connection is
        given ``idle_timeout`` seconds, then None is returned; the first request of a connection,
        without one, must be whole within Limits.head_timeout from now. Raises RequestError for a
        head that is not taken, RequestTimeout among them for one that is late.
        """
        head_timeout = self.server.limits.head_timeout
        head = self._parser.feed(b"")
        idle = idle_timeout is not None and not self._parser.started
        deadline = monotonic() + (idle_timeout if idle and idle_timeout else head_timeout)
        while head is None:
            try:
                size = self.channel.receive(max(0.0, deadline - monotonic()))
            except TimeoutError:
                if idle:
                    return None
                reason = f"the request did not come within {head_timeout:g} s"
                raise RequestTimeout(reason) from None
            if not size:
                return None
            if idle:
                idle = False
                deadline = monotonic() + head_timeout
            head = self._parser.feed(receive_buffer[:size])
        return head

    def _take_request(self, idle_timeout: float | None = None) -> bool:
        """Wait for a request and make it the one to answer; False when none came. As _read_head."""
        head = self._read_head(idle_timeout)
        if head is None:
            return False
        self.requestline = head.line
        self.command = head.method
        self.request_version = f"HTTP/{head.version}"
        self.close_connection = not head.keep_alive
        self.environ = self._make_environ(head)
        self.application = self.server.application
        return True

    def _make_environ(self, head: RequestHead) -> Environ:
        """The request's WSGI environ (PEP 3333)."""
        environ: Environ = self.server.get_environ()
        environ[HEAD] = head
        path, _, query = head.target.partition("?")
        environ.update(
            REQUEST_METHOD=head.method,
            SCRIPT_NAME="",
            PATH_INFO=unquote_to_bytes(path).decode("latin-1"),
            QUERY_STRING=query,
            SERVER_PROTOCOL=self.request_version,
            REMOTE_ADDR=str(self.client_address[0]),
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
        return environ

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
            self.server.error_log.write("".join(format_exception(t, v, tb)))
        self._send_error_response_if_possible(500)

    def log_request(self) -> None:
        """One line for each request; pywsgi calls it when the request is done."""
        status = (self._orig_status or "-").split()[0]
        environ = self.environ or {}
        peer = peer_of(environ) if environ else self.peer
        answer = Answer(peer, self.requestline, status, environ.get(REFUSAL, ""))
        self.server.log.write(answer)
        if answer.event == "refused":
            self.server.watcher.refused(environ.get(REFUSAL_CLASS, status))
