"""The head of an HTTP/1 request, strictly: RFC 9112, sections 2 to 6, and RFC 9110, section 5.

What servers and proxies read differently is where requests are smuggled. So nothing is mended here:
a head that is not exactly in the grammar is refused, and whatever follows it is never looked at.
This service takes no request bodies, so a head that announces one is refused too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from echo.protocol.errors import (
    BodyNotTaken,
    HeadTooLarge,
    MalformedRequest,
    RequestLineTooLong,
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

#: The first byte of a line end.
_CR: Final = ord("\r")


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

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the connection (RFC 9112, section 9.3)."""
        options = {
            option.strip().lower()
            for value in self.values.get("connection", ())
            for option in value.split(",")
        }
        return "close" not in options and (self.version == "1.1" or "keep-alive" in options)


class HeadParser:
    """Finds and checks the heads in the bytes that a client sends."""

    __slots__ = (
        "_buffer",
        "_clean",
        "_empty_lines",
        "_fields",
        "_fields_size",
        "_line",
        "_request_line",
        "_searched",
    )

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begin()

    def _begin(self) -> None:
        """Be ready for the next head."""
        self._request_line = ("", "", "", "")
        self._empty_lines = 0
        self._fields: list[tuple[str, str]] | None = None
        self._fields_size = 0
        self._line = ""
        self._searched = 0

    @property
    def line(self) -> str:
        """The last request line, as far as it has come: for the log."""
        return self._line or self._buffer[:MAX_REQUEST_LINE].split(b"\r\n")[0].decode("latin-1")

    @property
    def started(self) -> bool:
        """Whether bytes of a head have come that is not whole yet."""
        return bool(self._buffer) or self._fields is not None

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
        # Most heads come whole, and are free of faults: then one look at all is enough.
        whole = buffer.find(b"\r\n\r\n") + 4
        self._clean = whole > 3 and _is_clean(buffer[:whole])
        if self._clean and self._fields is None and whole <= MAX_REQUEST_LINE and buffer[0] != _CR:
            lines = buffer[: whole - 4].decode("latin-1").split("\r\n")
            del buffer[:whole]
            for line in lines:
                self._take_line(line)
            return self._end()
        while (end := buffer.find(b"\r\n", self._searched)) >= 0:
            self._check(end + 2)
            text = buffer[:end].decode("latin-1")
            del buffer[: end + 2]
            self._searched = 0
            if self._take_line(text):
                return self._end()
        self._check(len(buffer))
        # The last byte may be the first of a line end.
        self._searched = max(0, len(buffer) - 1)
        return None

    def _end(self) -> RequestHead:
        """The head whose lines have been taken."""
        head = _checked(self._request_line, tuple(self._fields or ()))
        self._begin()
        return head

    def _check(self, size: int) -> None:
        """Check the first ``size`` bytes: the next line, or what is there of it."""
        buffer = self._buffer
        if not self._clean and _FORBIDDEN.search(buffer, self._searched, size):
            raise MalformedRequest(
                "the head has a control character or a line end that is not CRLF"
            )
        end = size - (2 if buffer.endswith(b"\r\n", 0, size) else buffer.endswith(b"\r", 0, size))
        if self._fields is None:
            if end > MAX_REQUEST_LINE:
                raise RequestLineTooLong(f"a request line may have {MAX_REQUEST_LINE} bytes")
        elif end and self._fields_size + end + 2 > MAX_FIELDS_SIZE:
            raise HeadTooLarge(f"the header fields may have {MAX_FIELDS_SIZE} bytes")

    def _take_line(self, text: str) -> bool:
        """Take the next line of a head, without its line end; whether it ends the head."""
        if self._fields is None:
            # RFC 9112, section 2.2: an empty line before a request is ignored.
            if not text and not self._empty_lines:
                self._empty_lines = 1
                return False
            self._line = text
            self._request_line = _parse_request_line(text)
            self._fields = []
            return False
        if not text:
            return True
        name, colon, value = text.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise MalformedRequest(f"{quoted(text)} is not a header field 'Name: value'")
        if len(self._fields) == MAX_FIELDS:
            raise HeadTooLarge(f"a request may have {MAX_FIELDS} header fields")
        self._fields.append((name, value.strip(" \t")))
        self._fields_size += len(text) + 2
        return False


def _is_clean(head: bytearray) -> bool:
    """Whether there is nothing in a head that _FORBIDDEN finds, at a fraction of its price."""
    # All that is not plain belongs to line ends, when they are as many bytes.
    return len(head.translate(None, _PLAIN)) == 2 * head.count(b"\r\n")


def _parse_request_line(text: str) -> tuple[str, str, str, str]:
    """The line itself, the method, the target and the version. Raises MalformedRequest."""
    line = _REQUEST_LINE.fullmatch(text)
    if line is None:
        raise MalformedRequest("the request line is not 'METHOD TARGET HTTP/1.1'")
    return text, line[1], line[2], line[3]


def _checked(line: tuple[str, str, str, str], fields: tuple[tuple[str, str], ...]) -> RequestHead:
    """The head of these parts, which do not contradict each other. Raises RequestError."""
    text, method, target, version = line
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    _check_body(values)
    target = _checked_target(method, target, _checked_host(version, values))
    return RequestHead(text, method, target, version, fields, values)


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
