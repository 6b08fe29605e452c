"""RFC 7692, section 7.2: what is compressed and inflated, byte for byte, and within its bounds."""

import os
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate as Strict
from websockets.frames import Frame, Opcode

from echo.protocol.deflate import (
    DEFLATE_STEP,
    INFLATE_STEP,
    DeflateParameters,
    DeflatePolicy,
    Deflater,
    Inflater,
)
from echo.protocol.errors import InvalidPayload
from tests.protocol.streams import FORGETFUL, KEEPING, MODEST

PLENTY = 1 << 24

#: Section 7.2.3, each with a context that is new.
EXAMPLES = {
    "one block": ("f2 48 cd c9 c9 07 00", b"Hello"),
    "no compression": ("00 05 00 fa ff 48 65 6c 6c 6f 00", b"Hello"),
    "BFINAL": ("f3 48 cd c9 c9 07 00 00", b"Hello"),
    "two blocks": ("f2 48 05 00 00 00 ff ff ca c9 c9 07 00", b"Hello"),
    "empty": ("00", b""),
}

TEXT = b"".join(b'{"id": %d, "name": "user %d", "ok": true}\n' % (i, i * 7919) for i in range(5000))
MESSAGES = {
    "empty": b"",
    "a byte": b"x",
    "text": TEXT,
    "zeros": bytes(300_000),
    "random": random.Random(7).randbytes(200_000),
    "a step": TEXT[:DEFLATE_STEP],
    "a step and a byte": TEXT[: DEFLATE_STEP + 1],
    "two steps": TEXT[: 2 * DEFLATE_STEP],
}


def inflate(inflater, payload, limit=PLENTY, step=INFLATE_STEP):
    """A whole message, in the steps that the service takes."""
    inflated = b""
    for position in range(0, len(payload), step):
        piece = payload[position : position + step]
        inflated += inflater.inflate(piece, limit - len(inflated))
    inflater.finish()
    return inflated


def deflate(message, parameters=FORGETFUL, deflater=None, **policy):
    deflater = deflater or Deflater(parameters, DeflatePolicy(**policy))
    return b"".join(deflater.deflate(message))


@pytest.mark.parametrize("parameters", [FORGETFUL, KEEPING])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_rfc_are_inflated(name, parameters):
    payload, message = EXAMPLES[name]
    assert inflate(Inflater(parameters), bytes.fromhex(payload)) == message


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_inflated_byte_by_byte(name):
    payload, message = EXAMPLES[name]
    inflater = Inflater(KEEPING)
    pieces = [inflater.inflate(bytes([byte]), PLENTY) for byte in bytes.fromhex(payload)]
    inflater.finish()
    assert b"".join(pieces) == message


def test_the_window_is_shared_between_messages_as_in_section_7_2_3_2():
    inflater = Inflater(KEEPING)
    assert inflate(inflater, bytes.fromhex("f2 48 cd c9 c9 07 00")) == b"Hello"
    assert inflate(inflater, bytes.fromhex("f2 00 11 00 00")) == b"Hello"


def test_without_context_takeover_no_earlier_message_can_be_referred_to():
    inflater = Inflater(FORGETFUL)
    assert inflate(inflater, bytes.fromhex("f2 48 cd c9 c9 07 00")) == b"Hello"
    with pytest.raises(InvalidPayload, match="earlier one; client_no_context_takeover is agreed"):
        inflate(inflater, bytes.fromhex("f2 00 11 00 00"))


def test_an_empty_message_is_compressed_to_an_empty_block():
    assert deflate(b"") == b"\x00"


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("parameters", [FORGETFUL, KEEPING])
@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_compressed_is_inflated_to_the_same(name, parameters, level):
    deflater = Deflater(parameters, DeflatePolicy(level=level))
    inflater = Inflater(parameters)
    for _ in range(3):
        message = MESSAGES[name]
        assert inflate(inflater, deflate(message, deflater=deflater)) == message


@pytest.mark.parametrize("name", MESSAGES)
def test_a_strict_peer_inflates_what_is_compressed(name):
    for parameters in FORGETFUL, KEEPING:
        forgets = parameters.server_no_context_takeover
        peer = Strict(forgets, forgets, 15, 15)
        deflater = Deflater(parameters, DeflatePolicy())
        for _ in range(3):
            payload = deflate(MESSAGES[name], deflater=deflater)
            frame = peer.decode(Frame(Opcode.BINARY, payload, rsv1=True))
            assert frame.data == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_what_a_strict_peer_compresses_is_inflated(name):
    for parameters in FORGETFUL, KEEPING:
        forgets = parameters.server_no_context_takeover
        peer = Strict(forgets, forgets, 15, 15)
        inflater = Inflater(parameters)
        for _ in range(3):
            frame = peer.encode(Frame(Opcode.BINARY, MESSAGES[name]))
            assert inflate(inflater, frame.data) == MESSAGES[name]


@MODEST
@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(9, 15), st.booleans())
def test_any_messages_are_what_zlib_says(messages, window_bits, forgets):
    parameters = DeflateParameters(forgets, forgets, window_bits, window_bits)
    deflater, inflater = Deflater(parameters, DeflatePolicy()), Inflater(parameters)
    theirs = zlib.decompressobj(-window_bits)
    for message in messages:
        payload = deflate(message, deflater=deflater)
        if forgets:
            theirs = zlib.decompressobj(-window_bits)
        assert theirs.decompress(payload + b"\x00\x00\xff\xff") == message
        assert inflate(inflater, payload) == message


@pytest.mark.parametrize("bits", range(9, 13))
@pytest.mark.parametrize("forgets", [True, False])
def test_no_reference_is_longer_than_the_window(bits, forgets):
    deflater = Deflater(DeflateParameters(forgets, forgets, bits, bits), DeflatePolicy(level=3))
    repeated = random.Random(bits).randbytes((1 << bits) - 200)
    messages = [repeated + os.urandom(gap) for gap in range(0, 400, 40)]
    strict = zlib.decompressobj(-bits)
    for message in messages:
        if forgets:
            strict = zlib.decompressobj(-bits)
        data = deflate(message + message, deflater=deflater) + b"\x00\x00\xff\xff"
        inflated = b""
        # A decompressor that gives one byte at a time has only its window to look back into.
        while data:
            inflated += strict.decompress(data, 1)
            data = strict.unconsumed_tail
        assert inflated + strict.decompress(b"") == message + message


def test_connections_without_context_share_a_compressor_and_no_bytes():
    secret = os.urandom(1000)
    one, other = (Deflater(FORGETFUL, DeflatePolicy()) for _ in range(2))
    alone = deflate(secret, deflater=other)
    deflate(secret, deflater=one)
    assert deflate(secret, deflater=other) == alone
    assert inflate(Inflater(FORGETFUL), alone) == secret


def test_two_large_messages_may_be_compressed_at_the_same_time():
    deflaters = [Deflater(FORGETFUL, DeflatePolicy()) for _ in range(2)]
    messages = [TEXT, TEXT[::-1]]
    works = [d.deflate(message) for d, message in zip(deflaters, messages, strict=True)]
    payloads = [b"", b""]
    for pieces in zip(*works, strict=True):
        payloads = [payload + piece for payload, piece in zip(payloads, pieces, strict=True)]
    assert [inflate(Inflater(FORGETFUL), payload) for payload in payloads] == messages


def test_a_large_message_is_compressed_in_steps():
    deflater = Deflater(FORGETFUL, DeflatePolicy())
    assert len(list(deflater.deflate(bytes(10 * DEFLATE_STEP)))) == 10
    assert len(list(deflater.deflate(bytes(10 * DEFLATE_STEP + 1)))) == 11
    assert len(list(deflater.deflate(bytes(DEFLATE_STEP)))) == 1


def test_short_messages_are_not_wanted():
    deflater = Deflater(FORGETFUL, DeflatePolicy(min_size=100))
    assert [deflater.wants(size) for size in (0, 99, 100)] == [False, False, True]


def test_what_did_not_become_shorter_is_sent_unless_it_went_into_a_context():
    assert not Deflater(FORGETFUL, DeflatePolicy()).must_send(100, 100)
    assert Deflater(FORGETFUL, DeflatePolicy()).must_send(99, 100)
    assert Deflater(KEEPING, DeflatePolicy()).must_send(101, 100)


@pytest.mark.parametrize("limit", [0, 1, 4999, 100_000])
def test_inflation_stops_one_byte_behind_the_limit(limit):
    bomb = deflate(bytes(1 << 19))
    assert len(bomb) < INFLATE_STEP
    inflater = Inflater(FORGETFUL)
    assert len(inflater.inflate(bomb, limit)) == limit + 1
    assert inflater.work <= limit + 1 + 1024 + 8 * len(bomb)


def test_streams_that_end_count_as_work():
    inflater = Inflater(FORGETFUL)
    assert inflater.inflate(bytes.fromhex("03 00") * 1000, PLENTY) == b""
    assert inflater.work >= 1000 * 1024


@pytest.mark.parametrize("parameters", [FORGETFUL, KEEPING])
@pytest.mark.parametrize("end", ["f3 48 cd c9 c9 07 00", "f3 48 cd c9 c9 07 00 00", "01"])
def test_a_message_may_end_with_the_stream_and_the_next_begins_a_new_one(end, parameters):
    inflater = Inflater(parameters)
    message = b"Hello" if len(end) > 2 else b""
    for _ in range(3):
        assert inflate(inflater, bytes.fromhex(end)) == message


def test_several_streams_in_one_message_are_joined():
    stream = bytes.fromhex("f3 48 cd c9 c9 07 00")
    assert inflate(Inflater(FORGETFUL), stream * 500 + b"\x00") == b"Hello" * 500


@pytest.mark.parametrize("parameters", [FORGETFUL, KEEPING])
@pytest.mark.parametrize(
    "payload",
    ["f2 48 cd c9 c9", "f2 48 cd c9 c9 07", "00 05 00 fa ff 48 65 6c", "04", "05 e0 81 08"],
)
def test_a_message_that_ends_in_the_middle_of_a_block_is_invalid(payload, parameters):
    with pytest.raises(InvalidPayload, match="not DEFLATE"):
        inflate(Inflater(parameters), bytes.fromhex(payload))


@pytest.mark.parametrize("level", range(4))
def test_every_truncation_of_a_message_is_noticed(level):
    message = TEXT[:400]
    payload = deflate(message, level=level)
    for parameters in FORGETFUL, KEEPING:
        for size in range(len(payload)):
            with pytest.raises(InvalidPayload, match="not DEFLATE" if size else "no bytes"):
                inflate(Inflater(parameters), payload[:size])


@pytest.mark.parametrize("payload", ["07", "ff ff", "00 05 00 05 00", "04 ff ff ff ff ff"])
def test_what_is_not_deflate_is_invalid_and_says_why(payload):
    with pytest.raises(InvalidPayload, match=r"^not DEFLATE: [a-z ]+$"):
        inflate(Inflater(FORGETFUL), bytes.fromhex(payload))


def test_without_context_takeover_every_message_is_compressed_alike():
    deflater = Deflater(FORGETFUL, DeflatePolicy())
    assert deflate(TEXT, deflater=deflater) == deflate(TEXT, deflater=deflater)


def test_behind_a_stream_that_ended_an_empty_payload_is_no_message():
    inflater = Inflater(KEEPING)
    assert inflate(inflater, bytes.fromhex("f3 48 cd c9 c9 07 00")) == b"Hello"
    with pytest.raises(InvalidPayload, match="compressed message has no bytes"):
        inflate(inflater, b"")


BOTH = pytest.mark.parametrize("parameters", [FORGETFUL, KEEPING], ids=["forgetful", "keeping"])


def zlib_compressed(message, level, strategy=zlib.Z_DEFAULT_STRATEGY, mode=zlib.Z_SYNC_FLUSH):
    """A message with the end that is to be removed."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return compressor.compress(message) + compressor.flush(mode)


@BOTH
@pytest.mark.parametrize("step", [1, 3, 4, 1024])
@pytest.mark.parametrize("mode", [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])
@pytest.mark.parametrize("message", [b"", b"Hello", TEXT[:5000], bytes(5000)])
def test_an_end_that_was_not_removed_is_named(parameters, message, mode, step):
    for level in 0, 1, 6:
        payload = zlib_compressed(message, level, mode=mode)
        inflater = Inflater(parameters)
        if parameters is KEEPING:
            assert inflate(inflater, deflate(b"before")) == b"before"
        with pytest.raises(InvalidPayload, match=r"ends with 00 00 ff ff: .*RFC 7692, 7\.2\.1"):
            inflate(inflater, payload, step=step)


def test_an_end_that_was_not_removed_behind_a_stream_that_ended_is_named():
    payload = bytes.fromhex("f3 48 cd c9 c9 07 00 00 00 ff ff")
    with pytest.raises(InvalidPayload, match="ends with 00 00 ff ff"):
        inflate(Inflater(FORGETFUL), payload)


@BOTH
def test_a_message_may_have_such_bytes_at_its_end(parameters):
    """Two empty blocks, of which one is left out: what was removed is what had to be."""
    message = bytes.fromhex("00 00 ff ff")
    payload = zlib_compressed(message, 0)[:-4]
    assert inflate(Inflater(parameters), payload) == message
    assert inflate(Inflater(parameters), bytes.fromhex("00 00 00 ff ff 00")) == b""


@BOTH
@pytest.mark.parametrize("before", [[], [b"Hello"], [b"Hello", b""]])
def test_a_compressed_message_without_bytes_is_named(parameters, before):
    inflater, deflater = Inflater(parameters), Deflater(parameters, DeflatePolicy())
    for message in before:
        assert inflate(inflater, deflate(message, deflater=deflater)) == message
    inflater.inflate(b"", PLENTY)
    with pytest.raises(InvalidPayload, match=r"no bytes: send an empty one as the byte 00"):
        inflater.finish()


def reference(distance):
    """A message that refers so far back (RFC 1951, section 3.2.5), for three bytes."""
    code, bits, base = next(
        (code, bits, base) for code, bits, base in reversed(_DISTANCES) if base <= distance
    )
    stream = "0" + "01"[::-1] + "0000001" + f"{code:05b}"
    stream += f"{distance - base:0{bits}b}"[::-1] if bits else ""
    stream += "0000000" + "0" + "00"
    stream += "0" * (-len(stream) % 8)
    return bytes(int(stream[i : i + 8][::-1], 2) for i in range(0, len(stream), 8))


#: Code, extra bits and the first distance of each kind of reference.
_DISTANCES = [
    (code, max(0, code // 2 - 1), base)
    for code, base in enumerate(
        [
            *[1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025],
            *[1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577],
        ]
    )
]


def test_a_reference_of_the_test_is_one():
    inflater = Inflater(KEEPING)
    assert inflate(inflater, deflate(TEXT[:20_000], deflater=Deflater(KEEPING, DeflatePolicy())))
    assert inflate(inflater, reference(10_000)) == TEXT[10_000:10_003]


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (None, "an earlier one; client_no_context_takeover is agreed$"),
        (15, "an earlier one; client_no_context_takeover is agreed$"),
        (12, "an earlier one or beyond the window of 4096 bytes; client_no_context_takeover"),
        (9, "an earlier one or beyond the window of 512 bytes; client_no_context_takeover"),
    ],
)
@pytest.mark.parametrize("distance", [1, 5, 300])
def test_a_reference_to_an_earlier_message_is_named(distance, bits, said):
    inflater = Inflater(DeflateParameters(True, True, None, bits))
    assert inflate(inflater, deflate(bytes(500))) == bytes(500)
    with pytest.raises(InvalidPayload, match=said) as broken:
        inflate(inflater, reference(distance))
    assert len(broken.value.reason) <= 123


@pytest.mark.parametrize(("bits", "size"), [(None, 32768), (15, 32768), (12, 4096), (9, 512)])
def test_a_reference_beyond_the_window_is_named(bits, size):
    inflater = Inflater(DeflateParameters(False, False, None, bits))
    with pytest.raises(InvalidPayload, match=f"refers to what lies beyond the window of {size} b"):
        inflate(inflater, reference(20))


@BOTH
@pytest.mark.parametrize("step", [1, 2, 1024])
@pytest.mark.parametrize(("wbits", "said"), [(15, "zlib's format"), (31, "gzip's format")])
def test_a_wrapped_message_is_named(parameters, wbits, said, step):
    for level in 1, 6, 9:
        compressor = zlib.compressobj(level, zlib.DEFLATED, wbits)
        payload = compressor.compress(b"Hello, Hello") + compressor.flush()
        inflater = Inflater(parameters)
        with pytest.raises(InvalidPayload, match=said):
            inflate(inflater, payload, step=step)
