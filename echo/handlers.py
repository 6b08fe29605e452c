"""The handlers: the article's two, the echo and the page to try it, and what lets one look in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from flask import Blueprint, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from echo.inspector.connection import inspect
from echo.logs import MessageLog
from echo.net.http import Environ, Exchange
from echo.net.records import Record
from echo.net.registry import Registry, is_id
from echo.net.upgrade import upgrade
from echo.protocol.errors import ConnectionLost, HandshakeError
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.rfc6455 import Opcode

WSGIApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

#: What to tell whoever asks for a connection that is not known: without shared records, and with.
_UNKNOWN_HERE: Final = (
    "This process knows no connection of that id; another one may, if there are several."
)
_UNKNOWN: Final = "No process knows a connection of that id, or it was forgotten."


class SharedRecords(Protocol):
    """The records of connections of all processes."""

    def find(self, connection_id: str) -> Record | None:
        """The record; None for an unknown id. Raises OSError when nobody can say now."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers and what they need."""

    policy: HandshakePolicy
    message_log: MessageLog
    registry: Registry
    records: SharedRecords | None
    show_credentials: bool = False

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
        show = self.show_credentials
        with inspect(environ, self.policy, show_credentials=show) as inspector:
            connection = inspector.connection
            inspector.write_handshake_report()
            while True:
                event = connection.read_event()
                if isinstance(event, tuple) and event[0] in {Opcode.TEXT, Opcode.BINARY}:
                    self.message_log.write(connection.peer, *event)
                inspector.write_report(event)
                del event

    def refuse(self) -> ResponseReturnValue:
        """``/ws/echo`` and ``/ws/inspect`` where the handshake is refused."""
        raise Exchange.of(request.environ).take_refused()

    def echo_display(self) -> ResponseReturnValue:
        """``/ws/echo_display``: the page that talks to ``/ws/echo``."""
        return render_template("echo_display.html")

    def connection(self, connection_id: str) -> ResponseReturnValue:
        """``/ws/connections/<id>``: what is known of a connection, open or over."""
        record = self.registry.find(connection_id)
        if record is None and self.records is not None and is_id(connection_id):
            try:
                record = self.records.find(connection_id)
            except OSError:
                abort(503, "Records of other processes are unavailable now. Try again later.")
        if record is None:
            abort(404, _UNKNOWN_HERE if self.records is None else _UNKNOWN)
        response = jsonify(record.as_json())
        response.headers["Cache-Control"] = "no-store"
        return response

    def websockets(self, application: WSGIApplication) -> WSGIApplication:
        """The WebSockets, in front of ``application``, which answers everything else.

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
            return application(environ, start_response)

        return route

    def blueprint(self) -> Blueprint:
        """The routes of Flask, under the prefix /ws."""
        routes = Blueprint("ws", __name__, url_prefix="/ws")
        # Werkzeug keeps apart the rules for WebSocket requests and for others.
        for websocket in (False, True):
            for path in ("/echo", "/inspect"):
                routes.add_url_rule(
                    path,
                    path.removeprefix("/"),
                    self.refuse,
                    websocket=websocket,
                    provide_automatic_options=False,
                )
        routes.add_url_rule("/connections/<connection_id>", "connection", self.connection)
        routes.add_url_rule("/echo_display", "echo_display", self.echo_display)
        return routes
