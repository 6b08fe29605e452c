"""Each rule of RFC 6455, sections 5 to 8, that a peer can break, on raw sockets."""

import re

import pytest

from tests.e2e.raw_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close_frame,
    close_payload,
    frame,
    frame_header,
    mask,
    open_websocket,
)

START = frame(TEXT, "start", fin=False)

MAY_NOT_BE_SENT = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]

NOT_UTF_8 = {
    "a continuation byte": b"\x80",
    "an incomplete character": b"\xe2\x82",
    "a surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "an overlong encoding": b"\xc0\xaf",
    "a byte that never occurs": b"ok\xff",
}

PROTOCOL_ERRORS = {
    "unmasked text": frame(TEXT, "hello", key=None),
    "unmasked empty text": frame(TEXT, key=None),
    "unmasked long binary": frame(BINARY, bytes(126), key=None),
    "unmasked ping": frame(PING, "hello", key=None),
    "unmasked pong": frame(PONG, key=None),
    "unmasked close": frame(CLOSE, close_payload(1000), key=None),
    "unmasked continuation": START + frame(CONTINUATION, "x", key=None),
    **{
        f"reserved bits {rsv:03b} on opcode {opcode}": frame(opcode, "x" * 2, rsv=rsv)
        for rsv in (1, 2, 4, 7)
        for opcode in (TEXT, BINARY, PING, PONG)
    },
    "a reserved bit on a close": frame(CLOSE, close_payload(1000), rsv=4),
    "a reserved bit on a first fragment": frame(TEXT, "x", rsv=4, fin=False),
    "a reserved bit on a continuation": START + frame(CONTINUATION, "x", rsv=4),
    "a reserved bit on a long frame": frame(BINARY, bytes(70_000), rsv=1),
    **{f"opcode {opcode}": frame(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "opcode 3 with a payload": frame(3, "hello"),
    "opcode 11 with a payload": frame(11, "hello"),
    "opcode 3 in a fragmented message": START + frame(3),
    "opcode 15 in a fragmented message": START + frame(15),
    **{f"fragmented control {opcode}": frame(opcode, fin=False) for opcode in (CLOSE, PING, PONG)},
    "fragmented ping in a message": START + frame(PING, "x", fin=False),
    **{f"long control {opcode}": frame(opcode, bytes(126)) for opcode in (PING, PONG)},
    "long close": frame(CLOSE, close_payload(1000, b"x" * 124)),
    "very long ping": frame(PING, bytes(65536)),
    "ping with a 16-bit length": frame(PING, "x", size=2),
    "ping with a 64-bit length": frame(PING, "x", size=8),
    "a continuation of nothing": frame(CONTINUATION, "x"),
    "a first continuation of nothing": frame(CONTINUATION, fin=False),
    "a text in a text": START + frame(TEXT, "new"),
    "a binary in a text": START + frame(BINARY, "new"),
    "a fragmented text in a text": START + frame(TEXT, "new", fin=False),
    "an empty text in a binary": frame(BINARY, "start", fin=False) + frame(TEXT),
    "a text after a continuation": START + frame(CONTINUATION, fin=False) + frame(TEXT, "new"),
    **{
        f"length {length} in {size} bytes": frame(BINARY, bytes(length), size=size)
        for length, size in [(0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)]
    },
    "non-minimal length of a continuation": START + frame(CONTINUATION, "x", size=2),
    **{
        f"length 2**63 + {more}": frame_header(BINARY, 2**63 + more)
        for more in (0, 1, 126, 2**63 - 1)
    },
    "a close payload of one byte": frame(CLOSE, b"\x03"),
    **{f"close code {code}": close_frame(code) for code in MAY_NOT_BE_SENT},
    "close code 1005 with a reason": close_frame(1005, b"bye"),
    "a close in a message with code 1006": START + close_frame(1006),
}

INVALID_PAYLOADS = {
    **{f"text that is {name}": frame(TEXT, payload) for name, payload in NOT_UTF_8.items()},
    **{
        f"long text that ends in {name}": frame(TEXT, b"x" * 300 + payload)
        for name, payload in NOT_UTF_8.items()
    },
    **{
        f"fragmented text that is {name}": START + frame(CONTINUATION, payload)
        for name, payload in NOT_UTF_8.items()
    },
    "a character without its end": frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION),
    **{
        f"a close reason that is {name}": close_frame(1000, payload)
        for name, payload in NOT_UTF_8.items()
    },
    "a close reason cut in a character": close_frame(1000, "€".encode() * 40 + b"\xe2\x82"),
}

VIOLATIONS = [
    *(pytest.param(data, 1002, id=name) for name, data in PROTOCOL_ERRORS.items()),
    *(pytest.param(data, 1007, id=name) for name, data in INVALID_PAYLOADS.items()),
]


@pytest.mark.parametrize(("data", "code"), VIOLATIONS)
def test_a_violation_fails_the_connection(echo_server, data, code):
    with open_websocket(echo_server) as client:
        client.send(data)
        assert client.read_close() == code
    assert re.fullmatch(rf"closed: {code} \(.+\), ended by the server", client.log_line())


@pytest.mark.parametrize(("data", "code"), VIOLATIONS)
def test_a_violation_in_single_bytes(echo_server, data, code):
    with open_websocket(echo_server) as client:
        client.send_each_byte(data[:400])
        client.send(data[400:])
        assert client.read_close() == code


@pytest.mark.parametrize(("data", "code"), VIOLATIONS)
def test_a_violation_among_messages(echo_server, data, code):
    """What came before is answered, in the same segment too; what comes after is ignored."""
    with open_websocket(echo_server) as client:
        before = frame(TEXT, "before") + frame(PING, "p") + frame(BINARY, bytes(200))
        client.send(before, data, frame(TEXT, "after"), frame(PING), close_frame(1000))
        assert client.read_frame() == Frame(TEXT, b"before")
        assert client.read_frame() == Frame(PONG, b"p")
        assert client.read_frame() == Frame(BINARY, bytes(200))
        assert client.read_close() == code


def test_a_continuation_of_a_message_that_is_whole(echo_server):
    with open_websocket(echo_server) as client:
        client.send(START, frame(CONTINUATION, "ed"), frame(CONTINUATION, "again"))
        assert client.read_frame() == Frame(TEXT, b"started")
        assert client.read_close() == 1002


@pytest.mark.parametrize(
    ("data", "code"),
    [(frame(TEXT, "x", rsv=1), 1002), (frame(TEXT, b"\xff"), 1007), (close_frame(1006), 1002)],
    ids=["reserved bit", "not UTF-8", "close code"],
)
def test_a_violation_in_the_segment_of_the_upgrade_request(echo_server, data, code):
    with open_websocket(echo_server, frame(TEXT, "before") + data) as client:
        assert client.read_frame() == Frame(TEXT, b"before")
        assert client.read_close() == code


@pytest.mark.parametrize("cut", [2, 4])
def test_a_header_that_cannot_become_good_is_not_waited_for(echo_server, cut):
    """Two bytes show an opcode, four a length that is too long for its value."""
    header = {2: frame_header(11, 0), 4: frame_header(BINARY, 1, size=2)}[cut]
    with open_websocket(echo_server) as client:
        client.send(header[:cut])
        assert client.read_close() == 1002


# ---- UTF-8 fails as soon as the first bad byte has arrived: the rest never comes

BAD_AT_THE_LAST_BYTE = [
    b"\x80",
    b"\xbf",
    b"\xc0",
    b"\xc1",
    b"\xf5",
    b"\xf8",
    b"\xfe",
    b"\xff",
    b"\xc3(",
    b"\xc3\xc3",
    b"\xe0\x80",
    b"\xe0\x9f",
    b"\xe2(",
    b"\xe2\x82(",
    b"\xed\xa0",
    b"\xed\xbf",
    b"\xf0\x80",
    b"\xf0\x8f",
    b"\xf0\x9f(",
    b"\xf0\x9f\x98(",
    b"\xf4\x90",
    b"\xf4\xbf",
]

bad_bytes = pytest.mark.parametrize("bad", BAD_AT_THE_LAST_BYTE, ids=lambda bad: bad.hex())


def part_of_a_frame(opcode, beginning, length):
    """The bytes of a frame of which only the beginning of the payload is sent."""
    return frame_header(opcode, length) + mask(beginning, b"\xa5\x5a\x0f\x81")


@bad_bytes
@pytest.mark.parametrize("length", [100, 1000, 100_000])
def test_in_a_frame_that_is_still_arriving(echo_server, bad, length):
    with open_websocket(echo_server) as client:
        client.send(part_of_a_frame(TEXT, "né".encode() + bad, length))
        assert client.read_close() == 1007


@bad_bytes
def test_in_a_fragment_that_is_not_the_last(echo_server, bad):
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, "né".encode() + bad, fin=False))
        assert client.read_close() == 1007


@bad_bytes
def test_in_a_continuation_that_is_still_arriving(echo_server, bad):
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, "né", fin=False), frame(CONTINUATION, "né", fin=False))
        client.send(part_of_a_frame(CONTINUATION, bad, 1000))
        assert client.read_close() == 1007


@bad_bytes
def test_in_a_character_that_fragments_and_pings_part(echo_server, bad):
    with open_websocket(echo_server) as client:
        client.send(frame(TEXT, b"n" + bad[:-1], fin=False), frame(PING, "still good"))
        assert client.read_frame() == Frame(PONG, b"still good")
        client.send(part_of_a_frame(CONTINUATION, bad[-1:], 1000))
        assert client.read_close() == 1007


def test_deep_in_a_frame_that_is_still_arriving(echo_server):
    with open_websocket(echo_server) as client:
        good = "é€\U0001f600".encode() * 100_000
        client.send(part_of_a_frame(TEXT, good + b"\xff", 1 << 20))
        assert client.read_close() == 1007
