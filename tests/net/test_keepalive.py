"""Keepalive, and the other times: peers that are quiet, do not read or do not close."""

import gc
from time import monotonic, sleep

import gevent
import pytest

from echo.net.keepalive import Keepalive
from echo.protocol.errors import ClosedByServer, ConnectionLost
from echo.protocol.rfc6455 import MAX_CLOSE_REASON, Opcode

DEADLINE = 30.0
TEXT, BINARY, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)
A_PING = b"\x89\x00"
CONTINUATION = 0


class Watched:
    """A connection that a Keepalive watches, by a clock of the test's own."""

    def __init__(self, serve, interval, timeout, **options):
        self._keepalive = Keepalive(interval, timeout)
        self._now = 0.0
        self.connection = None

        def echo(connection):
            self.connection = connection
            with connection:
                while True:
                    connection.write_message(*connection.read_message())
            return connection

        self.peer = serve(echo, **options)
        while self.connection is None:
            gevent.sleep(0)
        self._keepalive.watch(self.connection)
        self.look(0.0)  # what came before is heard now

    def look(self, now):
        self._keepalive.look(now)
        gevent.idle()

    def hear(self, data):
        """The peer sends something, and the connection has got it."""
        self.connection.heard = False
        self.peer.send(data)
        with gevent.Timeout(DEADLINE):
            while not self.connection.heard:
                gevent.sleep(0)
        gevent.idle()


@pytest.fixture
def watched(serve):
    def watched(interval=10.0, timeout=5.0, kind="unix", **options):
        return Watched(serve, interval, timeout, kind=kind, **options)

    return watched


def read_frame(peer):
    """The next frame: its opcode and payload; they are short."""
    first, size = peer.read(2)
    if size == 126:
        size = int.from_bytes(peer.read(2))
    return first & 0xF, peer.read(size)


# ---- By the test's own clock


def test_one_ping_after_the_interval(watched):
    one = watched()
    for now in (1.0, 5.0, 9.9):
        one.look(now)
        assert one.peer.at_hand() == b""
    one.look(10.0)
    assert one.peer.read(2) == A_PING
    for now in (11.0, 14.9):
        one.look(now)
        assert one.peer.at_hand() == b""


def test_1011_with_a_reason_when_nothing_comes(watched):
    one = watched()
    one.look(10.0)
    assert one.peer.read(2) == A_PING
    one.look(15.0)
    opcode, payload = read_frame(one.peer)
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xf3")
    assert 0 < len(payload) - 2 <= MAX_CLOSE_REASON
    assert "ping" in payload[2:].decode()
    one.peer.send(one.peer.frame(CLOSE, payload[:2]))
    assert one.peer.read_to_end() == b""
    one.peer.close()
    ended = one.peer.result().ended
    assert type(ended) is ClosedByServer
    assert ended.code == 1011


FRAMES = {
    "a message": (lambda frame: frame(TEXT, b"x"), b"\x81\x01x"),
    "a pong": (lambda frame: frame(PONG), b""),
    "a pong that nobody asked for": (lambda frame: frame(PONG, b"hello"), b""),
    "a ping": (lambda frame: frame(PING, b"p"), b"\x8a\x01p"),
    "a fragment": (lambda frame: frame(TEXT, b"x", fin=False), b""),
    "one byte of a header": (lambda frame: frame(TEXT, b"x")[:1], b""),
    "some of a payload": (lambda frame: frame(BINARY, bytes(1000))[:400], b""),
}


@pytest.mark.parametrize(("data", "answer"), FRAMES.values(), ids=FRAMES)
def test_any_input_counts_before_and_after_the_ping(watched, data, answer):
    one = watched()
    one.look(9.0)
    one.hear(data(one.peer.frame))
    assert one.peer.read(len(answer)) == answer
    one.look(10.0)  # heard by now: quiet since then
    one.look(19.9)
    assert one.peer.at_hand() == b""
    one.look(20.0)
    assert one.peer.read(2) == A_PING
    one.connection.heard = True  # the same, once more, after a ping
    one.look(25.0)
    one.look(34.9)
    assert one.peer.at_hand() == b""
    one.look(35.0)
    assert one.peer.read(2) == A_PING


@pytest.mark.parametrize("what", ["a pong", "one byte of a header"])
def test_what_has_come_and_was_not_read_counts(watched, what):
    one = watched()
    one.look(10.0)
    assert one.peer.read(2) == A_PING
    one.peer.send(FRAMES[what][0](one.peer.frame))
    one._keepalive.look(15.0)  # before the connection has had its turn
    gevent.idle()
    one.look(15.1)
    one.look(24.9)
    assert one.peer.at_hand() == b""
    one.look(25.2)
    assert one.peer.read(2) == A_PING


def test_time_in_which_the_server_came_to_nothing_does_not_count(serve):
    keepalive = Keepalive(0.2, 0.3)
    connections = []

    def echo(connection):
        connections.append(connection)
        keepalive.watch(connection)
        with connection:
            while True:
                connection.write_message(*connection.read_message())

    peer = serve(echo, kind="unix")
    keeper = gevent.spawn(keepalive.run)
    try:
        assert peer.read(2) == A_PING
        while not connections[0].pinged:
            gevent.sleep(0)
        keepalive.look(monotonic())  # the ping counts from here
        sleep(1.0)  # the process does nothing at all
        gevent.sleep(0.001)
        peer.send(peer.frame(PONG))
        peer.send(peer.frame(TEXT, b"alive"))
        while (frame := read_frame(peer)) == (PING, b""):
            peer.send(peer.frame(PONG))
        assert frame == (TEXT, b"alive")
    finally:
        keeper.kill()


def test_a_peer_that_answers_lives_on(watched):
    one = watched()
    now = 0.0
    for _ in range(20):
        now += 10.0
        one.look(now)
        assert one.peer.read(2) == A_PING
        one.hear(one.peer.frame(PONG))
        now += 5.0
        one.look(now)
    one.peer.send(one.peer.frame(TEXT, b"alive"))
    assert read_frame(one.peer) == (TEXT, b"alive")


def test_without_a_timeout_it_pings_once_and_waits_for_ever(watched):
    one = watched(timeout=0.0)
    one.look(10.0)
    assert one.peer.read(2) == A_PING
    one.look(1e9)
    assert one.peer.at_hand() == b""
    one.peer.send(one.peer.frame(TEXT, b"alive"))
    assert read_frame(one.peer) == (TEXT, b"alive")


def holders(connection):
    """The dictionaries that have a connection as a key."""
    referrers = gc.get_referrers(connection)
    return [one for one in referrers if isinstance(one, dict) and connection in one]


def test_what_is_over_is_forgotten(watched):
    one = watched()
    assert len(holders(one.connection)) == 1
    one.peer.send(one.peer.frame(CLOSE, b"\x03\xe8"))
    assert one.peer.read_to_end() == b"\x88\x02\x03\xe8"
    one.peer.close()
    one.peer.result()
    one.look(10.0)
    one.look(20.0)
    assert holders(one.connection) == []


def test_a_ping_never_lands_inside_an_echo(watched, in_thread):
    """Nor is a peer that is busy reading closed for a ping that it has not been sent."""
    one = watched(blocking=True, kind="tcp")
    message = bytes(range(256)) * (8 << 12)
    in_thread(one.peer.send, one.peer.frame(BINARY, message)).get(timeout=DEADLINE)
    with gevent.Timeout(DEADLINE):
        while not one.connection.messages_out:
            gevent.sleep(0.001)
    one.look(1.0)
    one.look(11.0)  # a ping is due
    one.look(20.0)  # and was not sent yet, as the echo still is
    answer = one.peer.answer(BINARY, message)
    assert (in_thread(one.peer.read, len(answer)).get(timeout=DEADLINE) == answer) is True
    in_thread(one.peer.send, one.peer.frame(TEXT, b"alive")).get(timeout=DEADLINE)
    opcode, payload = in_thread(read_frame, one.peer).get(timeout=DEADLINE)
    if opcode == PING:
        opcode, payload = in_thread(read_frame, one.peer).get(timeout=DEADLINE)
    assert (opcode, payload) == (TEXT, b"alive")


# ---- By the real clock, in a real server


def test_a_server_pings_whoever_answers_again_and_again(service):
    one = service(ping_interval=0.05, ping_timeout=DEADLINE)
    off = service(ping_interval=0.0, ping_timeout=0.05)
    never = off.open()
    peers = [one.open() for _ in range(3)]
    for _ in range(4):
        for peer in peers:
            assert peer.read(2) == A_PING
            peer.send(peer.frame(PONG))
    for peer in peers:
        peer.send(peer.frame(TEXT, b"alive"))
        while (frame := read_frame(peer)) == (PING, b""):
            peer.send(peer.frame(PONG))
        assert frame == (TEXT, b"alive")
    assert never.at_hand() == b""
    never.send(never.frame(TEXT, b"alive"))
    assert read_frame(never) == (TEXT, b"alive")


def test_a_server_closes_who_does_not_answer_and_no_other(service):
    one = service(ping_interval=0.1, ping_timeout=0.1)
    dead = one.open()
    assert dead.read(2) == A_PING
    opcode, payload = read_frame(dead)
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xf3")
    assert payload[2:] == b"no answer to a ping in 0.1 s"
    dead.send(dead.frame(CLOSE, b"\x03\xf3"))
    dead.close()
    one.log.wait(1)
    assert " closed: 1011 (no answer to a ping in 0.1 s), ended by the server" in one.log[0]
    peer = one.open()
    peer.send(peer.frame(TEXT, b"next"))
    assert read_frame(peer) == (TEXT, b"next")


def test_a_server_without_a_ping_timeout_pings_once(service):
    one = service(ping_interval=0.05, ping_timeout=0.0)
    silent, counting = one.open(), one.open()
    assert silent.read(2) == A_PING
    for _ in range(4):
        assert counting.read(2) == A_PING
        counting.send(counting.frame(PONG))
    assert silent.at_hand() == b""
    silent.send(silent.frame(TEXT, b"alive"))
    assert read_frame(silent) == (TEXT, b"alive")


# ---- The other times


def test_the_closing_handshake_ends_without_an_answer(service):
    one = service(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.1)
    peer = one.open()
    assert peer.read(2) == A_PING
    assert read_frame(peer)[0] == CLOSE
    assert peer.read_to_end() == b""  # though the peer neither answers nor ends
    one.join()
    assert len(one.log) == 1


def test_a_closing_handshake_cannot_be_drawn_out_by_sending_on(service):
    one = service(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.1)
    peer = one.open()
    assert peer.read(2) == A_PING
    assert read_frame(peer)[0] == CLOSE
    with peer.flooding(peer.frame(TEXT, b"and another thing") * 100):
        one.join()
    assert len(one.log) == 1


def test_who_does_not_read_is_aborted_and_others_go_on(serve, in_thread):
    def echo(connection):
        with connection:
            while True:
                connection.write_message(*connection.read_message())
        return connection

    stuck = serve(echo, blocking=True, write_timeout=0.2)
    in_thread(stuck.send, stuck.frame(BINARY, bytes(16 << 20))).get(timeout=DEADLINE)
    other = serve(echo)
    count = 0
    with gevent.Timeout(DEADLINE):
        while not stuck.server.ready():
            count += 1
            other.send(other.frame(TEXT, b"%d" % count))
            assert read_frame(other) == (TEXT, b"%d" % count)
    ended = stuck.result().ended
    assert type(ended) is ConnectionLost
    assert ended.code == 1006
    assert not other.server.ready()
