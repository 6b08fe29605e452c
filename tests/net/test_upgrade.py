"""upgrade: from an HTTP request to a Connection, on a real server."""

import gevent
import pytest
from gevent.event import Event

from echo.net.upgrade import upgrade
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.rfc6455 import Opcode

TEXT, BINARY, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)
NORMAL = b"\x88\x02\x03\xe8"
POLICY = HandshakePolicy()


def test_the_response_byte_for_byte(service):
    one = service()
    peer = one.connect()
    peer.send(
        b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    expected = (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"X-Connection-Id: ----------------------\r\n"
        b"\r\n"
    )
    assert one.without_id(peer.read(len(expected))) == expected
    peer.send(peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == NORMAL


def test_the_response_names_the_subprotocol_and_the_connection_has_it(service):
    def app(environ, start_response):
        with upgrade(environ, policy) as connection:
            known.append(connection.subprotocol)
            connection.read_message()

    known = []
    policy = HandshakePolicy(subprotocols=["b"])
    one = service(app)
    peer = one.connect()
    peer.send(one.HANDSHAKE[:-2] + b"Sec-WebSocket-Protocol: a, b\r\n\r\n")
    expected = one.SWITCHED.replace(b"X-Conn", b"Sec-WebSocket-Protocol: b\r\nX-Conn")
    assert one.without_id(peer.read(len(expected))) == expected
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b"\x88\x00"
    assert known == ["b"]


def test_messages_come_back(service):
    peer = service().open()
    for kind, message in ((TEXT, "grüße".encode()), (BINARY, bytes(range(256)) * 300), (TEXT, b"")):
        peer.send(peer.frame(kind, message))
        answer = peer.answer(kind, message)
        assert (peer.read(len(answer)) == answer) is True
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b"\x88\x00"


def test_the_servers_limit_is_the_connections(service):
    peer = service(max_message_size=200).open()
    peer.send(peer.frame(BINARY, b"x" * 200) + peer.frame(BINARY, b"x" * 201))
    failure = peer.answer(CLOSE, b"\x03\xf1message is longer than 200 bytes")
    assert peer.read_to_end() == peer.answer(BINARY, b"x" * 200) + failure


def test_the_view_takes_its_time_and_nothing_is_sent_before(service):
    def app(environ, start_response):
        inside.set()
        assert proceed.wait(30)
        with upgrade(environ, POLICY) as connection:
            connection.write_message(TEXT, b"hello")
        return []

    inside, proceed = Event(), Event()
    one = service(app)
    peer = one.connect()
    peer.send(one.HANDSHAKE + peer.frame(TEXT, b"early"))
    assert inside.wait(30)
    gevent.idle()
    assert peer.at_hand() == b""
    proceed.set()
    expected = one.SWITCHED + peer.answer(TEXT, b"hello") + NORMAL
    assert one.without_id(peer.read(len(expected))) == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 8_000, 8_192, 20_000, 300_000])
def test_frames_in_the_segment_of_the_request(service, size):
    one = service()
    peer = one.connect()
    message = bytes(number % 251 for number in range(size))
    peer.send(one.HANDSHAKE + peer.frame(PING, b"p") + peer.frame(BINARY, message))
    expected = one.SWITCHED + peer.answer(PONG, b"p") + peer.answer(BINARY, message)
    assert (one.without_id(peer.read(len(expected))) == expected) is True


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 9])
def test_a_part_of_a_frame_in_the_segment_of_the_request(service, cut):
    one = service()
    peer = one.connect()
    frame = peer.frame(TEXT, b"halves")
    peer.send(one.HANDSHAKE + frame[:cut])
    assert one.without_id(peer.read(len(one.SWITCHED))) == one.SWITCHED
    peer.send(frame[cut:])
    assert peer.read(8) == peer.answer(TEXT, b"halves")


def test_a_close_in_the_segment_of_the_request(service):
    one = service()
    peer = one.connect()
    peer.send(one.HANDSHAKE + peer.frame(CLOSE, b"\x03\xe8"))
    assert one.without_id(peer.read_to_end()) == one.SWITCHED + NORMAL


def test_a_request_byte_by_byte(service):
    one = service()
    peer = one.connect()
    for byte in one.HANDSHAKE + peer.frame(TEXT, b"x"):
        peer.send(bytes([byte]))
        gevent.sleep(0)
    expected = one.SWITCHED + peer.answer(TEXT, b"x")
    assert one.without_id(peer.read(len(expected))) == expected


class Result:
    """What a view returns; it is closed, as WSGI asks, whether it was sent or not."""

    closed = False

    def __iter__(self):
        return iter([b"the view's result"])

    def close(self):
        self.closed = True


def test_what_the_view_returns_after_the_upgrade_is_not_sent(service):
    def app(environ, start_response):
        with upgrade(environ, POLICY) as connection:
            connection.read_message()
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written by the view")
        return result

    result = Result()
    one = service(app)
    peer = one.open()
    peer.send(peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == NORMAL
    peer.close()
    one.join()
    assert result.closed
    assert len(one.log) == 1


def test_what_a_view_returns_without_an_upgrade_is_sent(service):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "17")])
        return result

    result = Result()
    peer = service(app).connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert peer.read_to_end().endswith(b"\r\n\r\nthe view's result")
    assert result.closed


def test_http_does_not_go_on_after_the_websocket(service):
    one = service()
    peer = one.open()
    peer.send(peer.frame(CLOSE, b"\x03\xe8") + b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert peer.read_to_end() == NORMAL
    peer.close()
    one.join()
    assert len(one.log) == 1


@pytest.mark.parametrize("end", ["close", "reset"])
def test_the_greenlet_ends_with_its_websocket(service, end):
    one = service()
    peer = one.open()
    peer.send(peer.frame(TEXT, b"x"))
    assert peer.read(3) == peer.answer(TEXT, b"x")
    assert len(one.server.pool) == 1
    getattr(peer, end)()
    one.log.wait(1)
    for _ in range(100):
        gevent.idle()
    assert len(one.server.pool) == 0


def test_an_exception_of_the_application_is_a_1011_and_is_reported(service):
    def app(environ, start_response):
        with upgrade(environ, POLICY) as connection:
            connection.write_message(*connection.read_message())
            raise ZeroDivisionError("a fault of the application")

    one = service(app)
    peer = one.open()
    peer.send(peer.frame(TEXT, b"first"))
    expected = peer.answer(TEXT, b"first") + peer.answer(CLOSE, b"\x03\xf3internal error")
    assert peer.read(len(expected)) == expected
    peer.send(peer.frame(CLOSE, b"\x03\xf3"))
    assert peer.read_to_end() == b""
    peer.close()
    one.join()
    traceback, end = one.log
    assert "ZeroDivisionError: a fault of the application" in traceback
    assert " closed: 1011 (internal error), ended by the server, after " in end


def test_a_view_that_lets_the_connection_go_ends_it(service):
    def app(environ, start_response):
        upgrade(environ, POLICY).close(1001)
        return []

    peer = service(app).open()
    assert peer.read(4) == b"\x88\x02\x03\xe9"
    peer.send(peer.frame(CLOSE))
    assert peer.read_to_end() == b""


def test_a_connection_that_the_application_leaves_open_is_given_up(service):
    connections = []

    def careless(environ, start_response):
        connections.append(upgrade(environ, POLICY))
        return []

    one = service(careless)
    peer = one.open()
    assert peer.read_to_end() == b""
    (connection,) = connections
    assert connection.ended.reason == "cut off by the server"
