"""The access log: one line for each request, and for each WebSocket one when it has ended."""

import re

import pytest

from echo.net.upgrade import upgrade
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.rfc6455 import Opcode

TEXT, CLOSE = Opcode.TEXT, Opcode.CLOSE

END = "1006 (end of stream {}, without a close frame), ended by the peer"
NO_UPGRADE = "This is a WebSocket: the request lacks 'Upgrade: websocket'."


def address(peer):
    host, port = peer.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ends(service):
    """The log's lines without their figures."""
    return [line.split(", after ")[0] for line in service.log]


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")], ids=["IPv4", "IPv6"]
)
def test_a_websocket_is_one_line_when_it_has_ended(service, host, shown):
    one = service(host=host)
    peer = one.open()
    where = shown.format(peer.socket.getsockname()[1])
    peer.send(peer.frame(TEXT, b"x"))
    assert peer.read(3) == peer.answer(TEXT, b"x")
    assert one.log == []
    peer.send(peer.frame(CLOSE, b"\x03\xe8bye"))
    assert peer.read_to_end() == b"\x88\x02\x03\xe8"
    peer.close()
    one.join()
    assert ends(one) == [f"{where} closed: 1000 (bye), ended by the peer"]
    assert re.fullmatch(
        r".*, after \d+\.\d{3} s, received 1 message \(18 bytes\), sent 1 message \(7 bytes\)",
        one.log[0],
    )


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")], ids=["IPv4", "IPv6"]
)
def test_the_connection_knows_its_peer_by_the_same_address(service, host, shown):
    def app(environ, start_response):
        with upgrade(environ, HandshakePolicy()) as connection:
            connection.write_message(TEXT, connection.peer.encode())

    peer = service(app, host).open()
    expected = peer.answer(TEXT, shown.format(peer.socket.getsockname()[1]).encode())
    assert peer.read(len(expected)) == expected


@pytest.mark.parametrize(
    ("sent", "ending"),
    [
        (b"\x88\x80mask", "1005, ended by the peer"),
        (b"\x81\x00", "1002 (a client must mask its frames), ended by the server"),
        (b"", END.format("between messages")),
        (b"\x81\x85mask", END.format("in the middle of a message")),
    ],
    ids=["close", "violation", "end", "cut"],
)
def test_how_a_websocket_ended(service, sent, ending):
    one = service()
    peer = one.open()
    peer.send(sent)
    peer.end_output()
    peer.read_to_end()
    one.join()
    assert ends(one) == [f"{address(peer)} closed: {ending}"]


def test_each_request_of_a_connection_is_one_line(service):
    one = service()
    peer = one.connect()
    where = address(peer)
    peer.send(b"GET /a?b=c HTTP/1.1\r\nHost: here\r\n\r\n")
    one.log.wait(1)
    peer.send(b"PUT / HTTP/1.1\r\nHost: here\r\n\r\n")
    one.log.wait(2)
    peer.send(one.HANDSHAKE + peer.frame(CLOSE))
    peer.end_output()
    peer.read_to_end()
    one.join()
    assert ends(one) == [
        f'{where} "GET /a?b=c HTTP/1.1" 426 {NO_UPGRADE}',
        f'{where} "PUT / HTTP/1.1" 405 The opening handshake of a WebSocket is a GET request.',
        f"{where} closed: 1005, ended by the peer",
    ]


def test_a_request_without_a_refusal(service):
    def app(environ, start_response):
        start_response("204 No Content", [])
        return []

    one = service(app)
    peer = one.connect()
    where = address(peer)
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert peer.read_to_end().startswith(b"HTTP/1.1 204 No Content\r\n")
    peer.close()
    one.join()
    assert one.log == [f'{where} "GET / HTTP/1.1" 204']


def test_connections_in_the_order_of_their_ends(service):
    one = service()
    first, second = one.open(), one.open()
    wheres = address(second), address(first)
    for count, peer in enumerate((second, first), 1):
        peer.send(peer.frame(CLOSE))
        assert peer.read_to_end() == b"\x88\x00"
        peer.close()
        one.log.wait(count)
    assert ends(one) == [f"{where} closed: 1005, ended by the peer" for where in wheres]


def test_a_request_that_is_none_is_one_line_with_its_status(service):
    one = service()
    peer = one.connect()
    where = address(peer)
    peer.send(b"NONSENSE\r\n\r\n")
    assert peer.read_to_end().startswith(b"HTTP/1.1 400 ")
    peer.close()
    one.join()
    assert len(one.log) == 1
    assert one.log[0].startswith(f'{where} "NONSENSE" 400')
    assert "\n" not in one.log[0]


def test_a_request_that_is_none_does_not_inherit_from_the_one_before(service):
    one = service()
    peer = one.connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    one.log.wait(1)
    peer.send(b"NONSENSE\r\n\r\n")
    assert peer.read_to_end().count(b"HTTP/1.1 400 ") == 1
    peer.close()
    one.join()
    assert len(one.log) == 2
    assert "NONSENSE" in one.log[1]
    assert "426" not in one.log[1]
    assert NO_UPGRADE not in one.log[1]
