"""What a peer sends is cut in the log and in refusals, however large it was."""

import json

import pytest

from tests.e2e.raw_client import RawClient, http_request, open_websocket, upgrade_request
from tests.e2e.server_process import memory
from tests.wire import close_frame

#: Bytes of one header field's value: nearly as large as all fields together may be.
LARGE = 31_000

#: Bytes of an answer and of a line in the log: some 1 KiB of the peer's, escaped, and our words.
ANSWER_BOUND = 1024
LINE_BOUND = 4 * 1024

MEBIBYTE = 1024 * 1024


def handshake(**changes):
    """An opening handshake with some fields changed."""
    return upgrade_request(1, **changes)


def latin(character):
    return character * LARGE


REFUSED = {
    "version": handshake(sec_websocket_version=latin("\x80")),
    "origin": handshake(origin="http://" + latin("\x80")),
    "host beside an origin": handshake(host="h" * LARGE, origin="http://elsewhere.example"),
    "host of the page": handshake(host="h" * LARGE, upgrade=None),
    "no host": handshake(host="@" * LARGE),
    "subprotocol": handshake(sec_websocket_protocol=latin("\x80")),
    "extension": handshake(sec_websocket_extensions=latin("\x80")),
    "key": handshake(sec_websocket_key="A" * LARGE),
    "upgrade": handshake(upgrade=latin("\x80")),
    "connection": handshake(connection=latin("\x80")),
    "method": http_request(method="M" * 8000, path="/ws/echo", headers=[("Host", "x")]),
    "path": http_request(path="/" + "%01" * 2600, headers=[("Host", "x"), ("Connection", "close")]),
    "target": http_request(path="p" * 8000, headers=[("Host", "x")]),
    "another host": http_request(path="http://" + "h" * 8000, headers=[("Host", "x")]),
    "request line": b"\x80" * 8000 + b"\r\n\r\n",
    "controls": b"\x01" * 8000 + b"\r\n\r\n",
    "endless line": b"x" * 9000,
    "field": b"GET / HTTP/1.1\r\n" + b"\x80" * LARGE + b"\r\n\r\n",
    "length": http_request(headers=[("Host", "x"), ("Content-Length", "x" * LARGE)]),
    "id": http_request(path="/ws/echo?echo-id=" + "i" * 8000, headers=[("Host", "x")]),
}


@pytest.fixture(scope="module")
def text_server(module_servers):
    return module_servers()


@pytest.fixture(scope="module")
def json_server(module_servers):
    return module_servers("--log-format", "json")


def refuse(server, request):
    """Send a request; the answer and the line of the log."""
    position = server.stderr.position
    with RawClient(server) as client:
        client.send(request)
        response = client.read_response()
        assert response.status >= 400
        client.sock.close()
    server.stderr.wait_for_line(client.address, after=position)
    (line,) = server.stderr.matching(client.address, position)
    return response.body, line


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_repeats_little_of_a_large_request(text_server, name):
    body, line = refuse(text_server, REFUSED[name])
    assert len(body) <= ANSWER_BOUND
    assert len(line) <= LINE_BOUND


@pytest.mark.parametrize("name", REFUSED)
def test_object_in_the_log_repeats_little_of_a_large_request(json_server, name):
    _, line = refuse(json_server, REFUSED[name])
    entry = json.loads(line)
    assert len(entry["request"]) + len(entry["reason"]) <= 1024 + len("..." * 2)


def test_quote_in_a_request_line_does_not_end_the_quoted_part(text_server):
    request = http_request(
        path='/a"/HTTP/1.1"200\\x1b', headers=[("Host", "x"), ("Connection", "close")]
    )
    _, line = refuse(text_server, request)
    assert r'"GET /a\"/HTTP/1.1\"200\\x1b HTTP/1.1" 404 ' in line


def test_parenthesis_in_a_close_reason_does_not_end_it(text_server):
    forged = r"x), ended by the server, after 9.000 s (\x1b"
    with open_websocket(text_server) as client:
        client.send(close_frame(1000, forged.encode()))
        assert client.read_close() == 1000
    shown = r"1000 (x\), ended by the server, after 9.000 s \(\\x1b), ended by the peer"
    text_server.stderr.wait_for_line(f"^{client.address} closed: ")
    (line,) = text_server.stderr.matching(f"^{client.address} closed: ")
    assert f" closed: {shown}, after " in line


def test_log_that_nobody_reads_takes_little_memory(start_server):
    """Of a refusal of 31 kB the queue keeps about 1 kB."""
    server = start_server()
    with open_websocket(server):
        before = memory(server)
    server.stderr.pause()
    request = handshake(sec_websocket_version=latin("\x80"))
    for _ in range(1000):
        with RawClient(server) as client:
            client.send(request)
            assert client.read_response().status == 426
    assert memory(server) - before < 20 * MEBIBYTE
    server.stderr.resume()
