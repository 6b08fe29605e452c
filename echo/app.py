"""The Flask application: routes, answers to errors, security headers."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.http import parse_date, parse_etags, parse_if_range_header, parse_range_header
from werkzeug.routing.exceptions import WebsocketMismatch
from werkzeug.wrappers import Response as WerkzeugResponse

from echo import not_found
from echo.handlers import Handlers, SharedRecords
from echo.logs import MessageLog
from echo.net.http import ID_FIELD, Exchange, peer_of
from echo.net.registry import Registry
from echo.net.upgrade import is_accepting
from echo.protocol.errors import ConnectionLost, HandshakeError, UpgradeRequired
from echo.protocol.excerpts import excerpt
from echo.proxies import TrustedProxies
from echo.settings import Settings

_ROOT: Final = Path(__file__).resolve().parent.parent

#: Characters of the page's URL in a reason: the Host in it may be a whole header field.
_URL_EXCERPT: Final = 300

#: The page needs its own script, style and pictures and its own WebSocket, and nothing else.
#: Strict-Transport-Security is not among them: browsers apply it to every port of a host name, so
#: one visit to https://localhost:8443 would break whatever else runs on localhost without TLS.
_SECURITY_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

#: Before Safari 15.4 'self' did not cover WebSockets, so their sources are spelled out (``{0}``).
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'{0}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: A host with or without a port as the policy can name it (CSP Level 3, section 2.3.1).
_HOST_SOURCE: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?")

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


class _Service(Flask):
    """Flask without what looks, several times a request, for views that are ``async``: none is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


def create_app(
    settings: Settings,
    message_log: MessageLog | None = None,
    registry: Registry | None = None,
    records: SharedRecords | None = None,
    metrics_page: Callable[[], ResponseReturnValue] | None = None,
) -> Flask:
    """The application: the article's routes under /ws, ``/`` that leads to the page.

    ``message_log`` gets every message that arrives; ``registry`` is the one of the server that the
    application is for; ``records`` are those of all processes, None if they share none;
    ``metrics_page``: the view of /metrics, None for no such route.
    """
    app = _Service(
        __name__, template_folder=str(_ROOT / "templates"), static_folder=str(_ROOT / "static")
    )
    registry = Registry() if registry is None else registry
    message_log = MessageLog(None) if message_log is None else message_log
    handlers = Handlers(
        settings.handshake_policy(), message_log, registry, records, settings.show_credentials
    )
    app.register_blueprint(handlers.blueprint())
    app.add_url_rule("/", "index", _index)
    app.add_url_rule("/healthz", "healthz", _healthz)
    app.add_url_rule("/readyz", "readyz", _readyz)
    if metrics_page is not None:
        app.add_url_rule("/metrics", "metrics", metrics_page)
    app.url_map.merge_slashes = False
    for endpoint in ("ws.echo", "ws.inspect"):
        for rule in app.url_map.iter_rules(endpoint):
            # Werkzeug adds HEAD wherever there is GET; a WebSocket has neither head nor body.
            rule.methods = {"GET"}
    app.before_request(_refuse_leading_slashes)
    app.before_request(_ignore_unreadable_fields)
    app.register_error_handler(HandshakeError, _refuse_upgrade)
    app.register_error_handler(WebsocketMismatch, _no_websocket_here)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ConnectionLost, _nobody_to_answer)
    app.after_request(_add_security_headers)
    application = handlers.websockets(app.wsgi_app)
    if settings.trust_proxy:
        application = TrustedProxies(application, settings.trust_proxy)
    app.wsgi_app = application  # type: ignore[assignment,method-assign]
    return app


def _index() -> ResponseReturnValue:
    """``/``: to the page, relative to it: a proxy may serve this below a prefix of its own."""
    return redirect("ws/echo_display")


def _healthz() -> ResponseReturnValue:
    """``/healthz``: 200 while the process answers."""
    return Response("alive\n", content_type="text/plain; charset=utf-8")


def _readyz() -> ResponseReturnValue:
    """``/readyz``: 200 while new connections are taken, 503 at capacity and in the shutdown."""
    if not is_accepting(request.environ):
        return _plain_text(503, "This server takes no further connections for now.")
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


def _plain_text(status: int, reason: str, cures: Sequence[str] = ()) -> Response:
    """A response with a reason for a person, which also goes to the access log."""
    lines = [
        reason,
        *(["Lines that make a proxy keep it:"] if cures else []),
        *(f"  {cure}" for cure in cures),
        "",
    ]
    response = Response("\n".join(lines), status, content_type="text/plain; charset=utf-8")
    _remember_refusal(response, reason, cures)
    return response


def _remember_refusal(response: WerkzeugResponse, reason: str, cures: Sequence[str] = ()) -> None:
    """Note why a request is refused, for the access log, and for whoever asks by its id."""
    environ = request.environ
    exchange = Exchange.of(environ)
    exchange.refusal = reason
    if exchange.handler is not None:
        status = response.status_code
        refused_id = exchange.handler.remember_refusal(
            exchange.head, peer=peer_of(environ), status=status, reason=reason, cures=cures
        )
        if refused_id is not None:
            response.headers[ID_FIELD] = refused_id


def _refuse_upgrade(error: HandshakeError) -> ResponseReturnValue:
    """Section 4.2.2 of RFC 6455: an HTTP response with an appropriate error code."""
    reason = str(error)
    Exchange.of(request.environ).refused_as = type(error).__name__
    if isinstance(error, UpgradeRequired) and not error.cures:
        reason = f"{reason} To try it in a browser, open {excerpt(_page_link(), _URL_EXCERPT)}"
    response = _plain_text(error.status, reason, error.cures)
    response.headers.extend(error.headers)
    return response


def _page_link() -> str:
    """The page's address as the client sees it; its path alone where the Host has no name.

    Flask makes addresses only of hosts that it thinks well of: not of ``my_service``.
    """
    path = url_for("ws.echo_display")
    host = (Exchange.of(request.environ).host or "").removesuffix(":")
    return f"{request.scheme}://{host}{path}" if host.partition(":")[0] else path


def _nothing_here() -> str:
    """What to tell about a path where nothing is, or no WebSocket."""
    head = Exchange.of(request.environ).head
    return not_found.reason(
        request.path,
        request.environ["QUERY_STRING"],
        upgrade="websocket" in head.elements("upgrade"),
        websocket=url_for("ws.echo"),
        page=url_for("ws.echo_display"),
    )


def _cut_loose(error: Exception) -> None:
    """Break the circle of a request and what went wrong with its route, whose traceback leads back.

    So nothing is left to the garbage collector, which comes rarely.
    """
    error.__traceback__ = error.__context__ = None


def _no_websocket_here(error: WebsocketMismatch) -> ResponseReturnValue:
    """An upgrade request to a page."""
    _cut_loose(error)
    return _plain_text(404, _nothing_here())


def _http_error(error: HTTPException) -> WerkzeugResponse:
    """A redirect as it is; an error as plain text with its own header fields."""
    _cut_loose(error)
    response = error.get_response(request.environ)
    if response.status_code >= 400:
        unknown_path = isinstance(error, NotFound) and error.description == NotFound.description
        reason = f"{error.name}: {_nothing_here() if unknown_path else error.description}"
        _remember_refusal(response, reason)
        response.set_data(f"{reason}\n")
        response.content_type = "text/plain; charset=utf-8"
    return response


def _nobody_to_answer(error: ConnectionLost) -> ResponseReturnValue:
    """The peer went away during the handshake."""
    return _plain_text(500, str(error))


def _add_security_headers(response: Response) -> Response:
    """Say what a browser may do with what it got, and that no cache may keep an error."""
    response.headers.update(_SECURITY_HEADERS)
    host = (Exchange.of(request.environ).host or "").removesuffix(":")
    sources = f" ws://{host} wss://{host}" if _HOST_SOURCE.fullmatch(host) else ""
    response.headers["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY.format(sources)
    if response.status_code >= 400:
        # A cache may keep a 404, 405 or 501 that says nothing (RFC 9110, section 15.1).
        response.headers["Cache-Control"] = "no-store"
    return response
