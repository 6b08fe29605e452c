"""What /ws/connections/<id> tells of an opening handshake that was refused."""

import json

import pytest

from tests.e2e.raw_client import RawClient, http_request, upgrade_request

ID = "refused-by-a-test_0000"


def ask(server, connection_id):
    """The answer of /ws/connections/<id>, as its status and its JSON."""
    with RawClient(server) as client:
        path = f"/ws/connections/{connection_id}"
        client.send(http_request(path=path, headers=[("Host", "x"), ("Connection", "close")]))
        response = client.read_response()
    return response.status, json.loads(response.text) if response.status == 200 else None


def refuse(server, request):
    """Send a handshake that is refused: the response, and what is known of it."""
    with RawClient(server) as client:
        client.send(request)
        response = client.read_response()
    status, record = ask(server, response.header("X-Connection-Id"))
    assert (status, record["state"]) == (200, "refused")
    assert record["peer"] == client.address
    assert record["status"] == response.status
    assert response.text.splitlines()[0] == record["reason"]
    return response, record


def test_a_refused_handshake_is_told_as_it_came(echo_server):
    path = f"/ws/echo?a=1&echo-id={ID}"
    request = upgrade_request(
        echo_server.port, path=path, origin="https://evil.example", cookie="a=secret"
    )
    _, record = refuse(echo_server, request)
    assert record["id"] == ID
    assert record["status"] == 403
    assert record["request_line"] == f"GET {path} HTTP/1.1"
    assert record["reason"].endswith("--allow-origin https://evil.example")
    headers = dict(record["headers"])
    assert headers["Origin"] == "https://evil.example"
    assert "secret" not in json.dumps(record)
    assert headers["Cookie"].startswith("(redacted: 8 bytes; hash ")


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"origin": "null"}, 403, "--allow-origin null"),
        ({"sec_websocket_key": "short"}, 400, "base64"),
        ({"sec_websocket_version": "8"}, 426, "use 13"),
        ({"upgrade": None}, 426, "'Upgrade: websocket'"),
        ({"sec_websocket_protocol": "a b"}, 400, "Sec-WebSocket-Protocol"),
        ({"path": "/ws"}, 404, "/ws/echo"),
        ({"path": "/socket.io/?EIO=4"}, 404, "Socket.IO"),
        ({"path": "/ws/echo?echo-id=short"}, 400, "22 to 64"),
        ({"path": "/ws/inspect?x=%C3%A4", "origin": "http://a.example"}, 403, "http://a.example"),
        ({"host": "a b"}, 400, "Host"),
        ({"x": "v" * 40_000}, 431, "header fields"),
    ],
)
def test_every_refusal_is_remembered_with_its_reason(echo_server, changes, status, word):
    _, record = refuse(echo_server, upgrade_request(echo_server.port, **changes))
    assert record["status"] == status
    assert word in record["reason"]
    assert record["cures"] == [] or status in {400, 426}


def test_a_lost_field_has_its_cures(echo_server):
    request = upgrade_request(echo_server.port, upgrade=None, via="1.1 proxy.example")
    response, record = refuse(echo_server, request)
    assert "A proxy on the way has dropped it, to judge by Via: 1.1 proxy" in record["reason"]
    assert [line.strip() for line in response.text.splitlines()[2:]] == record["cures"]


def test_a_handshake_that_follows_may_use_the_same_id(echo_server):
    path = f"/ws/echo?echo-id={ID}"
    refuse(echo_server, upgrade_request(echo_server.port, path=path, sec_websocket_key="short"))
    with RawClient(echo_server) as client:
        client.upgrade(path=path)
        assert ask(echo_server, ID)[1]["state"] == "open"


def test_requests_that_are_no_handshakes_are_not_remembered(echo_server):
    with RawClient(echo_server) as client:
        for path in ("/ws/echo", "/nothing"):
            client.send(http_request(path=path, headers=[("Host", "x")]))
            response = client.read_response()
            assert response.status in {404, 426}
            assert response.header("X-Connection-Id") is None
