"""The handlers: the article's two, the echo and the page to try it, and what lets one look in."""

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import WSGIApplication

from echo.inspector.connection import inspect
from echo.logs import MessageLog
from echo.net.http import Environ, Exchange
from echo.net.upgrade import upgrade
from echo.protocol.errors import ConnectionLost, HandshakeError
from echo.protocol.rfc6455 import Opcode
from echo.proxies import TrustedProxies
from echo.settings import Settings


class Handlers:
    """The handlers and what they need."""

    def __init__(self, settings: Settings, message_log: MessageLog) -> None:
        """``message_log`` gets every message that arrives."""
        self.policy = settings.handshake_policy()
        self._show_credentials = settings.show_credentials
        self._trusted_proxies = settings.trust_proxy
        self.message_log = message_log

    def echo_message(self, environ: Environ) -> None:
        """``/ws/echo``: send every message back as it came."""
        with upgrade(environ, self.policy) as connection:
            while True:
                kind, message = connection.read_message()
                self.message_log.write(connection.peer, kind, message)
                connection.write_message(kind, message)
                del message  # while it waits, a connection keeps none

    def inspect_message(self, environ: Environ) -> None:
        """``/ws/inspect``: answer every message with what the server saw on the wire."""
        show = self._show_credentials
        with inspect(environ, self.policy, show_credentials=show) as inspector:
            connection = inspector.connection
            inspector.write_handshake_report()
            while True:
                event = connection.read_event()
                if isinstance(event, tuple) and event[0] in {Opcode.TEXT, Opcode.BINARY}:
                    self.message_log.write(connection.peer, *event)
                inspector.write_report(event)
                del event

    def echo_display(self) -> str:
        """``/ws/echo_display``: the page that talks to ``/ws/echo``."""
        from flask import render_template  # noqa: PLC0415  # keeps Flask out of the start

        return render_template("echo_display.html")

    def in_front_of(self, pages: WSGIApplication) -> WSGIApplication:
        """The WebSockets, in front of ``pages``, which answers everything else.

        As in gevent-websocket, a WebSocket does not go through the web framework: that would cost
        a handshake a quarter of its time, and an idle connection a tenth of its memory. A refused
        one does, and becomes an HTTP response there.
        """
        handlers = {"/ws/echo": self.echo_message, "/ws/inspect": self.inspect_message}

        def route(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            handler = handlers.get(environ["PATH_INFO"])
            if handler is not None:
                try:
                    handler(environ)
                except (HandshakeError, ConnectionLost) as refusal:
                    Exchange.of(environ).refused = refusal
                else:
                    return ()
            return pages(environ, start_response)

        if self._trusted_proxies:
            return TrustedProxies(route, self._trusted_proxies)
        return route
