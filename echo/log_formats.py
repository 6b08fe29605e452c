"""The lines of the logs, as text for people or as JSON for programs; and their escapes."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final, Protocol
from unicodedata import category

from echo.net.events import Answer
from echo.net.records import ConnectionRecord
from echo.protocol.rfc6455 import Opcode

#: The service's base URL for a scheme, http or ws (see HTTPServer.url).
URL = Callable[[str], str]


def _escaping(characters: str) -> dict[int, str]:
    """For str.translate: a backslash before each of some characters, and before a backslash."""
    return str.maketrans({character: f"\\{character}" for character in f"\\{characters}"})


#: What would end a quoted request line, and what would end a close reason in parentheses.
_IN_QUOTES: Final = _escaping('"')
_IN_PARENTHESES: Final = _escaping("()")


class Format(Protocol):
    """Makes the lines of a log. ``at``: when it happened, in seconds since 1970."""

    def message(self, at: float, peer: str, kind: Opcode, beginning: bytes, size: int) -> str:
        """The line of a message of ``size`` bytes."""

    def closed(self, at: float, record: ConnectionRecord) -> str:
        """The line of a connection that is over."""

    def answered(self, at: float, answer: Answer) -> str:
        """The line of an HTTP request that was answered, or refused."""

    def notice(self, at: float, text: str) -> str:
        """The line of something that an operator should know."""

    def fault(self, at: float, line: str) -> str:
        """A line of a traceback."""

    def dropped(self, at: float, count: int) -> str:
        """The line in the place of entries that were dropped."""

    def started(self, at: float, url: URL) -> list[str]:
        """The lines that say where the service is."""

    def stopped(self, at: float) -> list[str]:
        """The lines that say that it has ended."""


class TextFormat:
    """Text for people. It says no time: whoever gathers the lines adds it."""

    def message(self, _: float, peer: str, kind: Opcode, beginning: bytes, size: int) -> str:
        """The article's line: ``ADDRESS sent: MESSAGE``."""
        if kind is Opcode.TEXT:
            if size == len(beginning):
                return f"{peer} sent: {beginning.decode()}"
            # A character that the cut went through is left out, and its bytes with it.
            shown = beginning.decode("utf-8", "ignore")
            left_out = size - (len(shown) if shown.isascii() else len(shown.encode()))
        else:
            shown = f"{size} bytes {beginning.hex(' ')}".rstrip()
            left_out = size - len(beginning)
        more = f" ... {left_out} more bytes" if left_out else ""
        return f"{peer} sent: {shown}{more}"

    def closed(self, _: float, record: ConnectionRecord) -> str:
        """Who it was, how it ended, how long it lived, and what went in and out."""
        reason = f" ({record.reason.translate(_IN_PARENTHESES)})" if record.reason else ""
        return (
            f"{record.peer} closed: {record.code}{reason}, ended by the {record.ended_by}, "
            f"after {record.duration_ms / 1000:.3f} s, "
            f"received {_counted(record.messages_in, 'message')} "
            f"({_counted(record.bytes_in, 'byte')}), "
            f"sent {_counted(record.messages_out, 'message')} "
            f"({_counted(record.bytes_out, 'byte')})"
        )

    def answered(self, _: float, answer: Answer) -> str:
        """Who asked, the request line in quotes, the status, and why it was refused."""
        request = answer.request.translate(_IN_QUOTES)
        return f'{answer.peer} "{request}" {answer.status} {answer.reason}'.rstrip()

    def notice(self, _: float, text: str) -> str:
        """The text."""
        return text

    def fault(self, _: float, line: str) -> str:
        """The line behind a mark, so that what a peer sent cannot pass for another kind of line."""
        return f"! {line}"

    def dropped(self, _: float, count: int) -> str:
        """The number, in parentheses."""
        return f"({count} log lines dropped: the output was too slow)"

    def started(self, _: float, url: URL) -> list[str]:
        """The page and the WebSocket."""
        page, websocket = _places(url)
        return [f"Page:      {page}", f"WebSocket: {websocket}"]

    def stopped(self, _: float) -> list[str]:
        """Nothing: a person sees it."""
        return []


class JSONFormat:
    """JSON for programs: each line is an object with ``at`` (UTC), ``event``, ``pid`` and more."""

    def message(self, at: float, peer: str, kind: Opcode, beginning: bytes, size: int) -> str:
        """The message's kind and size, its beginning as text or in hex, and the bytes left out."""
        fields: dict[str, Any] = {"peer": peer, "kind": kind.name.lower(), "bytes": size}
        if kind is Opcode.TEXT:
            # A character that the cut went through is left out, and its bytes with it.
            text = beginning.decode("utf-8", "ignore")
            fields |= {"text": text, "omitted": size - len(text.encode())}
        else:
            fields |= {"hex": beginning.hex(), "omitted": size - len(beginning)}
        return _object(at, "message", fields)

    def closed(self, at: float, record: ConnectionRecord) -> str:
        """Everything that ``/ws/connections/<id>`` tells."""
        return _object(at, "closed", record.as_json())

    def answered(self, at: float, answer: Answer) -> str:
        """``answered`` or ``refused``, the status as a number or null."""
        fields = {
            "peer": answer.peer,
            "request": answer.request,
            "status": int(answer.status) if answer.status.isdigit() else None,
            "reason": answer.reason,
        }
        return _object(at, "refused" if answer.refused_as else "answered", fields)

    def notice(self, at: float, text: str) -> str:
        """The text."""
        return _object(at, "notice", {"text": text})

    def fault(self, at: float, line: str) -> str:
        """The line as it is."""
        return _object(at, "error", {"text": line})

    def dropped(self, at: float, count: int) -> str:
        """The number."""
        return _object(at, "dropped", {"lines": count})

    def started(self, at: float, url: URL) -> list[str]:
        """The page and the WebSocket."""
        page, websocket = _places(url)
        return [_object(at, "start", {"page": page, "websocket": websocket})]

    def stopped(self, at: float) -> list[str]:
        """An object without more."""
        return [_object(at, "stop", {})]


#: The values of --log-format.
FORMATS: Final[Mapping[str, Format]] = {"text": TextFormat(), "json": JSONFormat()}


def _counted(count: int, noun: str) -> str:
    """The number with its noun: 1 byte, 2 bytes."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _places(url: URL) -> tuple[str, str]:
    """The URLs of the page and of the WebSocket."""
    return f"{url('http')}/ws/echo_display", f"{url('ws')}/ws/echo"


def _object(at: float, event: str, fields: Mapping[str, Any]) -> str:
    """A JSON object on one line, in ASCII: no message can command a terminal."""
    when = datetime.fromtimestamp(at, UTC).isoformat()
    return json.dumps({"at": when, "event": event, "pid": os.getpid(), **fields})


#: What could break a line, command a terminal or disguise a text.
_UNSAFE: Final = re.compile(
    "["
    # Controls, line and paragraph separators, surrogates.
    "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
    # Format characters (Cf): zero-width ones, those that set the direction of text, tags.
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # Others that are not seen (Default_Ignorable_Code_Point): fillers, variation selectors.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
    "]+"
)

#: The blocks with all that is unsafe though it is printable: combining marks, and what is not seen.
_SUSPECT: Final = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u1cff\u1dc0-\u1dff\u20d0-\u20ff\u2cef-\u2cf1\u2d7f"
    "\u2de0-\u2dff\u302a-\u302d\u3099\u309a\u3164\ua66f-\ua6f1\ua802-\uabff\ufb1e\ufe00-\ufe2f"
    "\uffa0\U00010000-\U0001efff\U000e0100-\U000e01ef]"
)

#: Text without any of them needs no closer look, which costs ten times as much.
_ANY_SUSPECT: Final = re.compile(_SUSPECT)

#: Combining marks that a character may carry; more of them are drawn over the lines around.
_MARKS: Final = 5

#: Where more marks in a row may be: no mark is a letter or a digit. That the pattern begins with
#: the set lets the search run to the next one quickly.
_MANY_MARKS: Final = re.compile(rf"{_SUSPECT}(?<!\w)(?:{_SUSPECT}(?<!\w)){{{_MARKS},}}")

#: What is left of ASCII, and what is between lines.
_PLAIN: Final = bytes(range(ord(" "), ord("~") + 1)) + b"\n"


def escape(text: str) -> str:
    r"""``text`` on one line, all of it visible: unsafe characters as ``\n``, ``\x1b``, ``\u200b``.

    So are combining marks after the fifth in a row.
    """
    if text.isprintable() and (text.isascii() or not _ANY_SUSPECT.search(text)):
        return text
    return _MANY_MARKS.sub(_cut_marks, _UNSAFE.sub(_escaped, text))


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


def _cut_marks(match: re.Match[str]) -> str:
    """The characters, those combining marks escaped that are too many in a row."""
    shown = ""
    for are_marks, characters in groupby(match[0], _is_mark):
        row = "".join(characters)
        shown += row[:_MARKS] + ascii(row[_MARKS:])[1:-1] if are_marks else row
    return shown


def _is_mark(character: str) -> bool:
    return category(character) in {"Mn", "Me"}


def one_each(lines: Sequence[str]) -> str:
    """The lines, escaped, with a line break behind each."""
    text = "\n".join(lines)
    # Most of them need no escaping, which costs a fraction to see of all together.
    if (
        not text.isascii()
        or text.count("\n") != len(lines) - 1
        or text.encode().translate(None, _PLAIN)
    ):
        text = "\n".join(map(escape, lines))
    return f"{text}\n"
