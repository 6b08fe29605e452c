"""upgrade: from an HTTP request to a Connection, on a real server."""

from wsgiref.util import setup_testing_defaults

import gevent
import pytest
from gevent.event import Event

from echo.net.upgrade import upgrade
from echo.protocol.errors import CannotUpgrade, ConnectionLost, UpgradeRequired
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


def with_fields(handshake, *fields):
    return handshake[:-2] + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def read_response(peer):
    """The next HTTP response: its status and its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = peer.read(1)
        assert byte, f"the stream ends after {head}"
        head += byte
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    return int(head.split()[1]), peer.read(int(fields[b"content-length"]))


def test_the_response_byte_for_byte(service):
    peer = service().connect()
    peer.send(
        b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    expected = (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )
    assert peer.read(len(expected)) == expected
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
    peer.send(with_fields(one.HANDSHAKE, b"Sec-WebSocket-Protocol: a, b"))
    expected = one.SWITCHED[:-2] + b"Sec-WebSocket-Protocol: b\r\n\r\n"
    assert peer.read(len(expected)) == expected
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
    failure = peer.answer(CLOSE, b"\x03\xf1a message may have 200 bytes")
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
    assert peer.read(len(expected)) == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 8_000, 8_192, 20_000, 300_000])
def test_frames_in_the_segment_of_the_request(service, size):
    one = service()
    peer = one.connect()
    message = bytes(number % 251 for number in range(size))
    peer.send(one.HANDSHAKE + peer.frame(PING, b"p") + peer.frame(BINARY, message))
    expected = one.SWITCHED + peer.answer(PONG, b"p") + peer.answer(BINARY, message)
    assert (peer.read(len(expected)) == expected) is True


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 9])
def test_a_part_of_a_frame_in_the_segment_of_the_request(service, cut):
    one = service()
    peer = one.connect()
    frame = peer.frame(TEXT, b"halves")
    peer.send(one.HANDSHAKE + frame[:cut])
    assert peer.read(len(one.SWITCHED)) == one.SWITCHED
    peer.send(frame[cut:])
    assert peer.read(8) == peer.answer(TEXT, b"halves")


def test_a_close_in_the_segment_of_the_request(service):
    one = service()
    peer = one.connect()
    peer.send(one.HANDSHAKE + peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == one.SWITCHED + NORMAL


def test_a_request_byte_by_byte(service):
    one = service()
    peer = one.connect()
    for byte in one.HANDSHAKE + peer.frame(TEXT, b"x"):
        peer.send(bytes([byte]))
        gevent.sleep(0)
    expected = one.SWITCHED + peer.answer(TEXT, b"x")
    assert peer.read(len(expected)) == expected


def test_a_refused_upgrade_leaves_http_alive_on_the_same_connection(service):
    one = service()
    peer = one.connect()
    peer.send(one.HANDSHAKE.replace(b"Version: 13", b"Version: 12"))
    assert read_response(peer) == (426, b"Sec-WebSocket-Version is '12'; use 13.")
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert read_response(peer)[0] == 426
    peer.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n")
    assert read_response(peer)[0] == 405
    peer.send(one.HANDSHAKE.replace(b"x3JJ", b"!!!!"))
    assert read_response(peer) == (400, b"Sec-WebSocket-Key is not base64.")
    peer.send(with_fields(one.HANDSHAKE, b"Origin: http://elsewhere"))
    assert read_response(peer)[0] == 403
    peer.send(one.HANDSHAKE + peer.frame(TEXT, b"at last") + peer.frame(CLOSE, b"\x03\xe8"))
    assert peer.read_to_end() == one.SWITCHED + peer.answer(TEXT, b"at last") + NORMAL


def test_requests_that_do_not_wait_for_the_answers_before_them(service):
    one = service()
    peer = one.connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + one.HANDSHAKE + peer.frame(TEXT, b"x"))
    assert read_response(peer)[0] == 426
    expected = one.SWITCHED + peer.answer(TEXT, b"x")
    assert peer.read(len(expected)) == expected


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


def test_what_the_view_returns_while_it_refuses_is_sent(service):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "17")])
        return result

    result = Result()
    peer = service(app).connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert read_response(peer) == (200, b"the view's result")
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


# Without the handler.


def websocket_environ(**more):
    environ = {
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "x3JJHMbDL1EzLkh9GBhXDw==",
        **more,
    }
    setup_testing_defaults(environ)
    return environ


@pytest.mark.parametrize("more", [{}, {"echo.handler": None}, {"echo.handler": object()}])
def test_another_wsgi_server_cannot_upgrade(more):
    with pytest.raises(CannotUpgrade, match=r"start the service by server\.py") as refused:
        upgrade(websocket_environ(**more), POLICY)
    assert refused.value.status == 501


def test_another_wsgi_server_refuses_like_ours():
    with pytest.raises(UpgradeRequired, match="lacks 'Upgrade: websocket'"):
        upgrade(websocket_environ(HTTP_UPGRADE="h2c"), POLICY)


# Peers that vanish during the handshake; the fixture checks that nothing is printed.


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("part", [0, 1, 20, -1])
def test_a_peer_that_vanishes_within_the_request(service, end, part):
    one = service()
    peer = one.connect()
    peer.send(one.HANDSHAKE[:part])
    gevent.idle()
    getattr(peer, end)()
    one.join()
    assert len(one.log) <= 1


@pytest.mark.parametrize("early", [False, True], ids=["nothing more", "a frame behind it"])
def test_a_peer_that_resets_before_the_upgrade(service, early):
    def app(environ, start_response):
        inside.set()
        assert proceed.wait(30)
        gevent.socket.wait_read(
            environ["echo.handler"].channel._sock.fileno(), timeout=30
        )  # the reset is there
        try:
            upgrade(environ, POLICY)
        except ConnectionLost as lost:
            reasons.append(lost.reason)
            start_response("500 Nobody There", [])
        return [b"nobody reads this"]

    reasons, inside, proceed = [], Event(), Event()
    one = service(app)
    peer = one.connect()
    peer.send(one.HANDSHAKE + (peer.frame(TEXT, b"early") if early else b""))
    assert inside.wait(30)
    peer.reset()
    proceed.set()
    one.join()
    assert len(reasons) == 1
    assert reasons[0].startswith("during the opening handshake: ")
    assert len(one.log) == 1


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_peer_that_vanishes_with_its_request(service, end):
    one = service()
    peer = one.connect()
    peer.send(one.HANDSHAKE)
    getattr(peer, end)()
    one.join()
    assert len(one.log) <= 1  # a reset can come before the request was read


@pytest.mark.parametrize(
    "fields",
    [[b"Content-Length: 5"], [b"Transfer-Encoding: chunked"]],
    ids=["length", "chunked"],
)
def test_a_handshake_that_announces_a_body_is_refused(service, fields):
    one = service()
    peer = one.connect()
    peer.send(with_fields(one.HANDSHAKE, *fields))
    assert peer.read(12) == b"HTTP/1.1 413"
    peer.close()
    one.join()
    assert len(one.log) == 1
