"""Connection with permessage-deflate (RFC 7692): what is written compressed, and what is not."""

import random
import zlib

import gevent
import pytest

from echo.net.channel import Channel
from echo.protocol.deflate import (
    DEFLATE_STEP,
    DeflateParameters,
    DeflatePolicy,
    PerMessageDeflate,
)
from echo.protocol.rfc6455 import Opcode

TEXT, BINARY, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)
RSV1 = 0x40
TAIL = b"\x00\x00\xff\xff"

COMPRESSIBLE = b"".join(b'{"id": %d, "name": "user %d"}\n' % (i, i * 7919) for i in range(60_000))
RANDOM = random.Random(3).randbytes(5000)


def extension(*, keeps=False, **policy):
    """The extension in the use of one connection, with its context kept or not."""
    agreed = DeflateParameters(not keeps, not keeps)
    return PerMessageDeflate(agreed, DeflatePolicy(context_takeover=keeps, **policy))


def deflate(message):
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


def read_frame(peer):
    """The next frame: its first byte and its payload."""
    first, size = peer.read(2)
    if size > 125:
        size = int.from_bytes(peer.read(2 if size == 126 else 8))
    return first, peer.read(size)


def read_compressed(peer, decompressor=None):
    """The next frame, which is compressed: its kind and the message."""
    first, payload = read_frame(peer)
    assert first & 0xF0 == 0x80 | RSV1, first
    decompressor = decompressor or zlib.decompressobj(-15)
    return first & 0xF, decompressor.decompress(payload + TAIL)


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("length", [256, 5000, DEFLATE_STEP, DEFLATE_STEP + 1, 1 << 20])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_comes_back_compressed(serve, kind, length, keeps):
    peer = serve(deflate=extension(keeps=keeps))
    message = COMPRESSIBLE[:length]
    peer.send(peer.frame(kind | RSV1, deflate(message)))
    assert read_compressed(peer) == (kind, message)
    assert peer.at_hand() == b""


def test_a_message_that_came_plain_is_compressed_too(serve):
    peer = serve(deflate=extension())
    peer.send(peer.frame(TEXT, COMPRESSIBLE[:5000]))
    assert read_compressed(peer) == (TEXT, COMPRESSIBLE[:5000])


def test_a_message_below_the_threshold_is_sent_as_it_is(serve):
    peer = serve(deflate=extension(min_size=100))
    below, at = bytes(99), bytes(100)
    peer.send(peer.frame(BINARY | RSV1, deflate(below)) + peer.frame(BINARY | RSV1, deflate(at)))
    expected = peer.answer(BINARY, below)
    assert peer.read(len(expected)) == expected
    assert read_compressed(peer) == (BINARY, at)


def test_an_empty_message_is_sent_in_the_shorter_way(serve):
    peer = serve(deflate=extension(min_size=0))
    peer.send(peer.frame(TEXT))
    assert peer.read(2) == b"\x81\x00"


@pytest.mark.parametrize("size", [5000, 1])
def test_what_does_not_become_shorter_is_sent_as_it_is(serve, size):
    peer = serve(deflate=extension(min_size=0))
    peer.send(peer.frame(BINARY, RANDOM[:size]) + peer.frame(TEXT, COMPRESSIBLE[:1000]))
    expected = peer.answer(BINARY, RANDOM[:size])
    assert (peer.read(len(expected)) == expected) is True
    assert read_compressed(peer) == (TEXT, COMPRESSIBLE[:1000])


def test_where_a_context_is_kept_all_that_went_into_it_is_sent(serve):
    """The third message refers to the second, which did not become shorter."""
    peer = serve(deflate=extension(keeps=True, min_size=0))
    decompressor = zlib.decompressobj(-15)
    sizes = []
    for message in (b"", RANDOM, RANDOM):
        peer.send(peer.frame(BINARY, message))
        first, payload = read_frame(peer)
        assert first == 0x80 | RSV1 | BINARY
        assert decompressor.decompress(payload + TAIL) == message
        sizes.append(len(payload))
    assert sizes[2] < 1000 < len(RANDOM) < sizes[1]


def test_without_a_context_every_message_stands_for_itself(serve):
    peer = serve(deflate=extension())
    payloads = set()
    for _ in range(3):
        peer.send(peer.frame(TEXT, COMPRESSIBLE[:3000]))
        first, payload = read_frame(peer)
        assert first & RSV1
        payloads.add(payload)
    assert len(payloads) == 1


def test_connections_do_not_share_a_context(serve):
    peers = [serve(deflate=extension(keeps=True)) for _ in range(2)]
    decompressors = [zlib.decompressobj(-15) for _ in peers]
    for number in range(6):
        message = COMPRESSIBLE[number * 100 :][:2000]
        for peer, decompressor in zip(peers, decompressors, strict=True):
            peer.send(peer.frame(TEXT, message))
            assert read_compressed(peer, decompressor) == (TEXT, message)


def test_answers_keep_their_order(serve):
    peer = serve(deflate=extension())
    sent = [(TEXT, b"short"), (PING, b"1"), (BINARY, COMPRESSIBLE[: 5 * DEFLATE_STEP])]
    sent += [(PING, b"2"), (BINARY, RANDOM), (TEXT, COMPRESSIBLE[:300]), (PING, b"3"), (TEXT, b"")]
    peer.send(b"".join(peer.frame(*frame) for frame in sent))
    for kind, payload in sent:
        first, answer = read_frame(peer)
        if first & RSV1:
            answer = zlib.decompressobj(-15).decompress(answer + TAIL)
        assert first & 0xF == (PONG if kind is PING else kind)
        assert (answer == payload) is True


# ---- Giving way


@pytest.fixture
def ways_given(monkeypatch):
    """A list that grows with each call of yield_now."""
    calls = []
    yield_now = Channel.yield_now

    def counted(channel):
        calls.append(channel)
        yield_now(channel)

    monkeypatch.setattr(Channel, "yield_now", counted)
    return calls


def writer(message, *, before=lambda _connection: None, after=lambda: None):
    """A handler that writes one message."""

    def handler(connection):
        with connection:
            before(connection)
            connection.write_message(BINARY, message)
            after()
            connection.read_message()
        return connection

    return handler


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_large_message_gives_way_between_its_steps(serve, ways_given, steps, keeps):
    message = COMPRESSIBLE[: steps * DEFLATE_STEP]
    peer = serve(writer(message), deflate=extension(keeps=keeps))
    assert read_compressed(peer) == (BINARY, message)
    assert steps - 1 <= len(ways_given) <= steps
    assert steps > 1 or not ways_given


def test_others_are_served_while_a_large_message_is_compressed(serve):
    order = []

    def ask(_connection):
        order.append("begin")
        single.send(single.frame(TEXT, b"x"))

    def echo(connection):
        with connection:
            while True:
                message = connection.read_message()
                order.append("single")
                connection.write_message(*message)

    single = serve(echo)
    gevent.idle()
    handler = writer(COMPRESSIBLE, before=ask, after=lambda: order.append("end"))
    busy = serve(handler, deflate=extension())
    assert read_compressed(busy) == (BINARY, COMPRESSIBLE)
    assert order == ["begin", "single", "end"]


def test_a_close_that_is_asked_for_meanwhile_comes_behind_the_message(serve):
    def ask(connection):
        gevent.spawn(connection.go_away_soon)

    peer = serve(writer(COMPRESSIBLE, before=ask), deflate=extension())
    assert read_compressed(peer) == (BINARY, COMPRESSIBLE)
    assert read_frame(peer) == (0x80 | CLOSE, b"\x03\xe9going away")
    peer.send(peer.frame(CLOSE, b"\x03\xe9"))
    peer.close()
    assert peer.result().ended.code == 1001


def test_killed_while_it_compresses_nothing_of_the_message_is_sent(serve):
    def ask(_connection):
        gevent.spawn(peer.server.kill, block=False)

    peer = serve(writer(COMPRESSIBLE, before=ask), deflate=extension(keeps=True))
    assert read_frame(peer) == (0x80 | CLOSE, b"\x03\xe9going away")
    peer.close()
    peer.server.join(timeout=30)
    assert peer.server.dead
