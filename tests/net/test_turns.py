"""Turns: HTTP and floods of messages leave other messages, and each other, their share."""

import struct
from contextlib import ExitStack
from fcntl import ioctl
from socket import create_connection, create_server
from termios import FIONREAD
from time import monotonic

import gevent
import pytest
from gevent.event import Event

from echo.net.http import MAX_PIPELINED, Exchange
from echo.net.turns import Turns
from echo.net.upgrade import upgrade
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.rfc6455 import Opcode

DEADLINE = 30.0
TEXT = Opcode.TEXT


def get(path, *fields):
    return "".join(
        f"{line}\r\n" for line in [f"GET {path} HTTP/1.1", "Host: h", *fields, ""]
    ).encode()


def work(seconds):
    """Keep the processor, as a request does that is being answered."""
    end = monotonic() + seconds
    while monotonic() < end:
        pass


class Application:
    """Answers each request after some work and writes down its path; or echoes."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.order = []

    def __call__(self, environ, start_response):
        if "HTTP_UPGRADE" in environ:
            with upgrade(environ, HandshakePolicy()) as connection:
                while True:
                    connection.write_message(*connection.read_message())
            return []
        self.order.append(environ["PATH_INFO"])
        work(self.seconds)
        start_response("200 OK", [("Content-Length", "0")])
        return []


# Turns by themselves


def test_a_turn_comes_at_once_where_there_is_no_crowd():
    turns, others = Turns(), []
    for _ in range(3):
        gevent.sleep(0.001)  # another round of the loop
        other = gevent.spawn(others.append, "ran")
        turns.take()
        assert others == []
        other.kill()


def test_who_has_had_his_time_waits_until_others_have_run():
    turns = Turns()

    def busy():
        for _ in range(5):
            turns.take()
            order.append("busy")
            work(0.02)

    def other():
        for _ in range(5):
            order.append("other")
            gevent.sleep(0.0001)

    order = []
    gevent.joinall([gevent.spawn(busy), gevent.spawn(other)], timeout=DEADLINE)
    assert order.count("busy") == order.count("other") == 5
    # In each round of the loop both run, in whatever order.
    assert "busy busy busy" not in " ".join(order[:8])


def test_turns_are_in_the_order_in_which_they_were_asked_for():
    turns = Turns()

    def ask(name):
        for _ in range(4):
            turns.take()
            order.append(name)
            work(0.02)

    order = []
    gevent.joinall([gevent.spawn(ask, name) for name in "abc"], timeout=DEADLINE)
    # The first has begun, and asked again, before the others have begun.
    assert "".join(order) == "a" + "abc" * 3 + "bc"


def test_who_is_killed_while_he_waits_keeps_nobody_waiting():
    turns = Turns()

    def ask():
        turns.take()
        work(0.02)
        return True

    asking = [gevent.spawn(ask) for _ in range(4)]
    gevent.sleep(0)
    asking[2].kill()
    gevent.joinall(asking, timeout=DEADLINE)
    assert asking[0].value is asking[1].value is asking[3].value is True


# Connections


def test_a_message_does_not_wait_for_pipelined_requests(service):
    app = Application(0.002)
    one = service(app)
    calm = one.open()
    busy = [one.connect() for _ in range(20)]
    for peer in busy:
        peer.send(get("/busy") * 100)
    most = 0
    while not app.order:
        gevent.sleep(0)
    for _ in range(10):
        before = len(app.order)
        calm.send(calm.frame(TEXT, b"x"))
        assert calm.read(3) == calm.answer(TEXT, b"x")
        most = max(most, len(app.order) - before)
    assert len(app.order) < 20 * 100, "the flood was over too soon"
    # In the rounds of the loop that a message takes, HTTP has its longest time in each.
    assert most <= 40
    for peer in busy:
        peer.close()


def test_a_message_does_not_wait_for_all_who_flood(service):
    """Each of 40 floods needs some 8 ms for its turn; within a round few of them have theirs."""
    order = []

    def app(environ, start_response):
        with upgrade(environ, HandshakePolicy()) as connection:
            while True:
                kind, message = connection.read_message()
                if message[:1] == b"f":
                    order.append(connection.id)
                    work(0.001)
                else:
                    connection.write_message(kind, message)
        return []

    one = service(app)
    calm = one.open()
    busy = [one.open() for _ in range(40)]
    for peer in busy:
        peer.send(peer.frame(TEXT, b"f" * 1024) * 60)
    with gevent.Timeout(DEADLINE):
        while len(set(order)) < len(busy):
            gevent.sleep(0)
    most = 0
    for _ in range(2):
        before = len(order)
        calm.send(calm.frame(TEXT, b"x"))
        assert calm.read(3) == calm.answer(TEXT, b"x")
        most = max(most, len(set(order[before:])))
    assert len(order) < 40 * 60, "the flood was over too soon"
    assert most <= 20
    for peer in busy:
        peer.close()


def test_connections_that_pipeline_take_turns(service):
    app = Application(0.02)
    one = service(app)
    peers = [one.connect() for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.send(get(f"/{number}") * 10)
    with gevent.Timeout(DEADLINE):
        while len(app.order) < 30:
            gevent.sleep(0.01)
    # From when all three have been heard of.
    middle = app.order[4:24]
    for number in range(3):
        assert 5 <= middle.count(f"/{number}") <= 8, middle


@pytest.mark.parametrize("shared", [False, True])
def test_a_crowd_at_the_door_is_let_in_beside_pipelined_requests(service, shared):
    """However long the rounds of the loop are, few of them pass until all are accepted."""
    app = Application(0.005)
    with ExitStack() as stack:
        listener = None
        if shared:
            listener = stack.enter_context(create_server(("127.0.0.1", 0), backlog=100))
            listener.setblocking(False)
        one = service(app, listener=listener)
        busy = [one.connect() for _ in range(10)]
        for peer in busy:
            peer.send(get("/busy") * 200)
        while not app.order:
            gevent.sleep(0)
        for _ in range(40):  # the loop does not come round meanwhile
            crowd = stack.enter_context(create_connection(one.server.address))
            crowd.sendall(get("/new"))
        with gevent.Timeout(DEADLINE):
            while app.order.count("/new") < 40:
                gevent.sleep(0.01)
        first = app.order.index("/new")
        last = len(app.order) - app.order[::-1].index("/new")
        assert app.order[first:last].count("/busy") <= 10
        assert app.order.count("/busy") < 2000, "the flood was over too soon"
        for peer in one.peers:
            peer.close()
        stack.close()
        one.join()


@pytest.mark.parametrize("shared", [True, False])
def test_a_server_at_leisure_accepts_one_connection_a_round(service, shared):
    with create_server(("127.0.0.1", 0)) as listener:
        one = service(listener=listener if shared else None)
        assert one.server.max_accept == 1
        one.server.stop()


# In a row


def count_answers(data):
    """How many answers, and how many of them are the last one of the connection."""
    return data.count(b"HTTP/1.1 200 OK\r\n"), data.count(b"\r\nConnection: close\r\n")


def test_requests_in_a_row_have_a_bound(service):
    one = service(Application())
    peer = one.connect()
    peer.send(get("/") * (MAX_PIPELINED + 50))
    peer.end_output()
    answers = peer.read_to_end()
    assert count_answers(answers) == (MAX_PIPELINED, 1)
    assert b"\r\nConnection: close\r\n" in answers[answers.rindex(b"HTTP/1.1 ") :]
    peer.close()
    one.join()
    assert len(one.log) == MAX_PIPELINED


def test_what_waits_in_the_socket_is_in_the_row_too(service):
    """Each receive brings exactly one request: none is ever left over."""
    request = get("/", "X: ")
    request = request[:-4] + b"x" * (16_384 - len(request)) + b"\r\n\r\n"
    one = service(Application())
    peer = one.connect()
    sending = gevent.spawn(peer.send, request * (MAX_PIPELINED + 20))
    answers = peer.read_to_end()
    sending.join(DEADLINE)
    assert count_answers(answers) == (MAX_PIPELINED, 1)


def test_who_waits_for_each_answer_has_no_bound(service):
    one = service(Application())
    peer = one.connect()
    for _ in range(MAX_PIPELINED + 50):
        peer.send(get("/"))
        assert peer.read(15) == b"HTTP/1.1 200 OK"
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += peer.read(1)
        assert b"close" not in head


@pytest.mark.parametrize("size", [100, 30_000])
def test_of_what_comes_behind_a_request_little_is_taken_before_its_time(service, size):
    handlers, go = [], Event()

    def app(environ, start_response):
        handlers.append(Exchange.of(environ).handler)
        assert go.wait(DEADLINE)
        start_response("204 No", [])
        return []

    def unread():
        return struct.unpack("i", ioctl(handlers[0].channel._sock, FIONREAD, bytes(4)))[0]

    request = get("/", f"X: {'x' * size}")
    data = request * (61_000 // len(request))
    with ExitStack() as stack:
        stack.callback(go.set)
        one = service(app)
        peer = one.connect()
        peer.send(data)  # the server has not accepted yet
        with gevent.Timeout(DEADLINE):
            while not handlers or unread() < len(data) - len(request) - 16 * 1024:
                gevent.sleep(0.01)
        peer.close()
