"""upgrade: requests that become no WebSocket, and peers that vanish before they do."""

from wsgiref.util import setup_testing_defaults

import gevent
import pytest
from gevent.event import Event

from echo.net.upgrade import upgrade
from echo.protocol.errors import CannotUpgrade, ConnectionLost, UpgradeRequired
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.rfc6455 import Opcode
from tests.net.conftest import Service

TEXT, CLOSE = Opcode.TEXT, Opcode.CLOSE
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


HANDSHAKE = Service.HANDSHAKE


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (HANDSHAKE.replace(b"Version: 13", b"Version: 12"), 426),
        (HANDSHAKE.replace(b"websocket", b"h2c"), 426),
        (HANDSHAKE.replace(b"x3JJ", b"!!!!"), 400),
        (HANDSHAKE.replace(b"GET", b"PUT"), 405),
        (with_fields(HANDSHAKE, b"Origin: http://elsewhere"), 403),
    ],
    ids=["version", "protocol", "key", "method", "origin"],
)
def test_nothing_behind_a_refused_upgrade_is_looked_at(service, refused, status):
    """A proxy may have made a tunnel of it, and what is in a tunnel is nobody's request."""
    one = service()
    peer = one.connect()
    peer.send(refused + one.HANDSHAKE)
    peer.end_output()
    answer = peer.read_to_end()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    options = [
        line.partition(b": ")[2]
        for line in answer.split(b"\r\n")
        if line.startswith(b"Connection:")
    ]
    assert options == [b"Upgrade, close" if status == 426 else b"close"]
    peer.close()
    one.join()
    assert len(one.log) == 1


def test_an_upgrade_that_an_ordinary_answer_is_given_to_ends_the_connection_too(service):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    one = service(app)
    peer = one.connect()
    peer.send(one.HANDSHAKE + one.HANDSHAKE)
    peer.end_output()
    answer = peer.read_to_end()
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert answer.count(b"\r\nConnection: close\r\n") == 1


def test_a_request_for_no_upgrade_leaves_http_alive_on_the_same_connection(service):
    one = service()
    peer = one.connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert read_response(peer)[0] == 426
    peer.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n")
    assert read_response(peer)[0] == 405
    peer.send(one.HANDSHAKE + peer.frame(TEXT, b"at last") + peer.frame(CLOSE, b"\x03\xe8"))
    assert (
        one.without_id(peer.read_to_end()) == one.SWITCHED + peer.answer(TEXT, b"at last") + NORMAL
    )


def test_requests_that_do_not_wait_for_the_answers_before_them(service):
    one = service()
    peer = one.connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + one.HANDSHAKE + peer.frame(TEXT, b"x"))
    assert read_response(peer)[0] == 426
    expected = one.SWITCHED + peer.answer(TEXT, b"x")
    assert one.without_id(peer.read(len(expected))) == expected


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


@pytest.mark.parametrize("more", [{}, {"echo.exchange": None}, {"echo.exchange": object()}])
def test_another_wsgi_server_cannot_upgrade(more):
    with pytest.raises(CannotUpgrade, match=r"start the service by server\.py") as refused:
        upgrade(websocket_environ(**more), POLICY)
    assert refused.value.status == 501


def test_another_wsgi_server_refuses_like_ours():
    with pytest.raises(UpgradeRequired, match="instead of 'Upgrade: websocket'"):
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
        gevent.idle()
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
