"""The message log on standard output: ``ADDRESS sent: MESSAGE``."""

import unicodedata

import pytest

from tests.e2e.raw_client import Frame, open_websocket
from tests.wire import BINARY, TEXT, close_frame, frame


def log_lines(server, *messages):
    """What the log says of messages, each an opcode and a payload, less the address."""
    position = server.stdout.position
    with open_websocket(server) as client:
        for opcode, payload in [*messages, (TEXT, "the last of them")]:
            client.send(frame(opcode, payload))
            assert client.read_frame().opcode == opcode
    server.stdout.wait_for_line(f"^{client.address} sent: the last of them$", after=position)
    lines = server.stdout.matching(f"^{client.address} ", position)[:-1]
    return [line.removeprefix(f"{client.address} sent: ") for line in lines]


# ---- A line for each message


@pytest.mark.parametrize(
    ("opcode", "payload", "line"),
    [
        (TEXT, "hello", "hello"),
        (TEXT, "Grüße, \U0001f600!", "Grüße, \U0001f600!"),
        (TEXT, '<b>"quoted"</b> \\n', '<b>"quoted"</b> \\n'),
        (TEXT, "x" * 1024, "x" * 1024),
        (TEXT, "x" * 1025, f"{'x' * 1024} ... 1 more bytes"),
        (TEXT, "x" * (1 << 20), f"{'x' * 1024} ... {(1 << 20) - 1024} more bytes"),
        (TEXT, "é" * 512, "é" * 512),
        (TEXT, "é" * 513, f"{'é' * 512} ... 2 more bytes"),
        (TEXT, f"x{'é' * 512}", f"x{'é' * 511} ... 2 more bytes"),
        (TEXT, "\U0001f600" * 1000, "\U0001f600" * 256 + " ... 2976 more bytes"),
        (BINARY, b"\x00", "1 bytes 00"),
        (BINARY, b"hello\xff", "6 bytes 68 65 6c 6c 6f ff"),
        (BINARY, bytes(range(32)), f"32 bytes {bytes(range(32)).hex(' ')}"),
        (BINARY, bytes(range(33)), f"33 bytes {bytes(range(32)).hex(' ')} ... 1 more bytes"),
        (BINARY, bytes(70_000), f"70000 bytes {bytes(32).hex(' ')} ... 69968 more bytes"),
        (BINARY, b"", "0 bytes"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_line(echo_server, opcode, payload, line):
    assert log_lines(echo_server, (opcode, payload)) == [line]


def test_an_empty_text(echo_server):
    (line,) = log_lines(echo_server, (TEXT, ""))
    assert line.rpartition(" sent:")[2].strip() == ""


def test_the_address_is_the_clients_and_the_order_is_theirs(echo_server):
    position = echo_server.stdout.position
    with open_websocket(echo_server) as one, open_websocket(echo_server) as other:
        for number in range(10):
            for client in (one, other):
                client.send(frame(TEXT, f"{number}"))
                assert client.read_frame() == Frame(TEXT, b"%d" % number)
    echo_server.stdout.wait_for_line(f"^{other.address} sent: 9$", after=position)
    assert echo_server.stdout.matching(f"^({one.address}|{other.address}) ", position) == [
        f"{client.address} sent: {number}" for number in range(10) for client in (one, other)
    ]


def test_fragments_and_pings_make_one_line(echo_server):
    position = echo_server.stdout.position
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, "in ", fin=False), frame(9, "ping"), frame(0, "pieces"))
        client.send(close_frame(1000))
        assert client.read_frame() == Frame(10, b"ping")
        assert client.read_frame() == Frame(TEXT, b"in pieces")
        assert client.read_close() == 1000
    echo_server.stdout.wait_for_line(f"^{client.address} sent: in pieces$", after=position)
    assert len(echo_server.stdout.matching(f"^{client.address} ", position)) == 1


# ---- Hostile messages

CONTROLS = [
    chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Zl", "Zp"}
]
DIRECTIONS = [*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *"\u2066\u2067\u2068\u2069"]

UNSAFE = {*CONTROLS, *DIRECTIONS}


def test_every_control_and_direction_character_is_escaped(echo_server):
    characters = CONTROLS + DIRECTIONS
    assert len(CONTROLS) == 32 + 1 + 32 + 2
    lines = log_lines(echo_server, *((TEXT, f"a{character}b") for character in characters))
    assert lines == [f"a{ascii(character)[1:-1]}b" for character in characters]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x\n127.0.0.1:1 sent: forged", r"x\n127.0.0.1:1 sent: forged"),
        ("x\r127.0.0.1:1 sent: forged", r"x\r127.0.0.1:1 sent: forged"),
        ("x\x85y\u2028z", r"x\x85y\u2028z"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m red", r"\x9b31m red"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\n" * 2000, r"\n" * 1024 + " ... 976 more bytes"),
    ],
    ids=ascii,
)
def test_a_message_forges_no_line_and_commands_no_terminal(echo_server, text, line):
    assert log_lines(echo_server, (TEXT, text)) == [line]
    assert not any(UNSAFE & set(line) for line in echo_server.stdout.lines)


def test_an_output_that_cannot_write_every_character(start_server):
    server = start_server(environment={"PYTHONIOENCODING": "ascii"})
    assert log_lines(server, (TEXT, "é\U0001f600")) == [r"\xe9\U0001f600"]


# ---- --quiet


@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--quiet"], {}), ([], {"ECHO_QUIET": "1"}), ([], {"ECHO_QUIET": "true"})],
    ids=str,
)
def test_quiet(start_server, options, environment):
    server = start_server(*options, environment=environment)
    with open_websocket(server) as client:
        client.send(frame(TEXT, "hello"), frame(BINARY, "hello"))
        assert client.read_frame() == Frame(TEXT, b"hello")
        assert client.read_frame() == Frame(BINARY, b"hello")
    server.stop()
    assert [line.split()[0] for line in server.stdout.lines] == ["Page:", "WebSocket:"]


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_not_quiet(start_server, value):
    server = start_server(environment={"ECHO_QUIET": value})
    assert log_lines(server, (TEXT, "hello")) == ["hello"]
