"""What trusted proxies say of a request: X-Forwarded-For, -Proto and -Host, by Werkzeug's ProxyFix.

A client can send these fields itself. So each is believed only in the value that the outermost of
the trusted proxies has put there, and only if it is in the form that it should have.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication

from werkzeug.middleware.proxy_fix import ProxyFix

from echo.net.http import Exchange
from echo.protocol.handshake import Origin

#: The fields, as WSGI calls them.
_FIELDS: Final[tuple[str, ...]] = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
)

#: An address with or without a port, as proxies write it.
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<ipv4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?"
    r"|(?P<ipv6>[0-9A-Fa-f:.]+)"
)


class TrustedProxies:
    """A WSGI application that shows another one the request as the client has sent it.

    What it believes is in the request's environ: REMOTE_ADDR and REMOTE_PORT (empty where the
    proxy says no port), HTTP_HOST and wsgi.url_scheme; host and scheme are in its Exchange too.
    What is missing or malformed stays as the socket and the request have it.
    """

    def __init__(self, application: WSGIApplication, hops: int) -> None:
        """``hops``: how many proxies are trusted; each adds a value to each field."""
        self._application = application
        self._believe = ProxyFix(_nothing, x_for=hops, x_proto=hops, x_host=hops)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """As in WSGI."""
        # ProxyFix reads the fields by themselves: what is there afterwards, a proxy has said. A
        # quotation mark of the client's would swallow what the proxies have appended.
        said = {name: environ[name].replace('"', "") for name in _FIELDS if name in environ}
        self._believe(said, start_response)
        with suppress(KeyError, ValueError):
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = _address(said["REMOTE_ADDR"])
        scheme = said.get("wsgi.url_scheme", "").lower()
        if scheme in {"http", "https"}:
            environ["wsgi.url_scheme"] = Exchange.of(environ).scheme = scheme
        with suppress(KeyError, ValueError):
            Origin.parse(f"http://{said['HTTP_HOST']}")
            environ["HTTP_HOST"] = Exchange.of(environ).host = said["HTTP_HOST"]
        return self._application(environ, start_response)


def _address(text: str) -> tuple[str, str]:
    """Host and port, the port empty if there is none. Raises ValueError for what is no address."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an address")
    host = match["bracketed"] or match["ipv4"] or match["ipv6"]
    return str(ip_address(host)), match["port"] or ""


def _nothing(_: dict[str, Any], __: StartResponse) -> Iterable[bytes]:
    """The application that ProxyFix calls."""
    return ()
