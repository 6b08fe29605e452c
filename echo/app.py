"""The Flask application: the routes and what they answer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from flask import Blueprint, Flask, Response, abort, jsonify, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.http import parse_date, parse_etags, parse_if_range_header, parse_range_header

from echo import answers
from echo.handlers import Handlers
from echo.logs import MessageLog
from echo.metrics_files import MetricsLost
from echo.net.http import Exchange
from echo.net.records import Record
from echo.net.registry import Registry, is_id
from echo.net.upgrade import is_accepting
from echo.settings import Settings

_ROOT: Final = Path(__file__).resolve().parent.parent

#: Fields that a recipient ignores where nothing can be made of them (RFC 9110, sections 13.1 and
#: 14.2), as WSGI calls them, and what Werkzeug reads them with: it raises at some values.
_READ_WITH: Final[dict[str, Callable[[str], object]]] = {
    "HTTP_IF_MATCH": parse_etags,
    "HTTP_IF_MODIFIED_SINCE": parse_date,
    "HTTP_IF_NONE_MATCH": parse_etags,
    "HTTP_IF_RANGE": parse_if_range_header,
    "HTTP_IF_UNMODIFIED_SINCE": parse_date,
    "HTTP_RANGE": parse_range_header,
}

#: What to tell whoever asks for a connection that is not known: without shared records, and with.
_UNKNOWN_HERE: Final = (
    "This process knows no connection of that id; another one may, if there are several."
)
_UNKNOWN: Final = "No process knows a connection of that id, or it was forgotten."


class _Service(Flask):
    """Flask without what looks, several times a request, for views that are ``async``: none is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


class SharedRecords(Protocol):
    """The records of connections of all processes."""

    def find(self, connection_id: str) -> Record | None:
        """The record; None for an unknown id. Raises OSError when nobody can say now."""


class MetricsPage(Protocol):
    """What /metrics shows."""

    def page(self, accept: str) -> tuple[bytes, str]:
        """The figures in the format that an Accept field asks for, and their content type.

        Raises MetricsLost.
        """


@dataclass(frozen=True, slots=True)
class Sources:
    """What the pages show: ``records`` and ``metrics`` are None where there are none."""

    registry: Registry
    records: SharedRecords | None = None
    metrics: MetricsPage | None = None


def create_app(settings: Settings, sources: Sources | None = None) -> Flask:
    """The whole application by itself, for WSGI tools: its WebSockets are refused with 501."""
    # On a server of another kind no request becomes a WebSocket: there are no messages to log.
    handlers = Handlers(settings, MessageLog(None))
    app = create_pages(handlers, Sources(Registry()) if sources is None else sources)
    app.wsgi_app = handlers.in_front_of(app.wsgi_app)  # type: ignore[assignment,method-assign]
    return app


def create_pages(handlers: Handlers, sources: Sources) -> Flask:
    """What answers everything that is no WebSocket: the routes under /ws, ``/``, the probes."""
    app = _Service(
        __name__, template_folder=str(_ROOT / "templates"), static_folder=str(_ROOT / "static")
    )
    app.register_blueprint(_below_ws(handlers, sources))
    app.add_url_rule("/", "index", _index)
    app.add_url_rule("/healthz", "healthz", _healthz)
    app.add_url_rule("/readyz", "readyz", _readyz)
    if sources.metrics is not None:
        app.add_url_rule("/metrics", "metrics", partial(_metrics, sources.metrics))
    app.url_map.merge_slashes = False
    for endpoint in ("ws.echo", "ws.inspect"):
        for rule in app.url_map.iter_rules(endpoint):
            # Werkzeug adds HEAD wherever there is GET; a WebSocket has neither head nor body.
            rule.methods = {"GET"}
    app.before_request(_refuse_leading_slashes)
    app.before_request(_ignore_unreadable_fields)
    answers.register(app)
    return app


def _below_ws(handlers: Handlers, sources: Sources) -> Blueprint:
    """The routes under the prefix /ws."""
    routes = Blueprint("ws", __name__, url_prefix="/ws")
    # Werkzeug keeps apart the rules for WebSocket requests and for others.
    for websocket in (False, True):
        for path in ("/echo", "/inspect"):
            routes.add_url_rule(
                path,
                path.removeprefix("/"),
                _refuse,
                websocket=websocket,
                provide_automatic_options=False,
            )
    routes.add_url_rule("/echo_display", "echo_display", handlers.echo_display)
    routes.add_url_rule("/connections/<connection_id>", "connection", partial(_connection, sources))
    return routes


def _refuse() -> ResponseReturnValue:
    """``/ws/echo`` and ``/ws/inspect`` where the handshake is refused."""
    raise Exchange.of(request.environ).take_refused()


def _connection(sources: Sources, connection_id: str) -> ResponseReturnValue:
    """``/ws/connections/<id>``: what is known of a connection, open or over."""
    record = sources.registry.find(connection_id)
    records = sources.records
    if record is None and records is not None and is_id(connection_id):
        try:
            record = records.find(connection_id)
        except OSError:
            abort(503, "Records of other processes are unavailable now. Try again later.")
    if record is None:
        abort(404, _UNKNOWN_HERE if records is None else _UNKNOWN)
    response = jsonify(record.as_json())
    response.headers["Cache-Control"] = "no-store"
    return response


def _metrics(metrics: MetricsPage) -> ResponseReturnValue:
    """``/metrics``: the figures for Prometheus."""
    try:
        page, content_type = metrics.page(request.headers.get("Accept", ""))
    except MetricsLost as lost:
        abort(500, str(lost))
    return Response(page, content_type=content_type)


def _index() -> ResponseReturnValue:
    """``/``: to the page, relative to it: a proxy may serve this below a prefix of its own."""
    return redirect("ws/echo_display")


def _healthz() -> ResponseReturnValue:
    """``/healthz``: 200 while the process answers."""
    return Response("alive\n", content_type="text/plain; charset=utf-8")


def _readyz() -> ResponseReturnValue:
    """``/readyz``: 200 while new connections are taken, 503 at capacity and in the shutdown."""
    if not is_accepting(request.environ):
        return answers.plain_text(503, "This server takes no further connections for now.")
    return Response("ready\n", content_type="text/plain; charset=utf-8")


def _refuse_leading_slashes() -> None:
    """A path that begins with several slashes is another path, which Werkzeug does not tell."""
    if request.environ["PATH_INFO"].startswith("//"):
        abort(404)


def _ignore_unreadable_fields() -> None:
    """Leave out of the request what would only make the libraries underneath fail."""
    environ = request.environ
    for name, read in _READ_WITH.items():
        if name in environ:
            try:
                read(environ[name])
            except Exception:  # noqa: BLE001  # whatever it is, the field cannot be used
                del environ[name]
