"""Connection: the closing handshake, begun by the peer and begun by the server."""

from contextlib import suppress

import gevent
import pytest
from gevent.event import Event

from echo.net.channel import Channel
from echo.net.connection import Connection
from echo.net.limits import Limits
from echo.protocol.budget import ReceiveBudget
from echo.protocol.errors import ClosedByPeer, ClosedByServer, ConnectionClosed
from echo.protocol.rfc6455 import Opcode

DEADLINE = 30.0
TEXT, BINARY, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)
NORMAL = b"\x88\x02\x03\xe8"


# The peer begins.


@pytest.mark.parametrize(
    ("payload", "answer", "code", "reason"),
    [
        (b"", b"\x88\x00", 1005, ""),
        (b"\x03\xe8", b"\x88\x02\x03\xe8", 1000, ""),
        (b"\x03\xe9", b"\x88\x02\x03\xe9", 1001, ""),
        (b"\x03\xe8no more", b"\x88\x02\x03\xe8", 1000, "no more"),
        (b"\x0b\xb8" + "tschüß".encode(), b"\x88\x02\x0b\xb8", 3000, "tschüß"),
        (b"\x13\x87" + b"r" * 123, b"\x88\x02\x13\x87", 4999, "r" * 123),
    ],
)
def test_a_close_is_answered_once_with_its_code(serve, payload, answer, code, reason):
    peer = serve()
    peer.send(peer.frame(CLOSE, payload))
    assert peer.read_to_end() == answer  # the server ends TCP first: the peer has not yet
    assert not peer.server.ready()
    peer.close()
    ended = peer.result().ended
    assert type(ended) is ClosedByPeer
    assert ended.args == (code, reason)
    assert (ended.code, ended.reason, ended.initiator) == (code, reason, "peer")


def test_what_was_answered_before_leaves_before_the_close(serve):
    peer = serve()
    sent = peer.frame(TEXT, b"one") + peer.frame(PING, b"two") + peer.frame(CLOSE, b"\x03\xe8")
    peer.send(sent)
    assert peer.read_to_end() == peer.answer(TEXT, b"one") + peer.answer(PONG, b"two") + NORMAL


def test_what_comes_behind_a_close_is_ignored(serve):
    peer = serve()
    rest = peer.frame(TEXT, b"late") + peer.frame(PING) + peer.frame(CLOSE, b"\x03\xe9") + b"\xff"
    peer.send(peer.frame(CLOSE, b"\x03\xe8") + rest)
    peer.send(rest)
    assert peer.read(4) == NORMAL
    peer.send(rest)
    assert peer.read_to_end() == b""
    peer.close()
    assert peer.result().ended.code == 1000


def test_a_close_in_the_middle_of_a_message(serve):
    peer = serve()
    peer.send(peer.frame(TEXT, b"half", fin=False) + peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == NORMAL


def test_after_a_close_each_call_raises_the_same(serve):
    def handler(connection):
        caught = []
        for call in (
            connection.read_message,
            connection.read_message,
            lambda: connection.write_message(TEXT, b"x"),
            connection.ping,
            connection.read_message,
        ):
            with pytest.raises(ClosedByPeer) as closed:
                call()
            caught.append(closed.value)
        connection.close()
        return caught, connection.ended

    peer = serve(handler)
    peer.send(peer.frame(CLOSE, b"\x03\xe8bye") + peer.frame(TEXT, b"late"))
    assert peer.read_to_end() == NORMAL
    peer.close()
    caught, ended = peer.result()
    assert all(one is ended for one in caught)


def test_a_peer_that_is_gone_before_its_answer_has_still_closed(serve):
    peer = serve(kind="unix")
    peer.send(peer.frame(CLOSE, b"\x03\xe8bye"))
    peer.close()
    assert peer.result().ended.args == (1000, "bye")


def test_a_peer_that_is_gone_before_the_echoes_it_was_promised_is_lost(serve):
    peer = serve(kind="unix")
    peer.send(peer.frame(TEXT, b"echo this") + peer.frame(CLOSE, b"\x03\xe8bye"))
    peer.close()
    assert peer.result().ended.args == (1006, "Broken pipe")


# The server begins.


def closing(*arguments, first=(), **named):
    """A handler that writes ``first`` and closes."""

    def handler(connection):
        for message in first:
            connection.write_message(*message)
        connection.close(*arguments, **named)
        return connection

    return handler


@pytest.mark.parametrize(
    ("arguments", "frame"),
    [
        ((), NORMAL),
        ((1001,), b"\x88\x02\x03\xe9"),
        ((1000, "done"), b"\x88\x06\x03\xe8done"),
        ((4999, "über"), b"\x88\x07\x13\x87" + "über".encode()),
        ((3000, "r" * 123), b"\x88\x7d\x0b\xb8" + b"r" * 123),
        ((1000, "r" * 124), b"\x88\x7d\x03\xe8" + b"r" * 123),
        ((1000, "é" * 100), b"\x88\x7c\x03\xe8" + "é".encode() * 61),
        ((1000, "𝄞" * 31), b"\x88\x7a\x03\xe8" + "𝄞".encode() * 30),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_the_close_frame_and_how_it_ended(serve, arguments, frame):
    peer = serve(closing(*arguments))
    assert peer.read(len(frame)) == frame
    peer.send(peer.frame(CLOSE, frame[2:4]))
    assert peer.read_to_end() == b""  # the server ends TCP first
    peer.close()
    ended = peer.result().ended
    assert type(ended) is ClosedByServer
    assert ended.args == (*arguments, *(1000, "")[len(arguments) :])
    assert ended.initiator == "server"


def test_it_waits_for_the_peers_close_frame(serve):
    peer = serve(closing())
    assert peer.read(4) == NORMAL
    gevent.idle()
    assert not peer.server.ready()
    assert peer.at_hand() == b""
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b""


def test_what_comes_before_the_peers_close_frame_is_neither_given_nor_answered(serve):
    peer = serve(closing())
    assert peer.read(4) == NORMAL
    peer.send(peer.frame(TEXT, b"a") + peer.frame(PING, b"b"))
    peer.send(peer.frame(BINARY, b"c" * 300_000) + peer.frame(PONG))
    gevent.idle()
    assert not peer.server.ready()
    assert peer.at_hand() == b""
    peer.send(peer.frame(TEXT, b"d") + peer.frame(CLOSE, b"\x03\xe8") + peer.frame(PING))
    assert peer.read_to_end() == b""
    peer.close()
    assert peer.result().ended.args == (1000, "")


def test_what_was_written_leaves_before_the_close_frame(serve):
    peer = serve(closing(first=[(TEXT, b"one"), (BINARY, b"two")]), "packets")
    expected = peer.answer(TEXT, b"one") + peer.answer(BINARY, b"two") + NORMAL
    assert peer.socket.recv(1 << 20) == expected


def test_a_close_frame_that_had_come_already_is_enough(serve):
    def handler(connection):
        message = connection.read_message()
        connection.close(1001)
        return message, connection.ended.args

    peer = serve(handler)
    peer.send(peer.frame(TEXT, b"last") + peer.frame(TEXT, b"unread") + peer.frame(CLOSE))
    assert peer.read_to_end() == b"\x88\x02\x03\xe9"
    peer.close()
    assert peer.result() == ((TEXT, b"last"), (1001, ""))


def test_both_at_once(serve):
    peer = serve(closing(1001))
    peer.send(peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == b"\x88\x02\x03\xe9"


@pytest.mark.parametrize("end", ["end_output", "close", "reset"])
def test_a_peer_that_ends_without_a_close_frame(serve, end):
    peer = serve(closing(1000, "bye"))
    assert peer.read(7) == b"\x88\x05\x03\xe8bye"
    getattr(peer, end)()
    peer.server.join(DEADLINE)
    assert peer.result().ended.args == (1000, "bye")


def test_a_violation_instead_of_the_peers_close_frame_ends_the_wait(serve):
    peer = serve(closing())
    assert peer.read(4) == NORMAL
    peer.send(peer.frame(TEXT, b"good") + b"\x81\x01x")
    assert peer.read_to_end() == b""
    peer.close()
    assert peer.result().ended.args == (1000, "")


def test_a_peer_that_never_answers_is_given_up(serve):
    peer = serve(closing(1000, "bye", timeout=0.05))
    peer.server.join(DEADLINE)
    assert peer.result().ended.args == (1000, "bye")
    assert peer.read_to_end() == b"\x88\x05\x03\xe8bye"


def test_a_peer_that_answers_but_does_not_end_is_given_up(serve):
    peer = serve(closing(timeout=0.2))
    peer.send(peer.frame(CLOSE))
    assert peer.result().ended.args == (1000, "")
    assert peer.read_to_end() == NORMAL


def test_a_peer_that_sends_on_and_on_is_given_up(serve):
    peer = serve(closing(timeout=0.05))
    with peer.flooding(peer.frame(BINARY, b"on and on")):
        assert peer.result().ended.args == (1000, "")


def test_a_peer_that_does_not_read_is_given_up(pair):
    sock, peer = pair("unix")
    sock.settimeout(0.0)
    with suppress(BlockingIOError):
        while True:
            sock.send(b"full ")
    connection = Connection(Channel(sock), peer="x:1", limits=Limits(), budget=ReceiveBudget(1000))
    connection.write_message(TEXT, b"queued")
    connection.close(1000, timeout=0.05)
    assert connection.ended.args == (1000, "")
    assert peer.read_to_end().replace(b"full ", b"") == b""


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65_535, 70_000, -1])
def test_a_code_that_may_not_be_sent_is_refused_and_changes_nothing(serve, code):
    def handler(connection):
        with pytest.raises(ValueError, match=f"close code {code} must not be sent"):
            connection.close(code)
        assert connection.ended is None
        with connection:
            while True:
                connection.write_message(*connection.read_message())

    peer = serve(handler)
    peer.send(peer.frame(TEXT, b"alive") + peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == peer.answer(TEXT, b"alive") + NORMAL
    peer.close()
    peer.result()


def test_a_second_close_does_nothing(serve):
    def handler(connection):
        connection.close(1001, "first")
        connection.close(1000, "second")
        connection.close(99)
        return connection

    peer = serve(handler)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b"\x88\x07\x03\xe9first"
    peer.close()
    assert peer.result().ended.args == (1001, "first")


def test_after_our_close_each_call_raises_the_same(serve):
    def handler(connection):
        connection.close(1001)
        caught = []
        for call in (
            connection.read_message,
            lambda: connection.write_message(BINARY, b"x" * 100_000),
            connection.ping,
        ):
            with pytest.raises(ConnectionClosed) as closed:
                call()
            caught.append(closed.value)
        return caught, connection.ended

    peer = serve(handler)
    peer.send(peer.frame(TEXT, b"unread") + peer.frame(CLOSE) + peer.frame(TEXT, b"late"))
    assert peer.read_to_end() == b"\x88\x02\x03\xe9"
    peer.close()
    caught, ended = peer.result()
    assert type(ended) is ClosedByServer
    assert all(one is ended for one in caught)


def test_after_our_close_to_nobody_what_had_come_before_is_not_given(serve):
    def handler(connection):
        assert connection.read_message() == (TEXT, b"read")
        peer.close()
        connection.close(1001)
        with pytest.raises(ClosedByServer) as closed:
            connection.read_message()
        return closed.value is connection.ended

    peer = serve(handler, "unix")
    peer.send(peer.frame(TEXT, b"read") + peer.frame(TEXT, b"unread"))
    assert peer.result() is True


def test_closing_blocks_no_other_greenlet(serve):
    waiting, ticked = serve(closing()), Event()
    gevent.spawn(ticked.set)
    assert ticked.wait(DEADLINE)
    assert waiting.read(4) == NORMAL
    assert not waiting.server.ready()
