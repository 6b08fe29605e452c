"""What connections of one process do to each other: nothing. Turns as a count; the one buffer."""

import random
from itertools import pairwise
from socket import SO_SNDBUF, SOL_SOCKET

import gevent
import pytest
from gevent.event import Event

from echo.net.channel import RECEIVE_SIZE, Channel
from echo.net.connection import Connection
from echo.net.limits import Limits
from echo.protocol.budget import ReceiveBudget
from echo.protocol.messages import TURN_SIZE
from echo.protocol.rfc6455 import Opcode

DEADLINE = 30.0
TEXT, BINARY, CLOSE, PING = Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING
CONTINUATION = Opcode.CONTINUATION

#: Messages of 6 bytes on the wire that a turn takes.
TURN = -(-TURN_SIZE // 6)


def recorder(order, name, *, answer=True):
    """An echo, or less, that writes down whose message it is, each time."""

    def echo(connection):
        with connection:
            while True:
                message = connection.read_message()
                order.append(name)
                if answer:
                    connection.write_message(*message)
        return connection

    return echo


@pytest.mark.parametrize("size", [0, 8, 58])
def test_one_message_does_not_wait_for_thousands(serve, size):
    order = []
    busy = serve(recorder(order, "busy"))
    single = serve(recorder(order, "single"))
    message = busy.frame(BINARY, bytes(size))
    count = RECEIVE_SIZE // len(message)
    busy.send(message * count)
    single.send(single.frame(TEXT, b"x"))
    assert single.read(3) == single.answer(TEXT, b"x")
    before = order.index("single")
    turn = -(-TURN_SIZE // len(message))
    assert before <= 2 * turn + 2 < count / 4
    answers = busy.answer(BINARY, bytes(size)) * count
    assert (busy.read(len(answers)) == answers) is True


def test_a_message_that_comes_meanwhile_does_not_wait_for_thousands(serve):
    """It comes while the busy connection has begun on all that one receive brought."""
    order = []

    def echo(connection):
        with connection:
            while True:
                message = connection.read_message()
                if not order:
                    single.send(single.frame(TEXT, b"x"))
                order.append("busy")
                connection.write_message(*message)

    busy = serve(echo)
    single = serve(recorder(order, "single"))
    gevent.idle()
    count = 20 * TURN
    busy.send(busy.frame(BINARY) * count)
    assert single.read(3) == single.answer(TEXT, b"x")
    assert order.index("single") <= 2 * (TURN + 1)
    answers = busy.answer(BINARY) * count
    assert (busy.read(len(answers)) == answers) is True


def test_a_flood_lets_another_have_its_turn_each_time(serve):
    order = []
    busy = serve(recorder(order, "busy", answer=False))
    calm = serve(recorder(order, "calm"))
    with busy.flooding(busy.frame(BINARY) * 5000):
        for number in range(15):
            calm.send(calm.frame(TEXT, b"%d" % number))
            answer = calm.answer(TEXT, b"%d" % number)
            assert calm.read(len(answer)) == answer
    positions = [position for position, name in enumerate(order) if name == "calm"]
    gaps = [after - before for before, after in pairwise(positions)]
    assert len(positions) == 15
    # A turn for each time that the loop comes round until a message has gone there and back.
    assert max(gaps) <= 5 * (TURN + 1)


def test_busy_connections_take_turns(serve):
    order = []
    names = "abcd"
    peers = [serve(recorder(order, name)) for name in names]
    count = 6 * TURN
    for peer in peers:
        peer.send(peer.frame(BINARY) * count)
    for peer in peers:
        answers = peer.answer(BINARY) * count
        assert (peer.read(len(answers)) == answers) is True
    runs, last = [], None
    for name in order:
        if name == last:
            runs[-1] += 1
        else:
            runs.append(1)
            last = name
    assert sorted(set(order)) == list(names)
    # Two turns in a row when the last one of an input is followed by the next receive.
    assert max(runs[:-1]) <= 2 * (TURN + 1)
    assert len(runs) >= 8


# ---- The buffer that all share


def filled(serve):
    """Another connection receives as much as one receive takes: the buffer is all its own."""
    got = Event()

    def sink(connection):
        with connection:
            while True:
                connection.read_message()
                got.set()

    peer = serve(sink)
    peer.send(peer.frame(BINARY, b"\xee" * RECEIVE_SIZE, key=bytes(4)))
    peer.send(peer.frame(BINARY, b"\xee" * RECEIVE_SIZE, key=bytes(4)))
    assert got.wait(DEADLINE)
    peer.close()


def test_messages_not_read_yet_survive_the_next_receive(serve):
    read, go = Event(), Event()

    def echo(connection):
        with connection:
            connection.write_message(*connection.read_message())
            read.set()
            assert go.wait(DEADLINE)
            while True:
                connection.write_message(*connection.read_message())

    peer = serve(echo)
    messages = [b"%d of mine" % number for number in range(3000)]
    stream = b"".join(peer.frame(TEXT, message) for message in messages)
    peer.send(stream + peer.frame(BINARY, b"cut")[:7])
    assert read.wait(DEADLINE)
    filled(serve)
    go.set()
    peer.send(peer.frame(BINARY, b"cut")[7:])
    answers = b"".join(peer.answer(TEXT, message) for message in messages)
    answers += peer.answer(BINARY, b"cut")
    assert (peer.read(len(answers)) == answers) is True


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 9, 300, 69_000])
def test_a_frame_cut_anywhere_survives_the_next_receive(serve, cut):
    peer = serve()
    payload = random.Random(cut).randbytes(70_000)
    stream = peer.frame(BINARY, payload)
    peer.send(stream[:cut])
    gevent.idle()
    filled(serve)
    peer.send(stream[cut:])
    answer = peer.answer(BINARY, payload)
    assert (peer.read(len(answer)) == answer) is True


def test_pieces_of_many_connections_stay_apart(serve):
    rng = random.Random(4)
    peers = [serve() for _ in range(20)]
    payloads = [bytes([number]) * rng.choice([5, 300, 90_000]) for number in range(len(peers))]
    rest = []
    for peer, payload in zip(peers, payloads, strict=True):
        half = len(payload) // 2
        rest.append(
            peer.frame(BINARY, payload[:half], fin=False)
            + peer.frame(PING, payload[:3])
            + peer.frame(CONTINUATION, payload[half:])
        )
    while any(rest):
        number = rng.choice([number for number, data in enumerate(rest) if data])
        cut = rng.choice([1, 3, 100, 20_000])
        peers[number].send(rest[number][:cut])
        rest[number] = rest[number][cut:]
        gevent.sleep(0)
    for peer, payload in zip(peers, payloads, strict=True):
        answers = peer.answer(0xA, payload[:3]) + peer.answer(BINARY, payload)
        assert (peer.read(len(answers)) == answers) is True


# ---- A socket that takes little at a time


@pytest.mark.parametrize("size", [20, 3000, 200_000])
def test_partial_writes_keep_every_byte_and_the_order(pair, in_thread, size):
    sock, peer = pair("unix", blocking=True)
    sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 1)

    def serve():
        limits = Limits()
        budget = ReceiveBudget(limits.receive_budget)
        with Connection(Channel(sock), peer="x:1", limits=limits, budget=budget) as connection:
            while True:
                connection.write_message(*connection.read_message())
        return connection

    rng = random.Random(size)
    messages = [(BINARY, rng.randbytes(size + number)) for number in range(500_000 // size + 1)]
    messages = messages[:2000]
    stream = b"".join(peer.frame(*message) for message in messages) + peer.frame(CLOSE)
    sending = in_thread(peer.send, stream)
    server = gevent.spawn(serve)
    answers = b"".join(peer.answer(*message) for message in messages) + b"\x88\x00"
    assert (in_thread(peer.read, len(answers)).get(timeout=DEADLINE) == answers) is True
    sending.get(timeout=DEADLINE)
    assert in_thread(peer.read, 1).get(timeout=DEADLINE) == b""
    peer.close()
    connection = server.get(timeout=DEADLINE)
    assert connection.messages_in == connection.messages_out == len(messages)
    assert connection.bytes_out == len(answers)
