"""The lines of the message log: what they show of a message, and what they never show."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo.logs import (
    HEX_BYTES,
    MESSAGE_BYTES,
    LogQueue,
    MessageLog,
    SilentMessageLog,
    escape,
)
from echo.protocol.rfc6455 import Opcode
from tests.pipes import DEADLINE, Pipe

TEXT, BINARY = Opcode.TEXT, Opcode.BINARY

PEER = "10.0.0.1:50000"

#: What is not seen though Unicode does not call it a format character: fillers, variation selectors
#: and the rest of Default_Ignorable_Code_Point.
INVISIBLE = {
    0x034F,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    *range(0x180B, 0x1810),
    0x2065,
    0x3164,
    *range(0xFE00, 0xFE10),
    0xFFA0,
    *range(0xFFF0, 0xFFF9),
    *range(0xE0000, 0xE1000),
}

#: What could break a line, command a terminal, show a text in another order, or not be seen.
UNSAFE = INVISIBLE | {
    code
    for code in range(0x110000)
    if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
}

#: Where versions of Unicode that are newer than Python's have format characters too.
FORMAT_IN_NEWER_UNICODE = set(range(0x13430, 0x13440))

MARKS = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Mn", "Me"}]

LENGTHS = (0, 1, 31, 32, 33, 125, 126, 127, 1023, 1024, 1025, 65535, 65536, 65537)

#: Messages and what their lines show.
SHOWN = [
    pytest.param(TEXT, b"Hello", "Hello", id="text"),
    pytest.param(TEXT, b"", "", id="empty-text"),
    pytest.param(TEXT, "naïve €-Zeichen 😀".encode(), "naïve €-Zeichen 😀", id="unicode"),
    pytest.param(TEXT, rb"C:\new \x1b", rb"C:\new \x1b".decode(), id="backslash"),
    pytest.param(TEXT, b" a  b ", " a  b ", id="spaces"),
    pytest.param(TEXT, "a\u3000b\u00a0c".encode(), "a\u3000b\u00a0c", id="wide-spaces"),
    pytest.param(BINARY, b"", "0 bytes", id="empty-binary"),
    pytest.param(BINARY, b"\x00", "1 bytes 00", id="one-byte"),
    pytest.param(BINARY, b"Hello\n\x1b\xff", "8 bytes 48 65 6c 6c 6f 0a 1b ff", id="binary"),
    pytest.param(BINARY, bytes(32), "32 bytes" + " 00" * 32, id="hex-fits"),
    pytest.param(BINARY, bytes(33), "33 bytes" + " 00" * 32 + " ... 1 more bytes", id="hex-cut"),
]

#: Messages that try to be more than a message.
FORGERIES = [
    ("one\n10.0.0.2:1 sent: two", r"one\n10.0.0.2:1 sent: two"),
    ("one\r\n10.0.0.2:1 sent: two", r"one\r\n10.0.0.2:1 sent: two"),
    ("\rforged", r"\rforged"),
    ("\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
    ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    ("\x9b2J", r"\x9b2J"),
    ("\x90\x9c\x9d", r"\x90\x9c\x9d"),
    ("\x85next", r"\x85next"),
    ("\x7f\x7f\x7f", r"\x7f\x7f\x7f"),
    ("\x08\x08\x08", r"\x08\x08\x08"),
    ("\x00", r"\x00"),
    ("\t\x0b\x0c", r"\t\x0b\x0c"),
    ("\u2028\u2029", r"\u2028\u2029"),
    ("\u202etxt.exe\u202c", r"\u202etxt.exe\u202c"),
    ("\u2066a\u2069", r"\u2066a\u2069"),
    ("\u061c\u200e\u200f", r"\u061c\u200e\u200f"),
    ("é\n€", r"é\n€"),
    ("a\u200b\u2060\ufeffb", r"a\u200b\u2060\ufeffb"),
    ("pay\xadpal", r"pay\xadpal"),
    ("\u206a\u206f", r"\u206a\u206f"),
    ("\ufff9a\ufffab\ufffb", r"\ufff9a\ufffab\ufffb"),
    ("\u3164\uffa0\u115f", r"\u3164\uffa0\u115f"),
    ("x\ufe0f\U000e0101", r"x\ufe0f\U000e0101"),
    ("\U000e0001\U000e0065", r"\U000e0001\U000e0065"),
    ("x" + "\u0301" * 8, "x" + "\u0301" * 5 + r"\u0301" * 3),
]


@pytest.fixture
def write():
    """Writes messages by a message log, and gives the bytes that come out."""

    def write(*messages: tuple[str, Opcode, bytes]) -> bytes:
        pipe = Pipe()
        queue = LogQueue(pipe.stream)
        log = MessageLog(queue)
        for message in messages:
            log.write(*message)
        written = b"".join(line.encode() + b"\n" for line in pipe.lines(len(messages)))
        queue.close(DEADLINE)
        written += pipe.rest()
        pipe.stop_reading()
        return written

    return write


class Recorder:
    """Takes what is put into a queue, and keeps it."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def put(self, *values: object) -> None:
        self.values += values


def kept(text: str) -> str:
    """As many whole characters as fit into the bytes that a line shows."""
    size = 0
    for i, character in enumerate(text):
        size += len(character.encode())
        if size > MESSAGE_BYTES:
            return text[:i]
    return text


@pytest.mark.parametrize(("kind", "message", "shown"), SHOWN)
def test_line_says_who_sent_what(write, kind, message, shown):
    assert write((PEER, kind, message)) == f"{PEER} sent: {shown}\n".encode()


@pytest.mark.parametrize(("text", "shown"), FORGERIES)
def test_text_can_neither_forge_a_line_nor_command_the_terminal(write, text, shown):
    after = (PEER, TEXT, b"after")
    expected = f"{PEER} sent: {shown}\n{PEER} sent: after\n"
    assert write((PEER, TEXT, text.encode()), after) == expected.encode()


def test_address_of_the_peer_can_neither(write):
    assert write(("evil\n\x1b[m", TEXT, b"x")) == b"evil\\n\\x1b[m sent: x\n"


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_long_text_is_cut_between_characters_and_the_rest_counted(write, character):
    # A beginning of 0 to 3 bytes moves the cut to every place in a character.
    texts = [
        "abc"[:start] + character * ((length - start) // len(character.encode()))
        for length in (*LENGTHS, *range(MESSAGE_BYTES - 5, MESSAGE_BYTES + 9))
        for start in range(min(4, length))
    ]
    expected = ""
    for text in texts:
        shown = kept(text)
        left_out = len(text.encode()) - len(shown.encode())
        more = f" ... {left_out} more bytes" if left_out else ""
        expected += f"{PEER} sent: {shown}{more}\n"
    written = write(*[(PEER, TEXT, text.encode()) for text in texts])
    assert written.decode() == expected


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("a" * 1024, "aaa"),
        ("a" * 1025, "aaa ... 1 more bytes"),
        ("a" * 1023 + "é", "aaa ... 2 more bytes"),
        ("a" * 1022 + "é", "aaé"),
        ("a" * 1022 + "€", "aaa ... 3 more bytes"),
        ("a" * 1021 + "😀b", "aaa ... 5 more bytes"),
        ("a" * 1020 + "😀b", "aa😀 ... 1 more bytes"),
        ("\x1b" * 1030, r"\x1b\x1b ... 6 more bytes"),
        ("\n" * 1030, r"\n\n ... 6 more bytes"),
    ],
)
def test_bytes_left_out_are_those_of_the_message(write, text, end):
    assert write((PEER, TEXT, text.encode())).endswith(f"{end}\n".encode())


def test_binary_shows_its_length_and_its_first_bytes_in_hex(write):
    messages = [(bytes(range(256)) * (length // 256 + 1))[:length] for length in LENGTHS]
    expected = ""
    for message in messages:
        digits = "".join(f" {byte:02x}" for byte in message[:HEX_BYTES])
        left_out = len(message) - HEX_BYTES
        more = f" ... {left_out} more bytes" if left_out > 0 else ""
        expected += f"{PEER} sent: {len(message)} bytes{digits}{more}\n"
    written = write(*[(PEER, BINARY, message) for message in messages])
    assert written.decode() == expected


def test_messages_keep_their_order(write):
    written = write(*[(PEER, TEXT, str(i).encode()) for i in range(1000)])
    assert written.decode().split("\n") == [f"{PEER} sent: {i}" for i in range(1000)] + [""]


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_log_keeps_no_more_of_a_message_than_it_shows(kind):
    recorder = Recorder()
    MessageLog(recorder).write(PEER, kind, b"x" * 1_000_000)
    sizes = [len(value) for value in recorder.values if isinstance(value, bytes | bytearray)]
    assert sizes == [MESSAGE_BYTES]


def test_silent_log_writes_nothing_and_is_a_message_log(capfd):
    log = SilentMessageLog()
    for kind in (TEXT, BINARY):
        log.write(PEER, kind, b"secret")
    assert capfd.readouterr() == ("", "")
    assert isinstance(log, MessageLog)


def test_escape_leaves_no_unsafe_character():
    unsafe = [chr(code) for code in sorted(UNSAFE | FORMAT_IN_NEWER_UNICODE)]
    # As Python writes them: \n, \x1b, \u2028.
    assert escape("".join(unsafe)) == "".join(ascii(character)[1:-1] for character in unsafe)


def test_escape_touches_no_other_character():
    unsafe = UNSAFE | FORMAT_IN_NEWER_UNICODE
    # Each mark behind another letter, so that no row of marks is too long.
    safe = "".join(f"a{chr(code)}" for code in range(0x110000) if code not in unsafe)
    assert escape(safe) == safe


@pytest.mark.parametrize("number", [1, 5])
def test_a_handful_of_combining_marks_is_left_alone(number):
    text = "".join(f"a{mark * number}" for mark in MARKS if ord(mark) not in UNSAFE)
    assert escape(text) == text


def test_combining_marks_after_the_fifth_in_a_row_are_escaped():
    for mark in MARKS:
        if ord(mark) not in UNSAFE:
            shown = f"a{mark * 5}{ascii(mark)[1:-1] * 2}b"
            assert escape(f"a{mark * 7}b") == shown
            assert escape(f"\u2026{mark * 7}b") == f"\u2026{shown[1:]}"


def test_rows_of_combining_marks_are_counted_one_by_one():
    text = ("a" + "\u0301\u0488\u0e31" * 2) * 2
    assert escape(text) == ("a" + "\u0301\u0488\u0e31\u0301\u0488" + r"\u0e31") * 2


def test_all_that_unicode_calls_a_control_a_line_break_or_a_change_of_direction_is_unsafe():
    categories = {"Cc", "Cs", "Zl", "Zp"}
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "B"}
    unsafe = [
        character
        for character in map(chr, range(0x110000))
        if unicodedata.category(character) in categories
        or unicodedata.bidirectional(character) in directions
    ]
    assert len(unsafe) > 2000
    assert [character for character in unsafe if escape(character) == character] == []


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters() | st.characters(categories=["Cc", "Cs", "Cf"])))
def test_any_text_becomes_one_line_of_printable_characters(text):
    escaped = escape(text)
    assert len(escaped.splitlines()) <= 1
    assert not UNSAFE & set(map(ord, escaped))
    assert escape(escaped) == escaped
