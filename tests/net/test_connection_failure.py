"""Connection: peers that break a rule, and peers that vanish."""

import pytest

from echo.net.connection import FLUSH_SIZE
from echo.protocol.errors import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionLost,
    InvalidPayload,
    MessageTooBig,
    ProtocolError,
)
from echo.protocol.rfc6455 import Opcode

DEADLINE = 30.0
LIMIT = 1000
TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG

#: What a peer sends, as a function of how it makes frames, and the close code that it earns.
VIOLATIONS = {
    "unmasked": (lambda _: b"\x81\x01x", 1002),
    "unmasked close": (lambda _: b"\x88\x00", 1002),
    "reserved bit": (lambda frame: b"\xc1" + frame(TEXT, b"x")[1:], 1002),
    "reserved bit of a ping": (lambda frame: b"\x99" + frame(PING)[1:], 1002),
    "reserved opcode": (lambda frame: frame(0x3), 1002),
    "reserved control opcode": (lambda frame: frame(0xB), 1002),
    "fragmented ping": (lambda frame: frame(PING, fin=False), 1002),
    "long ping": (lambda frame: frame(PING, b"x" * 126), 1002),
    "without a message to continue": (lambda frame: frame(CONTINUATION, b"x"), 1002),
    "message in a message": (lambda frame: frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "length not minimal": (lambda _: b"\x82\xfe\x00\x7d", 1002),
    "top bit of the length": (lambda _: b"\x82\xff\x80" + bytes(7), 1002),
    "close of one byte": (lambda frame: frame(CLOSE, b"\x03"), 1002),
    "close code 999": (lambda frame: frame(CLOSE, b"\x03\xe7"), 1002),
    "close code 1005": (lambda frame: frame(CLOSE, b"\x03\xed"), 1002),
    "close code 5000": (lambda frame: frame(CLOSE, b"\x13\x88"), 1002),
    "text": (lambda frame: frame(TEXT, b"a\xff"), 1007),
    "text that stops short": (lambda frame: frame(TEXT, b"a\xe6\xb0"), 1007),
    "text in a fragment": (lambda frame: frame(TEXT, b"a\xe6\x41", fin=False), 1007),
    "half a surrogate": (lambda frame: frame(TEXT, b"a\xed\xa0", fin=False), 1007),
    "text still arriving": (lambda frame: frame(TEXT, b"ok" + b"\xc0" + b"x" * 500)[:12], 1007),
    "close reason": (lambda frame: frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "too big, by its header": (lambda frame: frame(BINARY, b"x" * (LIMIT + 1))[:8], 1009),
    "too big by far": (lambda _: b"\x82\xff\x7f" + b"\xff" * 7 + b"mask", 1009),
    "too big together": (
        lambda frame: frame(BINARY, b"x" * LIMIT, fin=False) + frame(CONTINUATION, b"x"),
        1009,
    ),
}
KINDS = {1002: ProtocolError, 1007: InvalidPayload, 1009: MessageTooBig}


def catch_all(connection):
    """Echo until the first exception, then call everything again: all exceptions, in order."""

    def echo():
        while True:
            connection.write_message(*connection.read_message())

    caught = []
    for call in (
        echo,
        connection.read_message,
        lambda: connection.write_message(TEXT, b"late"),
        lambda: connection.write_message(BINARY, b"l" * (FLUSH_SIZE + 1)),
        connection.ping,
        connection.read_message,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            call()
        caught.append(closed.value)
    connection.close()
    return connection.ended, caught


@pytest.fixture(params=VIOLATIONS)
def violation(request):
    return VIOLATIONS[request.param]


def close_frame_of(ended):
    payload = ended.code.to_bytes(2) + ended.reason.encode()
    return bytes([0x88, len(payload)]) + payload


def test_a_violation_fails_the_connection_behind_the_echoes_of_what_was_good(serve, violation):
    make, code = violation
    peer = serve(catch_all, max_message_size=LIMIT)
    good = [(TEXT, b"good"), (BINARY, b"\xff" * LIMIT)]
    late = peer.frame(TEXT, b"late") + peer.frame(PING, b"late") + peer.frame(CLOSE, b"\x03\xe8")
    peer.send(b"".join(peer.frame(*one) for one in good) + make(peer.frame) + late)
    answers = b"".join(peer.answer(*one) for one in good)
    assert peer.read(len(answers)) == answers
    peer.send(late)
    closing = peer.read_to_end()  # the server ends TCP first
    peer.close()
    ended, caught = peer.result()
    assert closing == close_frame_of(ended)
    assert type(ended) is ConnectionFailed
    assert (ended.code, ended.initiator) == (code, "server")
    assert ended.reason
    assert all(one is ended for one in caught)
    assert type(ended.__cause__) is KINDS[code]


def test_a_violation_needs_no_good_message_before_it(serve, violation):
    make, code = violation
    peer = serve(max_message_size=LIMIT)
    peer.send(make(peer.frame))
    closing = peer.read_to_end()
    peer.close()
    ended = peer.result().ended
    assert closing == close_frame_of(ended)
    assert ended.code == code


def test_what_is_within_the_limit_is_no_violation(serve):
    peer = serve(max_message_size=LIMIT)
    whole = b"x" * LIMIT
    peer.send(peer.frame(BINARY, whole) + peer.frame(TEXT, whole[:1], fin=False))
    peer.send(peer.frame(CONTINUATION, whole[1:]))
    answers = peer.answer(BINARY, whole) + peer.answer(TEXT, whole)
    assert peer.read(len(answers)) == answers


@pytest.mark.parametrize("kind", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("limit", [0, 1, 5, 124, 125, 126])
def test_a_small_limit_holds_too(serve, kind, limit):
    peer = serve(max_message_size=limit)
    peer.send(peer.frame(kind, b"x" * limit) + peer.frame(kind, b"x" * (limit + 1)))
    peer.end_output()
    failure = peer.answer(CLOSE, b"\x03\xf1message is longer than %d bytes" % limit)
    assert peer.read_to_end() == peer.answer(kind, b"x" * limit) + failure


def test_the_close_frame_of_a_failure_reaches_a_peer_that_sends_on(serve, in_thread):
    peer = serve(blocking=True, max_message_size=LIMIT)

    def send_all_then_read():
        peer.send(peer.frame(BINARY, b"x" * (8 << 20)))
        closing = peer.read_to_end()
        peer.close()
        return closing

    closing = in_thread(send_all_then_read).get(timeout=DEADLINE)
    ended = peer.result().ended
    assert ended.code == 1009
    assert closing == close_frame_of(ended)


# Peers that vanish.


@pytest.mark.parametrize(
    ("cut", "where"),
    [
        (0, "between messages"),
        (1, "in the middle of a message"),
        (5, "in the middle of a message"),
        (6, "in the middle of a message"),
        (12, "in the middle of a message"),
        (13, "between messages"),
    ],
)
def test_the_end_of_the_stream(serve, cut, where):
    peer = serve(catch_all)
    peer.send(peer.frame(TEXT, b"message")[:cut])
    peer.end_output()
    assert peer.read_to_end() == (peer.answer(TEXT, b"message") if cut == 13 else b"")
    ended, caught = peer.result()
    assert type(ended) is ConnectionLost
    assert ended.args == (1006, f"end of stream {where}, without a close frame")
    assert ended.initiator == "peer"
    assert all(one is ended for one in caught)


@pytest.mark.parametrize("began", ["fragment", "control frame"])
def test_the_end_of_the_stream_in_the_middle(serve, began):
    peer = serve()
    frame = peer.frame(TEXT, b"a", fin=False) if began == "fragment" else peer.frame(PING, b"p")[:3]
    peer.send(frame)
    peer.close()
    assert "in the middle of a message" in peer.result().ended.reason


def test_a_reset_while_it_waits(serve):
    peer = serve(catch_all)
    peer.send(peer.frame(TEXT, b"a"))
    assert peer.read(3) == peer.answer(TEXT, b"a")
    peer.reset()
    ended, caught = peer.result()
    assert type(ended) is ConnectionLost
    assert ended.args == (1006, "Connection reset by peer")
    assert all(one is ended for one in caught)


def test_a_reset_while_it_writes(serve):
    peer = serve(catch_all)
    message = b"x" * (16 << 20)
    peer.send(peer.frame(BINARY, message[: (16 << 20) - 1]))
    assert peer.read(10) == peer.answer(BINARY, message[:-1])[:10]
    peer.reset()
    ended, caught = peer.result()
    assert type(ended) is ConnectionLost
    assert ended.reason in {"Connection reset by peer", "Broken pipe"}
    assert all(one is ended for one in caught)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(TEXT, b"unread"), (PING, b"unanswered"), (CLOSE, b"\x03\xe8")],
    ids=["message", "ping", "close"],
)
def test_lost_while_it_writes_what_had_come_before_is_not_given(serve, kind, payload):
    """What has failed stays failed: no message, no other end comes after the exception."""

    def handler(connection):
        assert connection.read_message() == (TEXT, b"first")
        peer.close()
        caught = []
        for call in (connection.ping, connection.read_message, connection.read_message):
            with pytest.raises(ConnectionClosed) as closed:
                call()
            caught.append(closed.value)
        return connection.ended, caught

    peer = serve(handler, "unix")
    peer.send(peer.frame(TEXT, b"first") + peer.frame(kind, payload))
    ended, caught = peer.result()
    assert ended.args == (1006, "Broken pipe")
    assert all(one is ended for one in caught)
