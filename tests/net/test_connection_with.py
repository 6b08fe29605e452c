"""Connection as a context manager: how a handler's block ends is how the connection ends."""

import gc

import gevent
import pytest
from gevent.event import Event

from echo.net.connection import Connection
from echo.protocol.budget import BudgetShare
from echo.protocol.errors import ClosedByPeer, ClosedByServer, ConnectionLost
from echo.protocol.rfc6455 import Opcode

DEADLINE = 30.0
TEXT, BINARY, CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE

NORMAL = b"\x88\x02\x03\xe8"
GOING_AWAY = b"\x88\x0c\x03\xe9going away"
INTERNAL_ERROR = b"\x88\x10\x03\xf3internal error"


class Fault(Exception):
    """What a handler of these tests dies of."""


def test_with_gives_the_connection(serve):
    def handler(connection):
        with connection as inner:
            return inner is connection

    peer = serve(handler)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == NORMAL
    peer.close()
    assert peer.result() is True


def test_the_end_of_the_block_closes_with_1000(serve):
    def handler(connection):
        with connection:
            connection.write_message(TEXT, b"all")
        return connection

    peer = serve(handler)
    assert peer.read(5 + 4) == peer.answer(TEXT, b"all") + NORMAL
    peer.send(peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == b""
    peer.close()
    ended = peer.result().ended
    assert type(ended) is ClosedByServer
    assert ended.args == (1000, "")


def test_an_exception_closes_with_1011_and_goes_on(serve):
    def handler(connection):
        with connection:
            connection.write_message(TEXT, b"before")
            raise fault

    fault = Fault("of the application")
    peer = serve(handler)
    assert peer.read(8) == peer.answer(TEXT, b"before")
    assert peer.read(len(INTERNAL_ERROR)) == INTERNAL_ERROR
    peer.send(peer.frame(CLOSE, b"\x03\xf3"))
    assert peer.read_to_end() == b""
    peer.close()
    with pytest.raises(Fault) as caught:
        peer.result()
    assert caught.value is fault


def test_an_exception_after_the_end_goes_on_and_sends_nothing(serve):
    def handler(connection):
        with connection:
            try:
                connection.read_message()
            finally:
                raise Fault

    peer = serve(handler)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b"\x88\x00"
    peer.close()
    with pytest.raises(Fault):
        peer.result()


def test_the_end_of_the_connection_ends_the_block_quietly(serve):
    def handler(connection):
        with connection:
            while True:
                connection.read_message()
        return connection.ended

    peer = serve(handler)
    peer.send(peer.frame(CLOSE, b"\x03\xe9away"))
    assert peer.read_to_end() == b"\x88\x02\x03\xe9"
    peer.close()
    assert type(peer.result()) is ClosedByPeer


def test_a_close_within_the_block_is_the_only_one(serve):
    def handler(connection):
        with connection:
            connection.close(3000, "mine")
        return connection

    peer = serve(handler)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b"\x88\x06\x0b\xb8mine"
    peer.close()
    assert peer.result().ended.args == (3000, "mine")


def test_a_write_after_our_close_ends_the_block_quietly(serve):
    def handler(connection):
        with connection:
            connection.close(1001)
            connection.write_message(TEXT, b"too late")
        return connection

    peer = serve(handler)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b"\x88\x02\x03\xe9"
    peer.close()
    assert peer.result().ended.code == 1001


@pytest.mark.parametrize("code", [1000, 1001])
def test_the_end_of_another_connection_is_an_exception_like_any_other(serve, code):
    others = []

    def other_handler(connection):
        others.append(connection)
        with connection:
            connection.read_message()

    other = serve(other_handler)
    other.send(other.frame(CLOSE, code.to_bytes(2)))
    other.close()
    other.result()

    def handler(connection):
        with connection:
            others[0].read_message()

    peer = serve(handler)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == INTERNAL_ERROR
    peer.close()
    with pytest.raises(ClosedByPeer) as caught:
        peer.result()
    assert caught.value is others[0].ended


def test_an_equal_exception_is_not_the_connections_own(serve):
    def handler(connection):
        with connection:
            raise ConnectionLost("somewhere else")

    peer = serve(handler)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == INTERNAL_ERROR
    peer.close()
    with pytest.raises(ConnectionLost, match="somewhere else"):
        peer.result()


def test_killed_while_it_reads_it_closes_with_1001(serve):
    peer = serve()
    peer.send(peer.frame(TEXT, b"hello"))
    assert peer.read(7) == peer.answer(TEXT, b"hello")
    peer.server.kill(block=False)
    assert peer.read(len(GOING_AWAY)) == GOING_AWAY
    peer.send(peer.frame(TEXT, b"crossing") + peer.frame(CLOSE, b"\x03\xe9"))
    assert peer.read_to_end() == b""
    peer.close()
    assert isinstance(peer.result(), gevent.GreenletExit)


def test_killed_elsewhere_what_was_written_leaves_first(serve):
    def handler(connection):
        with connection:
            connection.write_message(TEXT, b"queued")
            written.set()
            Event().wait()

    written = Event()
    peer = serve(handler)
    assert written.wait(DEADLINE)
    peer.server.kill(block=False)
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == peer.answer(TEXT, b"queued") + GOING_AWAY


def test_killed_it_does_not_wait_for_ever_for_a_peer_that_never_answers(serve):
    peer = serve()
    peer.send(peer.frame(TEXT, b"hello"))
    assert peer.read(7) == peer.answer(TEXT, b"hello")
    peer.server.kill(timeout=DEADLINE)
    assert peer.server.dead
    assert peer.read_to_end() == GOING_AWAY


def test_killed_while_it_writes_the_peer_sees_the_end_and_no_other_byte(serve):
    peer = serve()
    message = b"x" * (15 << 20)
    peer.send(peer.frame(BINARY, message))
    answer = peer.answer(BINARY, message)
    first = peer.read(10)
    peer.server.kill(block=False)
    gevent.idle()
    received = first + peer.read_to_end()
    assert len(received) < len(answer)
    assert answer.startswith(received) is True
    peer.close()
    assert isinstance(peer.result(), gevent.GreenletExit)


def test_killed_while_it_closes_it_closes_tcp_at_once(serve):
    def handler(connection):
        with connection:
            pass

    peer = serve(handler)
    assert peer.read(4) == NORMAL
    peer.server.kill(timeout=DEADLINE)
    assert peer.server.dead
    assert peer.read_to_end() == b""


def test_killed_before_the_peer_ends_tcp(serve):
    peer = serve()
    peer.send(peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == NORMAL
    assert not peer.server.ready()
    peer.server.kill(timeout=DEADLINE)
    assert peer.server.dead
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        until_refused(peer)


def until_refused(peer):
    """Send to a socket that is closed until the kernel has heard of it."""
    with gevent.Timeout(DEADLINE):
        while True:
            peer.send(b"anybody there?")
            gevent.sleep(0)


def test_a_connection_that_is_over_leaves_nothing_to_the_collector(serve):
    def echo(connection):
        with connection:
            while True:
                connection.write_message(*connection.read_message())

    gc.collect()
    gc.disable()
    try:
        peer = serve(echo)
        peer.send(peer.frame(TEXT, b"x"))
        assert peer.read(3) == peer.answer(TEXT, b"x")
        peer.close()
        peer.server.get(timeout=DEADLINE)
        left = [thing for thing in gc.get_objects() if isinstance(thing, Connection | BudgetShare)]
        assert left == []
    finally:
        gc.enable()
