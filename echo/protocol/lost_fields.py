"""What a proxy has dropped of an opening handshake, and the configuration that keeps it.

Upgrade and Connection are for one connection alone (RFC 9110, section 7.6.1), so a proxy hands
them on only if it is told to. The client sees nothing of that, and blames the server.
"""

from typing import Final

from echo.protocol.excerpts import excerpt
from echo.protocol.http_head import RequestHead

#: Fields by which a proxy is known, in lower case.
_OF_PROXIES: Final = ("via", "forwarded", "x-real-ip")
_OF_PROXIES_PREFIX: Final = "x-forwarded-"

#: Characters of a field that names a proxy.
_SIGN_EXCERPT: Final = 60

#: What keeps an upgrade on its way through a proxy, each with the name of the proxy.
CURES: Final = (
    "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;",
    'nginx: proxy_set_header Connection "upgrade";',
    "HAProxy: mode http",
    "HAProxy: timeout tunnel 1h",
    "Apache: ProxyPass /ws/ http://BACKEND/ws/ upgrade=websocket",
    "Apache before 2.4.47, with mod_proxy_wstunnel: ProxyPass /ws/ ws://BACKEND/ws/",
)


def is_handshake(head: RequestHead) -> bool:
    """Whether the client has asked for a WebSocket, whatever has become of it on the way."""
    return any(name.startswith("sec-websocket-") for name in head.values) or (
        "websocket" in head.elements("upgrade")
    )


def sign_of_proxy(head: RequestHead) -> str | None:
    """What shows that a request came through a proxy; None for nothing."""
    if head.version == "1.0":
        return "HTTP/1.0"
    for name, value in head.fields:
        if name.lower() in _OF_PROXIES or name.lower().startswith(_OF_PROXIES_PREFIX):
            return excerpt(f"{name}: {value}", _SIGN_EXCERPT)
    return None


def blame(head: RequestHead) -> str:
    """Who has probably dropped a field of a handshake: a sentence."""
    sign = sign_of_proxy(head)
    if sign is None:
        return "Either the client has not sent that, or a proxy on the way has dropped it."
    return f"A proxy on the way has dropped it, to judge by {sign}."
