"""The head of an HTTP/1 request, strictly: RFC 9112, sections 2 to 6, and RFC 9110, section 5.

What servers and proxies read differently is where requests are smuggled. So nothing is mended here:
a head that is not exactly in the grammar is refused, and whatever follows it is never looked at.
This service takes no request bodies, so a head that announces one is refused too.
"""

import re
from dataclasses import dataclass
from typing import Final

from echo.protocol.errors import (
    BodyNotTaken,
    HeadTooLarge,
    MalformedRequest,
    RequestLineTooLong,
)

#: Bytes of a request line, without its line end.
MAX_REQUEST_LINE: Final = 8 * 1024

#: Bytes of all header fields together, line ends included.
MAX_FIELDS_SIZE: Final = 32 * 1024

#: Header fields.
MAX_FIELDS: Final = 100

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  # RFC 9110, section 5.6.2

#: RFC 9112, section 3: the method, the target and the version, one space between them.
_REQUEST_LINE: Final = re.compile(rf"({_TOKEN}) ([!-~]+) HTTP/(1\.[01])")

#: RFC 9112, section 5: nothing between the name and its colon; no folding.
_FIELD: Final = re.compile(rf"({_TOKEN}):[ \t]*(.*?)[ \t]*")

#: RFC 9110, section 7.2: what a Host may be.
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~%!$&'()*+;=]*)(?::[0-9]*)?")

#: RFC 9112, section 3.2.2: a target in absolute form.
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([/?].*)?", re.IGNORECASE)

#: What may not stand in a head: controls, a line feed or a carriage return without the other. The
#: last byte may be a carriage return whose line feed is still to come.
_FORBIDDEN: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request that can be answered.

    Attributes:
        line: the request line as it came.
        method, target: its parts; of a target in absolute form only the path and the query.
        version: ``1.0`` or ``1.1``.
        fields: names and values in their order and case.
    """

    line: str
    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """The values of the fields of a name, which is in lower case."""
        return [value for field, value in self.fields if field.lower() == name]

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the connection (RFC 9112, section 9.3)."""
        options = {
            option.strip().lower()
            for value in self.values("connection")
            for option in value.split(",")
        }
        if self.version == "1.0":
            return "keep-alive" in options
        return "close" not in options


class HeadParser:
    """Finds and checks the heads in the bytes that a client sends."""

    __slots__ = ("_buffer", "_head", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head = ""
        self._searched = 0

    @property
    def line(self) -> str:
        """The last request line, as far as it has come: for the log."""
        head = self._head or self._buffer[:MAX_REQUEST_LINE].decode("latin-1")
        return head.split("\r\n")[0]

    @property
    def started(self) -> bool:
        """Whether bytes of a head have come that is not whole yet."""
        return bool(self._buffer)

    def take_rest(self) -> bytes:
        """Give away the bytes behind the last head."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def feed(self, data: bytes | bytearray) -> RequestHead | None:
        """Take the next bytes; the head when it is whole, else None.

        Further bytes are kept for the next call, which may be without any. Raises RequestError as
        soon as the bytes that show the fault are there.
        """
        buffer = self._buffer
        buffer += data
        if not self._searched and buffer.startswith(b"\r\n"):
            # RFC 9112, section 2.2: an empty line before a request is ignored.
            del buffer[:2]
        end = buffer.find(_END, max(0, self._searched - len(_END)))
        size = end + len(_END) if end >= 0 else len(buffer)
        self._check(size)
        if end < 0:
            self._searched = size
            return None
        self._head = buffer[:end].decode("latin-1")
        del buffer[:size]
        self._searched = 0
        request = _parse(self._head)
        self._head = ""
        return request

    def _check(self, size: int) -> None:
        """Check the first ``size`` bytes, whose beginning has been checked before."""
        buffer = self._buffer
        if _FORBIDDEN.search(buffer, max(0, self._searched - 2), size):
            raise MalformedRequest(
                "the head has a control character or a line end that is not CRLF"
            )
        line_end = buffer.find(b"\r\n", 0, min(size, MAX_REQUEST_LINE + 2))
        if line_end < 0 and size > MAX_REQUEST_LINE:
            raise RequestLineTooLong(f"a request line may have {MAX_REQUEST_LINE} bytes")
        if line_end >= 0:
            if size - line_end > MAX_FIELDS_SIZE + len(_END):
                raise HeadTooLarge(f"the header fields may have {MAX_FIELDS_SIZE} bytes")
            if buffer.count(b"\r\n", line_end + 2, size) > MAX_FIELDS + 1:
                raise HeadTooLarge(f"a request may have {MAX_FIELDS} header fields")


def _parse(head: str) -> RequestHead:
    """Read a head, without the empty line that ends it. Raises RequestError."""
    line, *lines = head.split("\r\n")
    request_line = _REQUEST_LINE.fullmatch(line)
    if request_line is None:
        raise MalformedRequest("the request line is not 'METHOD TARGET HTTP/1.1'")
    method, target, version = request_line.groups()
    fields = []
    for text in lines:
        field = _FIELD.fullmatch(text)
        if field is None:
            raise MalformedRequest(f"{text[:40]!r} is not a header field 'Name: value'")
        fields.append((field[1], field[2]))
    if len(fields) > MAX_FIELDS:
        raise HeadTooLarge(f"a request may have {MAX_FIELDS} header fields")
    request = RequestHead(line, method, target, version, tuple(fields))
    _check_body(request)
    target = _checked_target(request, _checked_host(request))
    return RequestHead(line, method, target, version, request.fields)


def _check_body(request: RequestHead) -> None:
    """RFC 9112, section 6: the fields that say where a request ends say that it has no body."""
    lengths = request.values("content-length")
    if len(lengths) > 1:
        raise MalformedRequest("Content-Length must appear once")
    if lengths and not re.fullmatch("[0-9]+", lengths[0]):
        raise MalformedRequest("Content-Length is not a number")
    if request.values("transfer-encoding") or (lengths and lengths[0].strip("0")):
        raise BodyNotTaken("this service takes no request bodies")


def _checked_host(request: RequestHead) -> str | None:
    """RFC 9112, section 3.2: exactly one Host, which HTTP/1.0 may leave out."""
    hosts = request.values("host")
    if len(hosts) > 1:
        raise MalformedRequest("Host must appear once")
    if not hosts:
        if request.version == "1.0":
            return None
        raise MalformedRequest("the request lacks a Host")
    if not _HOST.fullmatch(hosts[0]):
        raise MalformedRequest(f"{hosts[0][:40]!r} is no Host")
    return hosts[0]


def _checked_target(request: RequestHead, host: str | None) -> str:
    """RFC 9112, section 3.2: the path and the query."""
    target = request.target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        if absolute[1].lower() != (host or "").lower():
            raise MalformedRequest("the request's target and its Host name different hosts")
        target = absolute[2] or "/"
        target = f"/{target}" if target.startswith("?") else target
    if "#" in target or not (
        target.startswith("/") or (target, request.method) == ("*", "OPTIONS")
    ):
        raise MalformedRequest(f"{request.target[:40]!r} is no request target")
    return target
