"""Web origins (RFC 6454): which pages may open a WebSocket, and what the others are told.

Origins are compared as values, never as texts: ``http://localhost.evil.example`` is no page of this
machine, and ``https://a.example:443`` is one of ``https://a.example``.
"""

import re
from collections.abc import Container
from ipaddress import IPv6Address, ip_address
from shlex import quote
from typing import Final, NamedTuple, Self

from echo.protocol.errors import ForbiddenOrigin
from echo.protocol.excerpts import quoted
from echo.protocol.http_head import RequestHead
from echo.protocol.rfc9110 import OWS

#: The port that a web page's URL without one means (RFC 9110, section 4.2).
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

#: The largest number of a TCP port.
MAX_PORT: Final = 65535

#: RFC 6455, section 3: the schemes of WebSockets, and those of the pages that they belong to.
_PAGES: Final = {"ws": "http", "wss": "https"}

#: A serialized origin (RFC 6454, section 6.2): the host a name, an IPv4 or an IPv6 address.
_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+\-.]*)://(?:\[([0-9a-f]*:[0-9a-f:.]+)\]|([0-9a-z\-._]+))(?::([0-9]{0,5}))?"
)

#: What some clients send behind an origin: the rest of a URL.
_REST_OF_URL: Final = re.compile(r"(?<=[^/:])[/?#][^\s,]*\Z")

#: What only a page's Origin has in it: a page's scheme, or an opaque origin (RFC 6454, section 6).
_PAGE: Final = re.compile(r"(?:^|[\s,])(?:(?:https?|wss?):|null(?:$|[\s,]))", re.IGNORECASE)

#: One origin. Lists and patterns are none: whoever allowed one would wait for what never comes.
_ONE: Final = re.compile(r"[^\s,*]+")

#: Characters of an Origin or a Host that a reason repeats.
_EXCERPT: Final = 128

#: Bytes of an origin that a reason offers to allow: the longest host name and some more.
_LONGEST_OFFER: Final = 300


class Origin(NamedTuple):
    """A web origin (RFC 6454): equal when scheme, host and port are.

    ``ws`` and ``wss`` count as ``http`` and ``https``. The port is None where none is given and the
    scheme has no default, as in ``chrome-extension://ID``.
    """

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``scheme://host[:port]``, the default port filled in.

        Raises ValueError for anything else, the opaque origin ``null`` included.
        """
        match = _ORIGIN.fullmatch(text.lower())
        if match is None:
            raise ValueError(f"{text!r} is not scheme://host[:port]")
        scheme, address, name, digits = match.groups()
        scheme = _PAGES.get(scheme, scheme)
        port = int(digits) if digits else DEFAULT_PORTS.get(scheme)
        if port is not None and port > MAX_PORT:
            raise ValueError(f"{text!r} has a port above {MAX_PORT}")
        return cls(scheme, str(IPv6Address(address)) if address else name, port)

    def __str__(self) -> str:
        """The origin as a browser writes it, a default port left out."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """``host[:port]``, a default port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine's own: localhost and its subdomains, 127/8, ::1."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            address = ip_address(self.host)
        except ValueError:
            return False
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def read_origin(text: str) -> Origin | str:
    """The value by which an Origin is compared: in lower case where it is no web origin.

    Browsers send nothing behind the host and the port; of a whole URL they alone count.
    """
    try:
        return Origin.parse(text)
    except ValueError:
        pass
    try:
        return Origin.parse(_REST_OF_URL.sub("", text))
    except ValueError:
        return text.lower()


def check_allowable(text: str) -> None:
    """Raises ValueError for a text that is not one Origin, as ``*.example`` and ``a,b``."""
    if not text:
        raise ValueError("an origin is needed")
    if not text.isprintable():
        raise ValueError(f"{text!r} has a character that no origin has")
    if _ONE.fullmatch(text) is None:
        raise ValueError(
            f"{text!r} is not one origin: repeat the option for several; there are no patterns "
            "besides '*' for all"
        )


def check_origin(
    head: RequestHead, allowed: Container[Origin | str], host: str | None, scheme: str | None
) -> None:
    """RFC 6455, section 10.2: let a page of this service, of this machine or an ``allowed`` one in.

    ``host`` and ``scheme``: by which the client came, None where that is not known. So is a client
    that is no web page, which its Origin shows. Raises ForbiddenOrigin.
    """
    field = head.field("origin")
    if field is None:
        return
    text = _decoded(field.strip(OWS))
    origin = read_origin(text)
    if not _is_page(text, origin) or origin in allowed:
        return
    if isinstance(origin, str):
        raise ForbiddenOrigin(_reason(text, origin, "is not a web origin, scheme://host[:port]"))
    own = _own(origin, host, scheme)
    if own == origin or (own is not None and own.is_loopback and origin.is_loopback):
        return
    named = f"this request's host is {quoted(host or '', _EXCERPT)}"
    if own is None or own.host != origin.host:
        raise ForbiddenOrigin(_reason(text, origin, f"is another site: {named}"))
    raise ForbiddenOrigin(_mismatch(text, origin, own, head, host))


def _is_page(text: str, origin: Origin | str) -> bool:
    """Whether a web page could have sent this Origin."""
    if isinstance(origin, Origin):
        return origin.scheme in DEFAULT_PORTS
    return _PAGE.search(text) is not None


def _decoded(field: str) -> str:
    """The text of a field: UTF-8 where it can be that, as on the command line of the option."""
    if field.isascii():
        return field
    try:
        return field.encode("latin-1").decode()
    except UnicodeError:
        return field


def _own(origin: Origin, host: str | None, scheme: str | None) -> Origin | None:
    """The origin of this service's own page, None without a Host that has one.

    The scheme counts only where it is known: behind a proxy that ends TLS the server does not see
    it. A Host without a port means the default one of the scheme.
    """
    try:
        return Origin.parse(f"{scheme or origin.scheme}://{host}") if host is not None else None
    except ValueError:
        return None


def _mismatch(text: str, origin: Origin, own: Origin, head: RequestHead, host: str | None) -> str:
    """The reason where only scheme or port differ: a proxy in front has probably not passed it."""
    differences, fields = [], []
    if own.scheme != origin.scheme:
        differences.append("scheme")
        fields.append(f"X-Forwarded-Proto: {origin.scheme}")
    # A Host without a port has the default one of any scheme.
    bare = Origin.parse(f"any://{host}").port is None
    port = DEFAULT_PORTS.get(origin.scheme) if bare else own.port
    if port != origin.port:
        differences.append("port")
        by_itself = bare and "x-forwarded-host" in head.values
        fields.append(
            f"X-Forwarded-Port: {origin.port}"
            if by_itself
            else f"X-Forwarded-Host: {origin.authority}"
        )
    return _reason(
        text,
        origin,
        f"differs only in its {' and '.join(differences)} from this service's own, "
        f"{quoted(str(own), _EXCERPT)}",
        f"If a proxy is in front, have it send {' and '.join(fields)} and give the server "
        "--trust-proxy; otherwise start",
    )


def _reason(text: str, origin: Origin | str, fault: str, start: str = "Start") -> str:
    """What is wrong with an Origin, and the option that lets it in, ready to be pasted."""
    reason = f"Origin {quoted(text, _EXCERPT)} {fault}."
    if origin == "null":
        reason = "Origin 'null' is a local file's or a sandboxed page's, which may be anyone's."
    value = text if isinstance(origin, str) else str(origin)
    option = quote(value)
    try:
        check_allowable(value)
    except ValueError:
        return reason
    if len(option.encode("utf-8", "replace")) > _LONGEST_OFFER:
        return reason
    return f"{reason} {start} the server with --allow-origin {option}"
