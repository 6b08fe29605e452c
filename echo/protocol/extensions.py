"""RFC 6455, section 9.1: the header field Sec-WebSocket-Extensions."""

import re
from typing import Final, NamedTuple

from echo.protocol.errors import BadRequest
from echo.protocol.rfc9110 import TOKEN

_TOKEN_HERE: Final = re.compile(TOKEN)

#: RFC 9110, section 5.6.4: a quoted string, its content not unescaped yet.
_QUOTED_HERE: Final = re.compile(r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e])*)"')

_BLANK_HERE: Final = re.compile(r"[ \t]*")


class Parameter(NamedTuple):
    """A parameter of an extension: ``name``, ``name=value`` or ``name="value"``."""

    name: str
    value: str | None = None
    quoted: bool = False


class ExtensionOffer(NamedTuple):
    """An extension that a client offers, with its parameters in their order."""

    name: str
    parameters: tuple[Parameter, ...] = ()


def parse_extensions(field: str) -> list[ExtensionOffer]:
    """Read the field: what a client offers, in its order of preference.

    Elements of the list that are empty are passed over (RFC 9110, section 5.6.1), so an empty field
    offers nothing. Raises BadRequest for what is against the grammar.
    """
    reader = _Reader(field)
    offers = []
    while not reader.at_end:
        if not reader.take(","):
            offers.append(_offer(reader))
            if not (reader.at_end or reader.take(",")):
                raise reader.error("a comma")
    return offers


class _Reader:
    """A place in the field, always behind the blanks that are allowed there."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._position = 0
        self._match(_BLANK_HERE)

    @property
    def at_end(self) -> bool:
        return self._position == len(self._field)

    def take(self, separator: str) -> bool:
        """Whether a separator is here; it is taken then."""
        if not self._field.startswith(separator, self._position):
            return False
        self._position += len(separator)
        self._match(_BLANK_HERE)
        return True

    def token(self) -> str:
        """Take a token. Raises BadRequest when there is none."""
        match = self._match(_TOKEN_HERE)
        if match is None:
            raise self.error("a token")
        self._match(_BLANK_HERE)
        return match[0]

    def quoted(self) -> str | None:
        """Take a quoted string and unescape it; None when there is none."""
        match = self._match(_QUOTED_HERE)
        if match is None:
            return None
        self._match(_BLANK_HERE)
        return re.sub(r"\\(.)", r"\1", match[1])

    def error(self, expected: str) -> BadRequest:
        """What is wrong here."""
        return BadRequest(
            f"Sec-WebSocket-Extensions: {expected} is expected at character {self._position}."
        )

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._field, self._position)
        if match is not None:
            self._position = match.end()
        return match


def _offer(reader: _Reader) -> ExtensionOffer:
    """Take one element of the list."""
    name = reader.token()
    parameters = []
    while reader.take(";"):
        parameters.append(_parameter(reader))
    return ExtensionOffer(name, tuple(parameters))


def _parameter(reader: _Reader) -> Parameter:
    """Take one parameter."""
    name = reader.token()
    if not reader.take("="):
        return Parameter(name)
    value = reader.quoted()
    if value is not None:
        # Section 9.1: the value must be a token then too; who knows the extension declines it.
        return Parameter(name, value, quoted=True)
    return Parameter(name, reader.token())
