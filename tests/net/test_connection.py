"""Connection: messages come back as they came; pings and pongs between them."""

import random

import gevent
import pytest
from gevent.event import Event

from echo.protocol.rfc6455 import Opcode

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG

LENGTHS = [0, 1, 2, 124, 125, 126, 127, 128, 65_535, 65_536, 65_537, 262_144, 1 << 20]


def content(kind, size):
    if kind is BINARY:
        return random.Random(size).randbytes(size)
    text = ("aß水𝄞" * (size // 10 + 1)).encode()[:size].decode("utf-8", "ignore").encode()
    return text + b"." * (size - len(text))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_comes_back_byte_for_byte(serve, kind, length):
    peer = serve()
    message = content(kind, length)
    peer.send(peer.frame(kind, message))
    answer = peer.answer(kind, message)
    received = peer.read(len(answer))
    assert received[:10] == answer[:10]
    assert (received == answer) is True
    assert peer.at_hand() == b""


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_all_lengths_on_one_connection_from_a_real_thread(serve, in_thread, kind):
    peer = serve(kind=kind, blocking=True)
    messages = [(kind, content(kind, length)) for length in LENGTHS for kind in (TEXT, BINARY)]

    def talk():
        for message in messages:
            peer.send(peer.frame(*message))
            answer = peer.answer(*message)
            assert (peer.read(len(answer)) == answer) is True
        peer.close()

    in_thread(talk).get(timeout=30)
    assert peer.result().ended.code == 1006


def test_many_messages_at_once_from_a_real_thread(serve, in_thread):
    peer = serve(blocking=True)
    seed = random.Random(5)
    messages = [(BINARY, seed.randbytes(seed.randrange(300))) for _ in range(5_000)]
    sending = in_thread(peer.send, b"".join(peer.frame(*message) for message in messages))
    answers = b"".join(peer.answer(*message) for message in messages)
    received = in_thread(peer.read, len(answers)).get(timeout=30)
    sending.get(timeout=30)
    assert (received == answers) is True


def test_byte_by_byte(serve):
    peer = serve()
    sent = (
        peer.frame(TEXT, "é水".encode()) + peer.frame(PING, b"p") + peer.frame(BINARY, b"b" * 200)
    )
    for byte in sent:
        peer.send(bytes([byte]))
        gevent.sleep(0)
    answers = peer.answer(TEXT, "é水".encode()) + peer.answer(PONG, b"p")
    answers += peer.answer(BINARY, b"b" * 200)
    assert peer.read(len(answers)) == answers


def test_cut_at_every_byte(serve):
    first, last = b"\x02ab", "水".encode()
    whole = serve().frame(BINARY, first) + serve().frame(TEXT, last)
    for cut in range(1, len(whole)):
        peer = serve(kind="unix")
        peer.send(whole[:cut])
        gevent.idle()
        peer.send(whole[cut:])
        answers = peer.answer(BINARY, first) + peer.answer(TEXT, last)
        assert peer.read(len(answers)) == answers, cut


def test_the_fragments_of_a_message_come_back_as_one_frame(serve):
    peer = serve()
    text = "ein Wörtchen in 水".encode()
    pieces = [text[start : start + 3] for start in range(0, len(text), 3)]
    peer.send(peer.frame(TEXT, b"", fin=False))
    for piece in pieces:
        peer.send(peer.frame(CONTINUATION, piece, fin=False))
    peer.send(peer.frame(CONTINUATION))
    assert peer.read(len(text) + 2) == peer.answer(TEXT, text)


def test_read_message_gives_kind_and_payload(serve):
    def handler(connection):
        with connection:
            read.append(connection.read_message())
            read.append(connection.read_message())

    read = []
    peer = serve(handler)
    peer.send(peer.frame(TEXT, b"t") + peer.frame(BINARY, b"\xff") + peer.frame(CLOSE))
    peer.close()
    peer.result()
    assert read == [(TEXT, b"t"), (BINARY, b"\xff")]
    assert [type(payload) for _, payload in read] == [bytes, bytes]


def test_a_connection_knows_its_peer_and_is_not_over(serve):
    def handler(connection):
        known = connection.peer, connection.subprotocol, connection.ended
        with connection:
            pass
        return known

    peer = serve(handler)
    peer.close()
    assert peer.result() == ("x:1", None, None)


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff" * 62 + b"!"])
def test_a_ping_is_answered_with_its_payload(serve, payload):
    peer = serve()
    peer.send(peer.frame(PING, payload))
    assert peer.read(len(payload) + 2) == peer.answer(PONG, payload)


def test_a_ping_is_answered_in_the_middle_of_a_message(serve):
    peer = serve()
    peer.send(peer.frame(TEXT, b"one ", fin=False) + peer.frame(PING, b"first"))
    assert peer.read(7) == peer.answer(PONG, b"first")
    peer.send(peer.frame(CONTINUATION, b"two ", fin=False))
    peer.send(peer.frame(PING, b"second"))
    assert peer.read(8) == peer.answer(PONG, b"second")
    peer.send(peer.frame(CONTINUATION, b"three"))
    assert peer.read(15) == peer.answer(TEXT, b"one two three")


def test_a_ping_is_not_answered_twice(serve):
    peer = serve()
    for number in range(5):
        peer.send(peer.frame(PING, b"%d" % number))
        assert peer.read(3) == peer.answer(PONG, b"%d" % number)
    peer.send(peer.frame(TEXT, b"end"))
    assert peer.read(5) == peer.answer(TEXT, b"end")


def test_a_pong_that_nobody_asked_for_is_ignored(serve):
    peer = serve(kind="unix")
    peer.send(peer.frame(PONG, b"unsolicited"))
    gevent.idle()
    assert peer.at_hand() == b""
    peer.send(peer.frame(PONG) + peer.frame(TEXT, b"a") + peer.frame(PONG, b"b"))
    assert peer.read(3) == peer.answer(TEXT, b"a")
    assert not peer.server.ready()


@pytest.mark.parametrize("payload", [b"", b"abc", b"x" * 125])
def test_ping_sends_at_once(serve, payload):
    def handler(connection):
        with connection:
            connection.write_message(TEXT, b"before")
            connection.ping(payload)
            done.wait(30)

    done = Event()
    peer = serve(handler)
    sent = peer.answer(TEXT, b"before") + peer.answer(PING, payload)
    assert peer.read(len(sent)) == sent
    peer.close()
    done.set()


def test_ping_without_a_payload(serve):
    def handler(connection):
        with connection:
            connection.ping()
            connection.read_message()

    peer = serve(handler)
    assert peer.read(2) == b"\x89\x00"
    peer.send(peer.frame(PONG))


def test_a_ping_too_long_is_refused_and_nothing_is_sent(serve):
    def handler(connection):
        with pytest.raises(ValueError, match="at most 125 bytes"):
            connection.ping(b"x" * 126)
        with connection:
            connection.write_message(*connection.read_message())
            connection.read_message()

    peer = serve(handler)
    peer.send(peer.frame(BINARY, b"alive"))
    assert peer.read(7) == peer.answer(BINARY, b"alive")


def test_two_connections_do_not_mix(serve):
    one, other = serve(), serve()
    one.send(one.frame(TEXT, b"one's ", fin=False))
    other.send(other.frame(TEXT, b"other's ", fin=False) + other.frame(PING, b"p"))
    assert other.read(3) == other.answer(PONG, b"p")
    one.send(one.frame(CONTINUATION, b"own")[:5])
    other.send(other.frame(CONTINUATION, b"very own"))
    assert other.read(18) == other.answer(TEXT, b"other's very own")
    one.send(one.frame(CONTINUATION, b"own")[5:])
    assert one.read(11) == one.answer(TEXT, b"one's own")


# What came behind the handshake, in the segment of the request.


def test_a_whole_frame_that_came_early(serve):
    peer = serve(received=serve().frame(TEXT, b"early"))
    assert peer.read(7) == peer.answer(TEXT, b"early")


@pytest.mark.parametrize("cut", range(12))
def test_a_part_of_a_frame_that_came_early(serve, cut):
    frame = serve().frame(BINARY, b"early")
    peer = serve(received=frame[:cut])
    gevent.idle()
    peer.send(frame[cut:])
    assert peer.read(7) == peer.answer(BINARY, b"early")


def test_more_than_one_frame_that_came_early(serve):
    frame = serve().frame
    peer = serve(received=frame(TEXT, b"a") + frame(PING, b"b") + frame(TEXT, b"c", fin=False))
    assert peer.read(6) == peer.answer(TEXT, b"a") + peer.answer(PONG, b"b")
    peer.send(frame(CONTINUATION, b"d"))
    assert peer.read(4) == peer.answer(TEXT, b"cd")


def test_a_violation_that_came_early(serve):
    peer = serve(received=serve().frame(TEXT, b"good") + b"\x81\x01x")
    assert peer.read(6) == peer.answer(TEXT, b"good")
    assert peer.read_to_end() == b"\x88\x1f\x03\xeaa client must mask its frames"
    peer.close()
    assert peer.result().ended.code == 1002


def test_a_close_that_came_early(serve):
    peer = serve(received=serve().frame(CLOSE, b"\x03\xe9bye"))
    assert peer.read_to_end() == b"\x88\x02\x03\xe9"
    peer.close()
    assert peer.result().ended.args == (1001, "bye")
