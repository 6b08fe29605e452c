"""What the Flask application says besides its pages: refusals, errors, security headers."""

import re
from collections.abc import Sequence
from typing import Final

from flask import Flask, Response, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing.exceptions import WebsocketMismatch
from werkzeug.wrappers import Response as WerkzeugResponse

from echo import not_found
from echo.net.http import ID_FIELD, Exchange, peer_of
from echo.protocol.errors import ConnectionLost, HandshakeError, UpgradeRequired
from echo.protocol.excerpts import excerpt

#: Characters of the page's URL in a reason: the Host in it may be a whole header field.
_URL_EXCERPT: Final = 300

#: Strict-Transport-Security is not among them: browsers apply it to every port of a host name, so
#: one visit to https://localhost:8443 would break whatever else runs on localhost without TLS.
_SECURITY_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

#: The page needs its own script, style and pictures and its own WebSocket, and nothing else.
#: Before Safari 15.4 'self' did not cover WebSockets, so their sources are spelled out (``{0}``).
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'{0}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: A host with or without a port as the policy can name it (CSP Level 3, section 2.3.1).
_HOST_SOURCE: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?")


def register(app: Flask) -> None:
    """Install the error handlers and the security headers."""
    app.register_error_handler(HandshakeError, _refuse_upgrade)
    app.register_error_handler(WebsocketMismatch, _no_websocket_here)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ConnectionLost, _nobody_to_answer)
    app.after_request(_add_security_headers)


def plain_text(status: int, reason: str, cures: Sequence[str] = ()) -> Response:
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
    response = plain_text(error.status, reason, error.cures)
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
    return plain_text(404, _nothing_here())


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
    return plain_text(500, str(error))


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
