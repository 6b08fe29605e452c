"""Connection: when what is written leaves, and in how many writes."""

import random

import gevent
import pytest
from gevent.event import Event

from echo.net.connection import FLUSH_SIZE
from echo.protocol.errors import ConnectionLost
from echo.protocol.messages import TURN_SIZE
from echo.protocol.rfc6455 import Opcode

TEXT, BINARY, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)


class Script:
    """A handler that a test steps through: each ``yield`` waits until the test says ``go``."""

    def __init__(self, steps):
        self._steps = steps
        self._go = Event()
        self._paused = Event()

    def __call__(self, connection):
        with connection:
            for _ in self._steps(connection):
                self._paused.set()
                assert self._go.wait(30)
                self._go.clear()
        return connection

    def until_paused(self):
        assert self._paused.wait(30)
        self._paused.clear()

    def go(self):
        self._go.set()


def test_nothing_leaves_before_read_message_waits_and_then_everything(serve):
    def steps(connection):
        connection.write_message(TEXT, b"one")
        connection.write_message(BINARY, b"two")
        yield
        connection.write_message(TEXT, b"three")
        connection.read_message()

    script = Script(steps)
    peer = serve(script, "packets")
    script.until_paused()
    gevent.idle()
    assert peer.at_hand() == b""
    script.go()
    answers = peer.answer(TEXT, b"one") + peer.answer(BINARY, b"two") + peer.answer(TEXT, b"three")
    assert peer.socket.recv(1 << 20) == answers


def test_the_answers_to_one_segment_leave_in_one_write(serve):
    peer = serve(kind="packets")
    messages = [(TEXT, b"message %d" % number) for number in range(100)]
    peer.send(b"".join(peer.frame(*message) for message in messages))
    assert peer.socket.recv(1 << 20) == b"".join(peer.answer(*message) for message in messages)


def test_pongs_echoes_and_the_close_leave_in_their_order_in_one_write(serve):
    peer = serve(kind="packets")
    sent = [(PING, b"1"), (TEXT, b"2"), (PONG, b"-"), (BINARY, b"3"), (PING, b"4"), (TEXT, b"")]
    sent += [(BINARY, b"5" * 300), (PING, b""), (CLOSE, b"\x03\xe8")]
    peer.send(b"".join(peer.frame(*frame) for frame in sent))
    del sent[2]
    answers = [peer.answer(PONG if kind is PING else kind, payload) for kind, payload in sent]
    assert peer.read_packets() == [b"".join(answers)]


@pytest.mark.parametrize(("count", "size"), [(600, 64), (60, 1000)])
def test_many_answers_to_one_segment_do_not_leave_in_a_write_each(serve, count, size):
    peer = serve(kind="packets")
    messages = [(BINARY, random.Random(number).randbytes(size)) for number in range(count)]
    peer.send(b"".join(peer.frame(*message) for message in messages))
    packets = []
    answers = b"".join(peer.answer(*message) for message in messages)
    while sum(map(len, packets)) < len(answers):
        packets.append(peer.socket.recv(1 << 20))
    assert (b"".join(packets) == answers) is True
    # A turn takes the messages that begin in TURN_SIZE bytes.
    assert len(packets) <= count * (size + 8) // TURN_SIZE + 1


def test_an_answer_is_on_its_way_before_the_next_message_is_waited_for(serve):
    peer = serve(kind="packets")
    for number in range(20):
        peer.send(peer.frame(TEXT, b"%d" % number))
        assert peer.socket.recv(1 << 20) == peer.answer(TEXT, b"%d" % number)


def test_an_answer_does_not_wait_for_the_rest_of_the_next_message(serve):
    peer = serve(kind="packets")
    peer.send(peer.frame(TEXT, b"whole") + peer.frame(TEXT, b"the beginning of")[:9])
    assert peer.socket.recv(1 << 20) == peer.answer(TEXT, b"whole")


def test_above_the_flush_size_it_leaves_without_reading_on(serve):
    def steps(connection):
        connection.write_message(BINARY, b"a" * (FLUSH_SIZE - 10))
        connection.write_message(TEXT, b"b" * 10)
        yield
        connection.write_message(TEXT, b"c")
        yield
        connection.write_message(TEXT, b"again below")
        yield

    script = Script(steps)
    peer = serve(script, "unix")
    script.until_paused()
    gevent.idle()
    assert peer.at_hand() == b""  # exactly the flush size still waits
    script.go()
    answers = peer.answer(BINARY, b"a" * (FLUSH_SIZE - 10)) + peer.answer(TEXT, b"b" * 10)
    assert peer.read(len(answers) + 3) == answers + peer.answer(TEXT, b"c")
    script.until_paused()
    script.go()
    script.until_paused()
    gevent.idle()
    assert peer.at_hand() == b""  # what left is no longer counted
    script.go()
    assert peer.read(13) == peer.answer(TEXT, b"again below")


def test_one_message_above_the_flush_size_leaves_at_once(serve):
    def steps(connection):
        connection.write_message(BINARY, b"x" * (FLUSH_SIZE + 1))
        yield

    script = Script(steps)
    peer = serve(script)
    answer = peer.answer(BINARY, b"x" * (FLUSH_SIZE + 1))
    assert (peer.read(len(answer)) == answer) is True
    peer.close()
    script.go()


def test_what_left_is_not_sent_again(serve):
    def steps(connection):
        connection.write_message(TEXT, b"once")
        connection.ping(b"p")
        connection.ping(b"q")
        yield
        connection.write_message(TEXT, b"last")

    script = Script(steps)
    peer = serve(script)
    sent = peer.answer(TEXT, b"once") + peer.answer(PING, b"p") + peer.answer(PING, b"q")
    assert peer.read(len(sent)) == sent
    script.go()
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == peer.answer(TEXT, b"last") + b"\x88\x02\x03\xe8"


def test_what_is_written_is_not_sent_without_a_reason(serve):
    """Writing is cheap: a queue below the flush size waits, whatever the greenlet does."""

    def steps(connection):
        connection.write_message(TEXT, b"queued")
        gevent.sleep(0)
        yield

    script = Script(steps)
    peer = serve(script, "unix")
    script.until_paused()
    gevent.idle()
    assert peer.at_hand() == b""
    peer.send(peer.frame(CLOSE))
    script.go()
    assert peer.read_to_end() == peer.answer(TEXT, b"queued") + b"\x88\x02\x03\xe8"


def test_a_peer_that_does_not_read_stops_its_own_connection_and_no_other(serve, in_thread):
    stuck = serve(blocking=True)
    message = random.Random(3).randbytes(16 << 20)
    in_thread(stuck.send, stuck.frame(BINARY, message)).get(timeout=30)
    other = serve()
    for number in range(20):
        other.send(other.frame(TEXT, b"%d" % number))
        assert other.read(len(b"%d" % number) + 2) == other.answer(TEXT, b"%d" % number)
    assert not stuck.server.ready()
    answer = stuck.answer(BINARY, message)
    assert (in_thread(stuck.read, len(answer)).get(timeout=30) == answer) is True


def test_a_connection_whose_answers_find_no_memory_is_lost_with_the_reason(serve):
    def handler(connection):
        with connection:
            connection.write_message(BINARY, bytes(64 << 20))
        return connection

    peer = serve(handler, max_message_size=1 << 20)
    ended = peer.result().ended
    assert type(ended) is ConnectionLost
    assert ended.reason == "the server's memory for unfinished messages is used up"
