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
)
from echo.protocol.excerpts import quoted
from echo.protocol.request_line import FORBIDDEN, forbidden_byte, parse_request_line
from echo.protocol.request_target import check_host, split_target
from echo.protocol.rfc9110 import OWS, TOKEN

#: Bytes of a request line, without its line end.
MAX_REQUEST_LINE: Final = 8 * 1024

#: Bytes of all header fields together, line ends included.
MAX_FIELDS_SIZE: Final = 32 * 1024

#: Header fields.
MAX_FIELDS: Final = 100

#: RFC 9112, section 5: nothing between the name and its colon; no folding.
_NAME: Final = re.compile(TOKEN)

#: What may stand in a head besides line ends.
_PLAIN: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))

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
        host: the host and port that the request is for: the target's, else Host; None for neither.
    """

    line: str
    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]
    values: Mapping[str, list[str]] = field(default_factory=dict, compare=False, repr=False)
    host: str | None = None

    @classmethod
    def of(cls, method: str, target: str, version: str, fields: Sequence[tuple[str, str]]) -> Self:
        """The head of these parts, which are not checked."""
        line = f"{method} {target} HTTP/{version}"
        values = _values_of(fields)
        host = ",".join(values["host"]) if "host" in values else None
        return cls(line, method, target, version, tuple(fields), values, host)

    @classmethod
    def of_part(cls, line: str, fields: Sequence[tuple[str, str]]) -> Self:
        """What has come of a head that was refused: its request line and whole fields."""
        method, _, rest = line.partition(" ")
        target = rest.partition(" ")[0]
        return cls(line, method, target, "", tuple(fields), _values_of(fields))

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
    def fields(self) -> list[tuple[str, str]]:
        """The fields of the head that is not whole yet, as far as they have come."""
        return self._fields

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
        if not _is_clean(buffer[start:size]):
            found = FORBIDDEN.search(buffer, start, size)
            if found is not None:
                raise forbidden_byte(buffer, found.start())
        self._checked = size
        # A carriage return at the end may be half of the next line end.
        whole = size - buffer.endswith(b"\r", 0, size)
        line_end = buffer.find(_LINE_END, 0, size)
        if (line_end if line_end >= 0 else whole) > MAX_REQUEST_LINE:
            raise RequestLineTooLong(
                f"the request line is longer than {MAX_REQUEST_LINE} bytes: shorten the path or "
                "the query"
            )
        if line_end >= 0:
            empty_line = 2 * buffer.endswith(_LINE_END * 2, 0, size)
            if whole - empty_line - (line_end + 2) > MAX_FIELDS_SIZE:
                raise HeadTooLarge(
                    f"the header fields are longer than {MAX_FIELDS_SIZE} bytes together: send "
                    "fewer or shorter ones, cookies for instance"
                )

    def _take_line(self, text: str) -> None:
        """Take the next line of a head, without its line end."""
        if self._line is None:
            self._line = parse_request_line(text)
            return
        name, colon, value = text.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise MalformedRequest(f"{quoted(text)} is not a header field 'Name: value'")
        if len(self._fields) == MAX_FIELDS:
            raise HeadTooLarge(f"the request has more than {MAX_FIELDS} header fields: send fewer")
        self._fields.append((name, value.strip(OWS)))


def _checked_head(
    line: str, method: str, target: str, version: str, fields: tuple[tuple[str, str], ...]
) -> RequestHead:
    """The head of these parts, which do not contradict each other. Raises RequestError."""
    values = _values_of(fields)
    _check_body(values)
    host = _checked_host(version, values)
    # RFC 9112, section 3.2.2: where the target names a host, Host is ignored.
    named, target = split_target(method, target)
    return RequestHead(line, method, target, version, fields, values, named or host)


def _is_clean(head: bytearray) -> bool:
    """Whether there is nothing in a head that FORBIDDEN finds, at a fraction of its price."""
    # All that is not plain belongs to line ends, when they are as many bytes.
    return len(head.translate(None, _PLAIN)) == 2 * head.count(b"\r\n")


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
        raise MalformedRequest("Content-Length must appear once: leave it out, as there is no body")
    if lengths and not re.fullmatch("[0-9]+", lengths[0]):
        raise MalformedRequest(
            f"Content-Length {quoted(lengths[0])} is not a number: leave it out, as there is no "
            "body"
        )
    if "transfer-encoding" in values or (lengths and lengths[0].strip("0")):
        raise BodyNotTaken(
            "this service takes no request bodies: send GET without Content-Length and "
            "Transfer-Encoding"
        )


def _checked_host(version: str, values: Mapping[str, list[str]]) -> str | None:
    """RFC 9112, section 3.2: exactly one Host, which HTTP/1.0 may leave out."""
    hosts = values.get("host", [])
    if len(hosts) > 1:
        raise MalformedRequest(f"Host must appear once, not {len(hosts)} times")
    if not hosts:
        if version == "1.0":
            return None
        raise MalformedRequest("the request lacks a Host: send 'Host: name:port'")
    check_host(hosts[0])
    return hosts[0]
