"""The request line (RFC 9112, section 3), and what is wrong with one that is against the grammar.

Its reader is a person who looks at a client or a proxy: a reason says which byte, where, and what
to do. Faults are looked for only in what could not be read.
"""

import re
from typing import Final

from echo.protocol.errors import (
    MalformedRequest,
    RequestError,
    UnexpectedTLS,
    UnknownMethod,
    UnknownVersion,
)
from echo.protocol.excerpts import quoted
from echo.protocol.rfc9110 import TOKEN

#: The method, the target and the version, one space between them.
_REQUEST_LINE: Final = re.compile(rf"({TOKEN}) ([!-~]+) HTTP/(1\.[01])")

#: What may not stand in a head: controls, a line feed or a carriage return without the other. The
#: last byte may be a carriage return whose line feed is still to come.
FORBIDDEN: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

#: A TLS record with a ClientHello (RFC 8446, section 5.1; RFC 5246, appendix E.2), as much of its
#: beginning as shows it.
_CLIENT_HELLO: Final = re.compile(rb"\x16(?:\x03|\Z)|[\x80-\xff].\x01[\x00\x02\x03]", re.DOTALL)

#: The PROXY protocol of HAProxy: the line of version 1; the signature of version 2, behind its
#: first line end, which is an empty line before a request.
_PROXY_1: Final = re.compile("PROXY (?:TCP4|TCP6|UNKNOWN)(?: |$)")
_PROXY_2: Final = b"\r\n\0\r\nQUIT\n"

#: RFC 9113, section 3.4: the line that an HTTP/2 connection begins with.
_HTTP_2: Final = "PRI * HTTP/2.0"

#: RFC 9112, section 2.3, and versions written in other ways.
_VERSION: Final = re.compile(r"HTTP/([0-9]+(?:\.[0-9]+)?)")
_VERSION_IN_OTHER_CASE: Final = re.compile(r"HTTP/[0-9.]+", re.IGNORECASE)

_NOT_IN_TOKEN: Final = re.compile(rf"(?!{TOKEN}).", re.DOTALL)
_NOT_IN_TARGET: Final = re.compile("[^!-~]")

_SHAPE: Final = "'METHOD TARGET HTTP/1.1'"

#: What controls that have a name of their own are called.
_CONTROL_NAMES: Final = {0x0A: "a bare line feed", 0x0D: "a bare carriage return"}


def parse_request_line(text: str) -> tuple[str, str, str]:
    """The method, the target and the version.

    Raises MalformedRequest, UnknownVersion, and UnknownMethod for a method that is not in upper
    case.
    """
    line = _REQUEST_LINE.fullmatch(text)
    if line is None:
        raise _fault(text)
    method = line[1]
    if method != method.upper():
        raise UnknownMethod(
            f"method {method[:40]!r} is not implemented; methods are case-sensitive: use "
            f"{method[:40].upper()}"
        )
    return method, line[2], line[3]


def forbidden_byte(head: bytes | bytearray, position: int) -> RequestError:
    """What is wrong with a head that has a byte at ``position`` which FORBIDDEN finds."""
    if _CLIENT_HELLO.match(head):
        return UnexpectedTLS(
            "the client speaks TLS, and this port plain HTTP: use http:// or ws://, or start the "
            "server with --certfile"
        )
    if head.startswith(_PROXY_2):
        return _proxy_protocol(2)
    start = head.rfind(b"\r\n", 0, position) + 2 if b"\r\n" in head[:position] else 0
    line = bytes(head[start:position])
    name = line.partition(b":")[0].decode("latin-1")
    in_first_line = start == 0
    where = "the request line" if in_first_line else f"the header field {quoted(name)}"
    byte = head[position]
    control = _CONTROL_NAMES.get(byte)
    if control is not None:
        cure = "end every line with CRLF"
    else:
        control = f"the control character 0x{byte:02X}"
        in_target = in_first_line and b" " in line
        cure = f"percent-encode it as %{byte:02X}" if in_target else "leave it out"
    return MalformedRequest(f"byte {position - start + 1} of {where} is {control}: {cure}")


def _proxy_protocol(version: int) -> MalformedRequest:
    return MalformedRequest(
        f"the connection begins with the PROXY protocol, version {version}, which is not spoken "
        "here: turn it off in the proxy (HAProxy's send-proxy, nginx's proxy_protocol) and let "
        "X-Forwarded-For tell the client's address"
    )


def _fault(text: str) -> RequestError:
    """What is wrong with a request line, the first fault from the left."""
    foreign = _foreign(text)
    if foreign is not None:
        return foreign
    method, _, rest = text.partition(" ")
    bad = _NOT_IN_TOKEN.search(method)
    if bad is not None or not method:
        position = 0 if bad is None else bad.start()
        return MalformedRequest(
            f"byte {position + 1} of the request line is {_named(text, position)[0]}, which no "
            f"method has: the line is {_SHAPE}"
        )
    target, _, version = rest.rpartition(" ")
    spoken = _VERSION.fullmatch(version)
    if spoken is None:
        return _version_fault(rest, len(method) + 1, version)
    if spoken[1] not in {"1.0", "1.1"}:
        return UnknownVersion(
            f"version {quoted(version)} of HTTP is not spoken here: use HTTP/1.1 or HTTP/1.0"
        )
    return _target_fault(text, len(method) + 1, target)


def _foreign(text: str) -> RequestError | None:
    """What is wrong with the first line of another protocol; None for one that is not known."""
    if not text:
        return MalformedRequest(
            f"an empty line stands where the request line belongs, {_SHAPE}; does a proxy send the "
            "PROXY protocol, version 2?"
        )
    if _PROXY_1.match(text):
        return _proxy_protocol(1)
    if text == _HTTP_2:
        return UnknownVersion("HTTP/2 is not spoken here (this is its preface): use HTTP/1.1")
    return None


def _version_fault(rest: str, start: int, version: str) -> MalformedRequest:
    """What is wrong with a line that ends without a version; ``rest`` begins at byte ``start``."""
    if _VERSION_IN_OTHER_CASE.fullmatch(version):
        return MalformedRequest(f"{quoted(version)} is not a version: write HTTP/1.1, in capitals")
    if not rest:
        return MalformedRequest(f"the request line has a method only: it is {_SHAPE}")
    if rest.endswith(" ") and _VERSION.search(rest):
        return MalformedRequest(
            f"byte {start + len(rest)} of the request line is a space: nothing follows the version"
        )
    return MalformedRequest(
        f"the request line ends with {quoted(version)} and not with a version: add ' HTTP/1.1', "
        "and percent-encode spaces in the target as %20"
    )


def _target_fault(text: str, start: int, target: str) -> MalformedRequest:
    """What is wrong with a target, which begins at byte ``start`` of the line."""
    bad = _NOT_IN_TARGET.search(target)
    if bad is None:
        return MalformedRequest(f"two spaces stand where the target belongs: it is {_SHAPE}")
    position = start + bad.start()
    name, encoded = _named(text, position)
    cure = f"percent-encode it as {encoded}"
    if target[0] == " " or not target[bad.start() :].strip(" "):
        cure = "leave it out: one space stands on either side of the target"
    return MalformedRequest(f"byte {position + 1} of the request line is {name}: {cure}")


def _named(text: str, position: int) -> tuple[str, str]:
    """A byte of a text, for a person; and percent-encoded, with the rest of its character."""
    data = text[position : position + 4].encode("latin-1")
    if data[0] == ord(" "):
        return "a space", "%20"
    if data[0] == ord("\t"):
        return "a tab", "%09"
    if data[0] < 0x80:
        return repr(chr(data[0])), f"%{data[0]:02X}"
    name = f"0x{data[0]:02X}"
    for size in (2, 3, 4):
        try:
            character = data[:size].decode()
        except UnicodeDecodeError:
            continue
        if character.isprintable():
            name += f", the beginning of {character!r}"
        return name, "".join(f"%{byte:02X}" for byte in data[:size])
    return name, f"%{data[0]:02X}"
