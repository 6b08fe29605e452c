"""What breaks the rules of RFC 6455, sections 5 to 8, by a frame or a close code."""

import pytest

from tests.protocol.test_messages_violations import ANYWHERE, BETWEEN_MESSAGES, INSIDE_A_MESSAGE
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV3,
    TEXT,
    close_frame,
    close_payload,
    frame,
    frame_header,
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
    "unmasked text": frame(TEXT, "hello", key=b""),
    "unmasked empty text": frame(TEXT, key=b""),
    "unmasked long binary": frame(BINARY, bytes(126), key=b""),
    "unmasked ping": frame(PING, "hello", key=b""),
    "unmasked pong": frame(PONG, key=b""),
    "unmasked close": frame(CLOSE, close_payload(1000), key=b""),
    "unmasked continuation": START + frame(CONTINUATION, "x", key=b""),
    **{
        f"reserved bits {rsv:03b} on opcode {opcode}": frame(opcode, "x" * 2, rsv=rsv)
        for rsv in (1, 2, 4, 7)
        for opcode in (TEXT, BINARY, PING, PONG)
    },
    "a reserved bit on a close": frame(CLOSE, close_payload(1000), rsv=RSV1),
    "a reserved bit on a first fragment": frame(TEXT, "x", rsv=RSV1, fin=False),
    "a reserved bit on a continuation": START + frame(CONTINUATION, "x", rsv=RSV1),
    "a reserved bit on a long frame": frame(BINARY, bytes(70_000), rsv=RSV3),
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


def _all_violations():
    """Those above and those that the parser is tested with, each once."""
    every = {data: (name, 1002) for name, data in PROTOCOL_ERRORS.items()}
    every |= {data: (name, 1007) for name, data in INVALID_PAYLOADS.items()}
    of_the_parser = [(b"", case) for case in [*ANYWHERE, *BETWEEN_MESSAGES]]
    of_the_parser += [(START, case) for case in INSIDE_A_MESSAGE]
    for before, case in of_the_parser:
        data, error = case.values
        every.setdefault(before + data, (f"to the parser {case.id}", error.code))
    return [pytest.param(data, code, id=name) for data, (name, code) in every.items()]


#: Parameters ``data`` and ``code``: what breaks a rule, and the close code that it earns.
VIOLATIONS = _all_violations()
