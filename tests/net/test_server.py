"""HTTPServer: its address, how it starts and how it stops."""

import errno

import gevent
import pytest
from gevent import socket as gevent_socket
from gevent.event import Event

from echo.net.events import Events
from echo.net.server import HTTPServer
from echo.net.upgrade import upgrade
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.rfc6455 import Opcode

DEADLINE = 30.0
TEXT, CLOSE = Opcode.TEXT, Opcode.CLOSE
GOING_AWAY = b"\x88\x0c\x03\xe9going away"


def hello(environ, start_response):
    body = environ["SERVER_NAME"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.mark.parametrize(
    ("host", "root"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("localhost", "localhost"),
        ("::1", "[::1]"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
    ],
)
def test_the_url_leads_to_the_server(service, host, root):
    one = service(hello, host)
    port = one.server.server_port
    assert port > 0
    assert one.server.url("http") == f"http://{root}:{port}"
    assert one.server.url("ws") == f"ws://{root}:{port}"
    peer = one.connect()
    assert peer.socket.getpeername()[1] == port
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert peer.read_to_end().endswith(b"\r\n\r\n" + host.encode())


def test_each_server_has_a_port_of_its_own(service):
    assert service().server.server_port != service().server.server_port


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # gevent drops the second socket
def test_a_port_in_use_is_an_error_and_its_user_goes_on(service):
    one = service()
    second = HTTPServer(("127.0.0.1", one.server.server_port), hello, Events.to(one.log))
    with pytest.raises(OSError, match="Address already in use") as refused:
        second.start()
    assert refused.value.errno == errno.EADDRINUSE
    assert not second.started
    peer = one.open()
    peer.send(peer.frame(TEXT, b"x"))
    assert peer.read(3) == peer.answer(TEXT, b"x")


def test_connections_are_served_at_the_same_time(service):
    one = service()
    peers = [one.open() for _ in range(50)]
    for number, peer in enumerate(peers):
        peer.send(peer.frame(TEXT, b"%d" % number))
    for number, peer in reversed([*enumerate(peers)]):
        answer = peer.answer(TEXT, b"%d" % number)
        assert peer.read(len(answer)) == answer


def stopping(server, timeout=DEADLINE):
    return gevent.spawn(server.stop, timeout)


def test_stop_ends_websockets_with_1001(service):
    one = service()
    peers = [one.open() for _ in range(3)]
    peers[0].send(peers[0].frame(TEXT, b"last"))
    assert peers[0].read(6) == peers[0].answer(TEXT, b"last")
    stop = stopping(one.server)
    for peer in peers:
        assert peer.read(len(GOING_AWAY)) == GOING_AWAY
        peer.send(peer.frame(CLOSE, b"\x03\xe9"))
        assert peer.read_to_end() == b""
        peer.close()
    stop.get(timeout=DEADLINE)
    one.join()
    assert len(one.log) == 3
    assert all(" closed: 1001 (going away), ended by the server" in line for line in one.log)


def test_stop_ends_idle_http_connections(service):
    one = service(hello)
    silent, idle = one.connect(), one.connect()
    idle.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    one.log.wait(1)
    stopping(one.server).get(timeout=DEADLINE)
    assert silent.read_to_end() == b""
    assert idle.read_to_end().endswith(b"\r\n\r\n127.0.0.1")
    one.join()
    assert len(one.log) == 1


def test_stop_ends_a_connection_whose_peer_never_answers(service):
    one = service(close_timeout=0.1)
    peer = one.open()
    stopping(one.server).get(timeout=DEADLINE)
    one.join()
    assert peer.read_to_end() == GOING_AWAY


def test_stop_aborts_after_its_timeout_what_has_not_ended(service):
    one = service(close_timeout=2 * DEADLINE)
    peer = one.open()
    stopping(one.server, timeout=0.1).get(timeout=DEADLINE)
    one.join()
    assert peer.read_to_end() == GOING_AWAY
    assert len(one.log) == 1


def test_stop_ends_a_connection_whose_peer_does_not_read(service):
    one = service()
    peer = one.open()
    message = b"x" * (15 << 20)
    peer.send(peer.frame(TEXT, message))
    answer = peer.answer(TEXT, message)
    received = peer.read(10)
    stopping(one.server, timeout=0.1).get(timeout=DEADLINE)
    one.join()
    received += peer.read_to_end()
    assert len(received) < len(answer)
    assert answer.startswith(received) is True


def test_stop_ends_a_request_that_is_being_answered(service):
    def app(environ, start_response):
        inside.set()
        Event().wait()

    inside = Event()
    one = service(app)
    peer = one.connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert inside.wait(DEADLINE)
    stop = stopping(one.server, timeout=0.1)
    assert b"200" not in peer.read_to_end()
    peer.close()
    stop.get(timeout=DEADLINE)
    one.join()


def test_a_stopped_server_takes_no_connection(service):
    one = service()
    port = one.server.server_port
    one.server.stop()
    with pytest.raises(ConnectionRefusedError):
        one.connect()
    again = HTTPServer(("127.0.0.1", port), hello, Events.to(one.log))
    again.start()
    assert again.url("http") == f"http://127.0.0.1:{port}"
    again.stop()


def test_stop_may_come_twice(service):
    one = service()
    one.server.stop()
    one.server.stop()
    assert one.server.closed


def test_what_was_accepted_but_not_yet_served_when_the_server_stops_is_closed(service, pair):
    one = service(hello, head_timeout=10 * DEADLINE)
    sock, peer = pair("tcp")
    assert one.server.accepting
    stopping = gevent.spawn(one.server.stop, 10 * DEADLINE)
    one.server.do_handle(sock, ("127.0.0.1", 1))
    stopping.get(timeout=DEADLINE)
    assert not one.server.accepting
    assert peer.read_to_end() == b""


def test_what_becomes_a_websocket_while_the_server_stops_is_told_so(service):
    stopping = []

    def late(environ, start_response):
        stopping.append(gevent.spawn(one.server.stop))
        gevent.sleep(0)
        with upgrade(environ, HandshakePolicy()) as connection:
            connection.read_message()
        return []

    one = service(late)
    peer = one.open()
    assert peer.read(len(GOING_AWAY)) == GOING_AWAY
    peer.send(peer.frame(CLOSE, b"\x03\xe9"))
    assert peer.read_to_end() == b""
    gevent.joinall(stopping, timeout=DEADLINE)


def test_a_listener_that_cannot_accept_any_more_is_an_error(service):
    one = service()
    with gevent_socket.socket() as deaf:
        listener, one.server.socket = one.server.socket, deaf
        try:
            with pytest.raises(OSError, match="Invalid argument"):
                one.server.do_read()
        finally:
            one.server.socket = listener
