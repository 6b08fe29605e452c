"""RFC 6455, section 4.2: what a server asks of an opening handshake and what it answers."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Final

from echo.protocol.deflate import DeflateParameters, DeflatePolicy
from echo.protocol.errors import (
    BadRequest,
    HandshakeError,
    HTTPVersionNotSupported,
    MethodNotAllowed,
    UpgradeRequired,
)
from echo.protocol.excerpts import quoted
from echo.protocol.extensions import parse_extensions
from echo.protocol.http_head import RequestHead
from echo.protocol.lost_fields import CURES, blame, is_handshake
from echo.protocol.origins import Origin, check_origin
from echo.protocol.rfc6455 import GUID, KEY_BYTES, VERSION
from echo.protocol.rfc9110 import OWS, TOKEN

_TOKEN: Final = re.compile(TOKEN)


@dataclass(frozen=True, slots=True)
class HandshakePolicy:
    """What the server chooses.

    Attributes:
        subprotocols: the ones it speaks; None for any, so that the client's first is chosen.
        origins: the foreign origins that it lets in, as read_origin reads them; None for all.
        deflate: how it compresses; None for not at all.
    """

    subprotocols: Sequence[str] | None = None
    origins: Sequence[Origin | str] | None = ()
    deflate: DeflatePolicy | None = None


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """The accepted handshake: what the 101 response says (section 4.2.2)."""

    accept: str
    subprotocol: str | None = None
    deflate: DeflateParameters | None = None

    def headers(self) -> list[tuple[str, str]]:
        """The response's header fields."""
        fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", self.accept),
        ]
        if self.subprotocol is not None:
            fields.append(("Sec-WebSocket-Protocol", self.subprotocol))
        if self.deflate is not None:
            fields.append(("Sec-WebSocket-Extensions", str(self.deflate)))
        return fields


def accept_value(key: str) -> str:
    """Section 4.2.2, step 5.4: the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return b64encode(sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()


def negotiate(
    head: RequestHead, policy: HandshakePolicy, *, host: str | None, scheme: str | None
) -> HandshakeResponse:
    """Check an opening handshake (section 4.2.1) and choose the answer (4.2.2).

    ``host`` and ``scheme``: by which the client came, which behind a proxy the head does not say;
    a scheme of None is not known. Raises HandshakeError, in the subclass that carries the HTTP
    status of the refusal.
    """
    _check_upgrade(head)
    # 4.2.1, 5. A Sec-WebSocket-Key of 16 bytes
    key = head.field("sec-websocket-key")
    if key is None:
        raise _lacking(BadRequest, head, "Sec-WebSocket-Key", "16 random bytes in base64")
    key = _checked_key(key.strip(OWS))
    # 4.2.1, 7. Optionally, an Origin
    if policy.origins is not None:
        check_origin(head, policy.origins, host, scheme)
    # 4.2.1, 8. Optionally, subprotocols
    offers = _offers(head.field("sec-websocket-protocol"))
    subprotocol = _choose_subprotocol(offers, policy.subprotocols)
    # 4.2.1, 9. Optionally, extensions
    deflate = None
    extensions = head.field("sec-websocket-extensions")
    if extensions is not None:
        offered = parse_extensions(extensions)
        if policy.deflate is not None:
            deflate = DeflateParameters.agree(offered, policy.deflate)
    return HandshakeResponse(accept_value(key), subprotocol, deflate)


def _check_upgrade(head: RequestHead) -> None:
    """Whether a request asks for a WebSocket of our version at all. Raises HandshakeError."""
    # 4.2.1, 1. An HTTP/1.1 or higher GET request
    if head.method != "GET":
        raise MethodNotAllowed("The opening handshake of a WebSocket is a GET request.")
    if "websocket" not in head.elements("upgrade"):
        raise _lacking(UpgradeRequired, head, "Upgrade", "websocket")
    if "upgrade" not in head.elements("connection"):
        raise _lacking(UpgradeRequired, head, "Connection", "Upgrade")
    if head.version != "1.1":
        raise HTTPVersionNotSupported(
            "The opening handshake of a WebSocket needs HTTP/1.1, and this is HTTP/1.0, which some "
            "proxies speak to the servers behind them.",
            CURES,
        )
    # 4.2.1, 6. A Sec-WebSocket-Version with the value 13
    version = head.field("sec-websocket-version")
    if version is None:
        raise _lacking(UpgradeRequired, head, "Sec-WebSocket-Version", VERSION)
    if version.strip(OWS) != VERSION:
        raise UpgradeRequired(f"Sec-WebSocket-Version is {quoted(version)}; use 13.")


def is_token(text: str) -> bool:
    """Whether a text is a token (RFC 9110, section 5.6.2), as a subprotocol's name must be."""
    return _TOKEN.fullmatch(text) is not None


def _lacking(
    error: type[HandshakeError], head: RequestHead, name: str, value: str
) -> HandshakeError:
    """The refusal of a request that lacks a field of the handshake, or the value in it."""
    wanted = f"'{name}: {value}'"
    found = head.field(name.lower())
    if not is_handshake(head):
        return error(f"This is a WebSocket: the request lacks {wanted}.")
    if found is None:
        fault = f"The request lacks {wanted}."
    else:
        fault = f"The request has {quoted(f'{name}: {found}')} instead of {wanted}."
    return error(f"{fault} {blame(head)}", CURES)


def _checked_key(key: str) -> str:
    """The Sec-WebSocket-Key, once it has been found to be one. Raises BadRequest."""
    if "," in key:
        raise BadRequest(f"Sec-WebSocket-Key must appear once, with one value, not {quoted(key)}.")
    try:
        nonce = b64decode(key, validate=True)
    except (Base64Error, ValueError):
        raise BadRequest(
            f"Sec-WebSocket-Key {quoted(key)} is not base64: send {KEY_BYTES} random bytes, "
            "encoded, and nothing around them."
        ) from None
    if len(nonce) != KEY_BYTES:
        raise BadRequest(
            f"Sec-WebSocket-Key {quoted(key)} encodes {len(nonce)} bytes: send {KEY_BYTES} random "
            "bytes."
        )
    return key


def _offers(field: str | None) -> list[str]:
    """The subprotocols that a client offers, in its order of preference. Raises BadRequest."""
    if field is None:
        return []
    # RFC 9110, section 5.6.1: empty elements of a list are passed over, and there may be no other.
    offers = [offer for element in field.split(",") if (offer := element.strip(OWS))]
    seen: set[str] = set()
    for offer in offers:
        if not is_token(offer):
            raise BadRequest(
                f"Sec-WebSocket-Protocol: {quoted(offer)} is not a token, which has letters, "
                "digits and !#$%&'*+-.^_`|~ only."
            )
        # Section 4.1, requirement 10 of the client: all are unique.
        if offer in seen:
            raise BadRequest(f"Sec-WebSocket-Protocol offers {quoted(offer)} twice: offer it once.")
        seen.add(offer)
    return offers


def _choose_subprotocol(offers: list[str], spoken: Sequence[str] | None) -> str | None:
    """The first subprotocol that the client offers and the server speaks."""
    for offer in offers:
        if spoken is None or offer in spoken:
            return offer
    return None
