"""The head of an HTTP/1 request, strictly: RFC 9112, sections 2 to 6, and RFC 9110, section 5.

What servers and proxies read differently is where requests are smuggled. So nothing is mended here:
a head that is not exactly in the grammar is refused, and whatever follows it is never looked at.
This service takes no request bodies, so a head that announces one is refused too.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from echo.protocol.errors import (
    BodyNotTaken,
    HeadTooLarge,
    MalformedRequest,
    RequestLineTooLong,
    UnknownMethod,
)
from echo.protocol.excerpts import quoted

#: Bytes of a request line, without its line end.
MAX_REQUEST_LINE: Final = 8 * 1024

#: Bytes of all header fields together, line ends included.
MAX_FIELDS_SIZE: Final = 32 * 1024

#: Header fields.
MAX_FIELDS: Final = 100

#: A token (RFC 9110, section 5.6.2), as a regular expression.
TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  # RFC 9110, section 5.6.2

#: What may surround the parts of a field (RFC 9110, section 5.6.3). ``str.strip`` alone would take
#: other characters too, which another reader of the same head does not.
OWS: Final = " \t"

#: RFC 9112, section 3: the method, the target and the version, one space between them.
_REQUEST_LINE: Final = re.compile(rf"({TOKEN}) ([!-~]+) HTTP/(1\.[01])")

#: RFC 9112, section 5: nothing between the name and its colon; no folding.
_NAME: Final = re.compile(TOKEN)

#: RFC 9110, section 7.2: what a Host may be.
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~%!$&'()*+;=]*)(?::[0-9]*)?")

#: RFC 9112, section 3.2.2: a target in absolute form.
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([/?].*)?", re.IGNORECASE)

#: What may not stand in a head: controls, a line feed or a carriage return without the other. The
#: last byte may be a carriage return whose line feed is still to come.
_FORBIDDEN: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

#: What may stand in a head besides line ends.
_PLAIN: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))

_NO_REQUEST_LINE: Final = "the request line is not 'METHOD TARGET HTTP/1.1'"

#: RFC 9112, section 2.2.
_LINE_END: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request that can be answered.

    Attributes:
        line: the request line as it came.
        method, target: its parts; of a target in absolute form only the path and the query.
        version: ``1.0`` or ``1.1``.
        fields: names and values in their order and case.
        values: the values of the fields by their names, which are in lower case.
    """

    line: str
    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]
    values: Mapping[str, list[str]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, method: str, target: str, version: str, fields: Sequence[tuple[str, str]]) -> Self:
        """The head of these parts, which are not checked."""
        line = f"{method} {target} HTTP/{version}"
        return cls(line, method, target, version, tuple(fields), _values_of(fields))

    def field(self, name: str) -> str | None:
        """The value of a field by its name in lower case; several are joined by commas.

        None for a field that is absent (RFC 9110, section 5.3).
        """
        values = self.values.get(name)
        return None if values is None else ",".join(values)

    def elements(self, name: str) -> list[str]:
        """The elements of a field that is a comma-separated list of tokens, in lower case."""
        return [token.strip(OWS).lower() for token in (self.field(name) or "").split(",")]

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the connection (RFC 9112, section 9.3)."""
        options = self.elements("connection")
        return "close" not in options and (self.version == "1.1" or "keep-alive" in options)


class HeadParser:
    """Finds and checks the heads in the bytes that a client sends."""

    __slots__ = ("_buffer", "_checked", "_empty_lines", "_fields", "_line", "_taken")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begin()

    def _begin(self) -> None:
        """Be ready for the next head."""
        self._empty_lines = 0
        # How many bytes of the buffer have been checked, and how many are lines that were taken.
        self._checked = 0
        self._taken = 0
        self._line: tuple[str, str, str] | None = None
        self._fields: list[tuple[str, str]] = []

    @property
    def line(self) -> str:
        """The request line of the head that is not whole yet, as far as it has come."""
        return self._buffer[:MAX_REQUEST_LINE].split(_LINE_END)[0].decode("latin-1")

    @property
    def started(self) -> bool:
        """Whether bytes of a head have come that is not whole yet."""
        return bool(self._buffer)

    def trailing_data(self) -> bytes:
        """Take the bytes behind the last head."""
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
        # RFC 9112, section 2.2: an empty line before a request is ignored.
        if not self._empty_lines and buffer.startswith(_LINE_END):
            del buffer[:2]
            self._empty_lines = 1
        end = buffer.find(_LINE_END * 2, max(0, self._checked - 3))
        size = end + 4 if end >= 0 else len(buffer)
        self._check(size)
        lines_end = end if end >= 0 else buffer.rfind(_LINE_END, self._taken)
        if lines_end >= self._taken:
            for text in buffer[self._taken : lines_end].decode("latin-1").split("\r\n"):
                self._take_line(text)
            self._taken = lines_end + 2
        if end < 0 or self._line is None:
            return None
        head = _checked_head(self.line, *self._line, tuple(self._fields))
        del buffer[:size]
        self._begin()
        return head

    def _check(self, size: int) -> None:
        """Check the first ``size`` bytes, as far as they have not been."""
        buffer = self._buffer
        # The last byte may have been the first of a line end.
        start = max(0, self._checked - 1)
        if not _is_clean(buffer[start:size]) and _FORBIDDEN.search(buffer, start, size):
            raise MalformedRequest(
                "the head has a control character or a line end that is not CRLF"
            )
        self._checked = size
        # A carriage return at the end may be half of the next line end.
        whole = size - buffer.endswith(b"\r", 0, size)
        line_end = buffer.find(_LINE_END, 0, size)
        if (line_end if line_end >= 0 else whole) > MAX_REQUEST_LINE:
            raise RequestLineTooLong(f"a request line may have {MAX_REQUEST_LINE} bytes")
        if line_end >= 0:
            empty_line = 2 * buffer.endswith(_LINE_END * 2, 0, size)
            if whole - empty_line - (line_end + 2) > MAX_FIELDS_SIZE:
                raise HeadTooLarge(f"the header fields may have {MAX_FIELDS_SIZE} bytes")

    def _take_line(self, text: str) -> None:
        """Take the next line of a head, without its line end."""
        if self._line is None:
            self._line = _parse_request_line(text)
            return
        name, colon, value = text.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise MalformedRequest(f"{quoted(text)} is not a header field 'Name: value'")
        if len(self._fields) == MAX_FIELDS:
            raise HeadTooLarge(f"a request may have {MAX_FIELDS} header fields")
        self._fields.append((name, value.strip(OWS)))


def _checked_head(
    line: str, method: str, target: str, version: str, fields: tuple[tuple[str, str], ...]
) -> RequestHead:
    """The head of these parts, which do not contradict each other. Raises RequestError."""
    values = _values_of(fields)
    _check_body(values)
    target = _checked_target(method, target, _checked_host(version, values))
    return RequestHead(line, method, target, version, fields, values)


def _is_clean(head: bytearray) -> bool:
    """Whether there is nothing in a head that _FORBIDDEN finds, at a fraction of its price."""
    # All that is not plain belongs to line ends, when they are as many bytes.
    return len(head.translate(None, _PLAIN)) == 2 * head.count(b"\r\n")


def _parse_request_line(text: str) -> tuple[str, str, str]:
    """The method, the target and the version.

    Raises MalformedRequest, and UnknownMethod for a method that is not in upper case.
    """
    line = _REQUEST_LINE.fullmatch(text)
    if line is None:
        raise MalformedRequest(_NO_REQUEST_LINE)
    method = line[1]
    if method != method.upper():
        raise UnknownMethod(
            f"method {method[:40]!r} is not implemented; methods are case-sensitive: use "
            f"{method[:40].upper()}"
        )
    return method, line[2], line[3]


def _values_of(fields: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of fields by their names in lower case."""
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    return values


def _check_body(values: Mapping[str, list[str]]) -> None:
    """RFC 9112, section 6: the fields that say where a request ends say that it has no body."""
    lengths = values.get("content-length", [])
    if len(lengths) > 1:
        raise MalformedRequest("Content-Length must appear once")
    if lengths and not re.fullmatch("[0-9]+", lengths[0]):
        raise MalformedRequest("Content-Length is not a number")
    if "transfer-encoding" in values or (lengths and lengths[0].strip("0")):
        raise BodyNotTaken("this service takes no request bodies")


def _checked_host(version: str, values: Mapping[str, list[str]]) -> str | None:
    """RFC 9112, section 3.2: exactly one Host, which HTTP/1.0 may leave out."""
    hosts = values.get("host", [])
    if len(hosts) > 1:
        raise MalformedRequest("Host must appear once")
    if not hosts:
        if version == "1.0":
            return None
        raise MalformedRequest("the request lacks a Host")
    if not _HOST.fullmatch(hosts[0]):
        raise MalformedRequest(f"{quoted(hosts[0])} is no Host")
    return hosts[0]


def _checked_target(method: str, target: str, host: str | None) -> str:
    """RFC 9112, section 3.2: the path and the query."""
    path = target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        if absolute[1].lower() != (host or "").lower():
            raise MalformedRequest("the request's target and its Host name different hosts")
        path = absolute[2] or "/"
        path = f"/{path}" if path.startswith("?") else path
    if "#" in path or not (path.startswith("/") or (path, method) == ("*", "OPTIONS")):
        raise MalformedRequest(f"{quoted(target)} is no request target")
    return path
