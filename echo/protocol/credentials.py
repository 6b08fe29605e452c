"""Credentials in the header fields of a handshake: which values they are and what replaces them.

A page's script must not learn what its browser or a proxy added to its request, such as HttpOnly
cookies and passwords; RFC 9110, section 9.3.8, asks the same of TRACE.
"""

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Final

#: Fields of the handshake itself, never credentials as a whole, and the one whose elements may be.
_HANDSHAKE_FIELDS: Final = "sec-websocket-"
_SUBPROTOCOL_FIELD: Final = "sec-websocket-protocol"

#: An element of the list in that field.
_ELEMENT: Final = re.compile(r"[^, \t]+")

#: Offers of subprotocols that are looked at: nobody has as many, and a head has room for thousands.
_MOST_OFFERS: Final = 200

#: What is shown of the others.
_NOT_LOOKED_AT: Final = "(not shown)"

#: Bytes of the hash that replaces a credential.
_HASH_SIZE: Final = 4

#: A name with one of these in it is that of a credential.
_NAMES: Final = re.compile(
    r"""
      authorization | authenticat(?:e|ion)(?![a-z]) | cookie | credential | jwt
    | passphrase | passw | secret | session | signature | token
    | (?:auth|keys?)(?![a-z])       # at the end of a word: X-Auth-User, X-Api-Key, Apikey
    | (?<![a-z])(?:assertion|otp|pass|pwd|sid|sign)(?![a-z])
    | ^x-amzn-oidc-data$            # a user's claims, signed by a load balancer of AWS
    | ^x-origin-verify$             # by which CloudFront is known to its origin
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Each pattern below has two groups: what is shown, and what is replaced.

_WHOLE: Final = (re.compile("()(.+)"),)

#: Credentials under other names: what Authorization would have, and JSON in base64, as in a JWT.
_VALUES: Final = (
    re.compile(r"((?:basic|bearer|dpop|negotiate|ntlm|token) +)(\S{8,})", re.IGNORECASE),
    re.compile(r"(.*?(?<![A-Za-z0-9]))(eyJ[\w+/-]{10,}.*)"),
)

#: What announces a token in a subprotocol, which is the only field that a script can set.
_ANNOUNCEMENT: Final = (
    "(?:auth|authorization|bearer|credentials?|jwt|passw(?:or)?d|secret|token|api[-_.]?key)"
)
_ANNOUNCES_NEXT: Final = re.compile(f".*{_ANNOUNCEMENT}", re.IGNORECASE)

#: Subprotocols that carry a token: those of Kubernetes and Jupyter, then of any kind.
_SUBPROTOCOLS: Final = (
    re.compile(r"(base64url\.bearer\.authorization\.k8s\.io\.?)(.*)"),
    re.compile(r"(v1\.token\.websocket\.jupyter\.org\.?)(.*)"),
    re.compile(rf"(.*?{_ANNOUNCEMENT}[^a-z0-9])(.+)", re.IGNORECASE),
    re.compile(r"(.*?(?<![A-Za-z0-9]))(eyJ[\w+-]{10,}.*)"),
    # 32 and more characters without a dot, letters and digits: names of subprotocols have none
    re.compile(r"((?:.*?\.)??)((?=[^.]*[0-9])(?=[^.]*[A-Za-z])[^.]{32,}.*)"),
)


class Redactor:
    """Replaces the credentials in a handshake's header fields by their length and a hash.

    Equal values of one field have equal hashes. ``key``: of the hash, at most 64 bytes. It should
    be random and used for one handshake alone: then nobody can find a short password by trying,
    neither by himself nor by sending guesses.
    """

    def __init__(self, request: Iterable[tuple[str, str]], key: bytes) -> None:
        """``request``: the request's fields, which tell what its subprotocols carry."""
        self._key = key
        self._subprotocols: dict[str, str] = {}
        patterns: Sequence[re.Pattern[str]] = _SUBPROTOCOLS
        offers = (
            offer[0]
            for name, value in request
            if name.lower() == _SUBPROTOCOL_FIELD
            for offer in _ELEMENT.finditer(value)
        )
        for offer in islice(offers, _MOST_OFFERS):
            shown = self._replace(_SUBPROTOCOL_FIELD, offer, patterns)
            self._subprotocols[offer] = shown
            announced = shown == offer and _ANNOUNCES_NEXT.fullmatch(offer)
            patterns = _WHOLE if announced else _SUBPROTOCOLS

    def redact(self, fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The same fields of the request or of its response, without credentials."""
        return [(name, self._value(name.lower(), value)) for name, value in fields]

    def _value(self, name: str, value: str) -> str:
        if name == _SUBPROTOCOL_FIELD:
            shown = self._subprotocols
            return _ELEMENT.sub(lambda match: shown.get(match[0], _NOT_LOOKED_AT), value)
        if name.startswith(_HANDSHAKE_FIELDS):
            return value
        return self._replace(name, value, _WHOLE if _NAMES.search(name) else _VALUES)

    def _replace(self, name: str, text: str, patterns: Sequence[re.Pattern[str]]) -> str:
        """The text, with what the first pattern that fits says is to be replaced."""
        match = next((match for one in patterns if (match := one.fullmatch(text))), None)
        if match is None or not match[2]:
            return text
        data = f"{name}:{match[2]}".encode()
        digest = blake2b(data, digest_size=_HASH_SIZE, key=self._key).hexdigest()
        # Fields are latin-1, so characters are bytes. No comma: it may be one of a list's elements.
        return f"{match[1]}(redacted: {len(match[2])} bytes; hash {digest})"
