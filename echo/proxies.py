"""What trusted proxies say about a request: X-Forwarded-For, -Proto, -Host, -Port and -Prefix.

A client can send these fields itself. So only the value added by the outermost trusted proxy
counts, and only if it is well-formed.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication

from echo.net.http import Exchange, unmapped
from echo.protocol.origins import DEFAULT_PORTS, MAX_PORT, Origin

#: An address with or without a port, as proxies write it.
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<ipv4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?"
    r"|(?P<ipv6>[0-9A-Fa-f:.]+)"
)

#: Some proxies name the scheme of the WebSocket.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

_PORT: Final = re.compile("[0-9]{1,5}")

#: A path below which a proxy serves: segments of characters that need no encoding (RFC 3986, 3.3),
#: none of them ``.`` or ``..``. Two slashes at its beginning would make it another host's.
_PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,;=:@]+)+")

#: One without a default port.
_ANY_SCHEME: Final = "any"


class TrustedProxies:
    """WSGI middleware that shows the application the request as the client sent it.

    It sets REMOTE_ADDR and REMOTE_PORT (empty if the proxy names no port), HTTP_HOST,
    wsgi.url_scheme and SCRIPT_NAME, and host and scheme of the Exchange. A missing or malformed
    value leaves them as they are.
    """

    def __init__(self, application: WSGIApplication, hops: int) -> None:
        """``hops``: number of trusted proxies; each appends one value to each field."""
        self._application = application
        self._hops = hops

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """As in WSGI."""
        with suppress(ValueError):
            address = _address(self._value(environ, "HTTP_X_FORWARDED_FOR"))
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = address
        scheme = _SCHEMES.get(self._value(environ, "HTTP_X_FORWARDED_PROTO").lower(), "")
        if scheme:
            environ["wsgi.url_scheme"] = Exchange.of(environ).scheme = scheme
        with suppress(ValueError):
            port = self._value(environ, "HTTP_X_FORWARDED_PORT")
            host = _host(self._value(environ, "HTTP_X_FORWARDED_HOST"), port, scheme)
            environ["HTTP_HOST"] = Exchange.of(environ).host = host
        prefix = self._value(environ, "HTTP_X_FORWARDED_PREFIX").rstrip("/")
        if _PREFIX.fullmatch(prefix):
            environ["SCRIPT_NAME"] = prefix
            # Some proxies take it off the path, and some do not.
            path = environ["PATH_INFO"].removeprefix(prefix)
            if path.startswith("/"):
                environ["PATH_INFO"] = path
        return self._application(environ, start_response)

    def _value(self, environ: dict[str, Any], name: str) -> str:
        """The value that the outermost trusted proxy added to a field; empty if there is none.

        Every comma counts, behind an empty element and within quotation marks too. If elements
        were skipped or joined, the client could shift the count to a value of its own.
        """
        values: list[str] = environ.get(name, "").split(",")
        return values[-self._hops].strip(" \t") if len(values) >= self._hops else ""


def _host(host: str, port: str, scheme: str) -> str:
    """The host, with the port that it lacks unless that is the default one of the scheme.

    A malformed port does not count. Raises ValueError for a malformed host.
    """
    if Origin.parse(f"{_ANY_SCHEME}://{host}").port is None and _PORT.fullmatch(port):
        host = host.removesuffix(":")
        if 0 < int(port) <= MAX_PORT and int(port) != DEFAULT_PORTS.get(scheme):
            return f"{host}:{port}"
    return host


def _address(text: str) -> tuple[str, str]:
    """Host and port; the port is empty if there is none. Raises ValueError if malformed."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an address")
    port = match["port"] or ""
    if port and int(port) > MAX_PORT:
        raise ValueError(f"{text!r} has a port above {MAX_PORT}")
    host = match["bracketed"] or match["ipv4"] or match["ipv6"]
    return unmapped(str(ip_address(host))), port
