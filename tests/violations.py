"""Every way to break the rules of RFC 6455, sections 5 to 8, with the close code that it earns."""

from typing import NamedTuple

from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    close_frame,
    close_payload,
    frame,
    frame_header,
)


class Violation(NamedTuple):
    """What a client must not send, and the close code for it."""

    name: str
    data: bytes
    code: int


#: What begins a message whose end INSIDE_A_MESSAGE puts off.
START = frame(TEXT, "start", fin=False)

_DATA = {"continuation": CONTINUATION, "text": TEXT, "binary": BINARY}
_CONTROL = {"close": CLOSE, "ping": PING, "pong": PONG}
_RESERVED_BITS = (RSV1, RSV2, RSV3, RSV1 | RSV2 | RSV3)
_RESERVED_OPCODES = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
_UNSENDABLE_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)

_NOT_UTF_8 = {
    "a continuation byte": b"\x80",
    "an incomplete character": b"\xe2\x82",
    "a surrogate": b"ok\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "an overlong encoding": b"\xc0\xaf",
    "a byte that never occurs": b"ok\xff",
}

_PROTOCOL_ERRORS_ANYWHERE = {
    **{
        f"unmasked {name}, {len(payload)} bytes, fin {fin:d}": frame(
            opcode, payload, fin=fin, key=b""
        )
        for name, opcode in _DATA.items()
        for payload in (b"", b"hello", bytes(124), bytes(126))
        for fin in (True, False)
    },
    **{f"unmasked {name}": frame(code, "hello", key=b"") for name, code in _CONTROL.items()},
    "unmasked pong, 0 bytes": frame(PONG, key=b""),
    "unmasked close, 2 bytes": frame(CLOSE, close_payload(1000), key=b""),
    **{
        f"reserved bits {bits:#x} of {name}, {len(payload)} bytes": frame(opcode, payload, rsv=bits)
        for name, opcode in (_DATA | _CONTROL).items()
        for bits in _RESERVED_BITS
        for payload in (b"", b"xx")
    },
    "a reserved bit on a close": frame(CLOSE, close_payload(1000), rsv=RSV1),
    "a reserved bit on a first fragment": frame(TEXT, "x", rsv=RSV1, fin=False),
    **{
        f"opcode {opcode}, {len(payload)} bytes": frame(opcode, payload)
        for opcode in _RESERVED_OPCODES
        for payload in (b"", b"x")
    },
    **{
        f"fragmented {name}, {len(payload)} bytes": frame(opcode, payload, fin=False)
        for name, opcode in _CONTROL.items()
        for payload in (b"", b"x")
    },
    **{
        f"{name} of {length} bytes": frame(opcode, close_payload(1000).ljust(length, b"x"))[:150]
        for name, opcode in _CONTROL.items()
        for length in (126, 127, 65535, 65536, 65537)
    },
    "ping with a 16-bit length": frame(PING, "x", size=2),
    "ping with a 64-bit length": frame(PING, "x", size=8),
    **{
        f"length {length} in {size} bytes": frame_header(BINARY, length, size=size)
        for size, lengths in {2: (0, 1, 125), 8: (0, 1, 125, 126, 127, 65535)}.items()
        for length in lengths
    },
    **{
        f"length 2**63 + {more}": frame_header(BINARY, 2**63 + more)
        for more in (0, 1, 126, 2**63 - 1)
    },
    **{
        f"a close payload of the byte {payload.hex()}": frame(CLOSE, payload)
        for payload in (b"\x00", b"\x03", b"\xff")
    },
    **{
        f"close code {code}{' with a reason' if reason else ''}": close_frame(code, reason)
        for code in _UNSENDABLE_CODES
        for reason in (b"", b"bye")
    },
}

_LONG_FRAMES = {
    "a reserved bit on a long frame": frame(BINARY, bytes(70_000), rsv=RSV3),
    "a whole ping of 65,536 bytes": frame(PING, bytes(65536)),
    "a whole frame of 65,535 bytes with a 64-bit length": frame(BINARY, bytes(65535), size=8),
}

_INVALID_PAYLOADS_ANYWHERE = {
    **{f"a close reason with {name}": close_frame(1000, bad) for name, bad in _NOT_UTF_8.items()},
    "a close reason that breaks off": close_frame(1000, "€".encode() * 40 + b"\xe2\x82"),
    "a close reason bad at its last byte": close_frame(1000, b"x" * 122 + b"\x80"),
}

_CONTINUATIONS_OF_NOTHING = {
    f"a continuation of nothing, {len(payload)} bytes, fin {fin:d}": frame(
        CONTINUATION, payload, fin=fin
    )
    for payload in (b"", b"Hello")
    for fin in (True, False)
}

_MIXED_MESSAGES = {
    "a text in a binary": frame(BINARY, "start", fin=False) + frame(TEXT),
}

_INVALID_TEXTS = {
    **{f"text with {name}": frame(TEXT, bad) for name, bad in _NOT_UTF_8.items()},
    **{f"long text with {name}": frame(TEXT, b"x" * 300 + bad) for name, bad in _NOT_UTF_8.items()},
    "a text that ends in a character": frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION),
}

_NEW_MESSAGES = {
    **{
        f"a {name} in a message, {len(payload)} bytes, fin {fin:d}": frame(opcode, payload, fin=fin)
        for name, opcode in {"text": TEXT, "binary": BINARY}.items()
        for payload in (b"", b"Hello", b"x" * 126)
        for fin in (True, False)
    },
    "a text after a continuation": frame(CONTINUATION, fin=False) + frame(TEXT, "new"),
    "a continuation with a 16-bit length": frame(CONTINUATION, "x", size=2),
}

_INVALID_FRAGMENTS = {
    f"a continuation with {name}": frame(CONTINUATION, bad) for name, bad in _NOT_UTF_8.items()
}


def _table(*groups: tuple[dict[str, bytes], int]) -> list[Violation]:
    """The violations of the groups, each group with its close code."""
    return [Violation(name, data, code) for cases, code in groups for name, data in cases.items()]


#: Violations wherever they stand, those between messages, and those behind START.
ANYWHERE = _table((_PROTOCOL_ERRORS_ANYWHERE, 1002), (_INVALID_PAYLOADS_ANYWHERE, 1007))
BETWEEN_MESSAGES = _table(
    (_CONTINUATIONS_OF_NOTHING | _MIXED_MESSAGES, 1002), (_INVALID_TEXTS, 1007)
)
INSIDE_A_MESSAGE = _table((_NEW_MESSAGES, 1002), (_INVALID_FRAGMENTS, 1007))

#: One violation for each rule that the service checks, as it stands between messages.
ONE_OF_EACH_RULE = [
    Violation("unmasked", frame(TEXT, "hello", key=b""), 1002),
    Violation("a reserved bit", frame(BINARY, "x", rsv=RSV3), 1002),
    Violation("a reserved opcode", frame(11, "hello"), 1002),
    Violation("a fragmented ping", frame(PING, "x", fin=False), 1002),
    Violation("a long pong", frame(PONG, bytes(126)), 1002),
    Violation("a length not in the fewest bytes", frame(BINARY, bytes(125), size=2), 1002),
    Violation("the top bit of a length", frame_header(BINARY, 2**63), 1002),
    Violation("a continuation of nothing", frame(CONTINUATION, "x"), 1002),
    Violation("a message inside a message", START + frame(TEXT, "new"), 1002),
    Violation("a close payload of one byte", frame(CLOSE, b"\x03"), 1002),
    Violation("an unsendable close code", close_frame(1006, b"bye"), 1002),
    Violation("a close reason that is not UTF-8", close_frame(1000, b"\xff"), 1007),
    Violation("text that is not UTF-8", frame(TEXT, b"ok\xed\xa0\x80"), 1007),
    Violation("text that ends in a character", frame(TEXT, b"\xe2\x82"), 1007),
]

#: Every violation as a stream of its own.
EVERY_STREAM = [
    *ANYWHERE,
    *BETWEEN_MESSAGES,
    *_table((_LONG_FRAMES, 1002)),
    *(violation._replace(data=START + violation.data) for violation in INSIDE_A_MESSAGE),
]
