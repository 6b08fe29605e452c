"""Opening handshakes for the tests of negotiate: a good one, and what may be changed in it."""

from echo.protocol.handshake import HandshakePolicy, HandshakeResponse, negotiate
from echo.protocol.http_head import RequestHead

KEY = "x3JJHMbDL1EzLkh9GBhXDw=="

_FIELDS = {
    "upgrade": "Upgrade",
    "connection": "Connection",
    "version": "Sec-WebSocket-Version",
    "key": "Sec-WebSocket-Key",
    "origin": "Origin",
    "forwarded_host": "X-Forwarded-Host",
    "protocols": "Sec-WebSocket-Protocol",
    "extensions": "Sec-WebSocket-Extensions",
}
_GOOD = {"upgrade": "websocket", "connection": "Upgrade", "version": "13", "key": KEY}


def handshake(
    policy: HandshakePolicy | None = None,
    *,
    method: str = "GET",
    http_version: str = "1.1",
    host: str | None = "echo.example",
    scheme: str | None = None,
    **fields: str | None,
) -> HandshakeResponse:
    """Negotiate a good handshake with other ``fields``; one of None is left out."""
    values = {_FIELDS[name]: value for name, value in (_GOOD | fields).items() if value is not None}
    head = RequestHead.of(method, "/ws/echo", http_version, list(values.items()))
    return negotiate(head, policy or HandshakePolicy(), host=host, scheme=scheme)
