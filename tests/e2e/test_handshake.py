"""The opening handshake (RFC 6455, section 4) on raw sockets, against the real server."""

import hashlib
from base64 import b64encode

import pytest

from tests.e2e.raw_client import ACCEPT, KEY, Frame, RawClient, upgrade_request
from tests.wire import TEXT, frame


def accepted(server, **changes):
    """The 101 response to an opening handshake; the WebSocket behind it echoes."""
    with RawClient(server) as client:
        client.send(upgrade_request(server.port, **changes))
        response = client.read_response()
        assert response.status == 101, response
        client.send(frame(TEXT, "open"))
        assert client.read_frame() == Frame(TEXT, b"open")
    return response


def refused(server, *statuses, **changes):
    """The response to an opening handshake that is refused as every refusal must be."""
    with RawClient(server) as client:
        client.send(upgrade_request(server.port, **changes))
        version = changes.get("version", "HTTP/1.1")
        return client.read_refusal(f"GET /ws/echo {version}", *statuses)


# ---- The answer


def test_the_whole_response(echo_server):
    response = accepted(echo_server, sec_websocket_key="x3JJHMbDL1EzLkh9GBhXDw==")
    assert response.phrase == "Switching Protocols"
    *fields, (name, connection_id) = response.headers
    assert fields == [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
    ]
    assert name == "x-connection-id"
    assert len(connection_id) == 22


@pytest.mark.parametrize("nonce", [bytes(16), b"\xff" * 16, bytes(range(16)), b"\xfb\xef" * 8])
def test_every_key_has_its_accept_value(echo_server, nonce):
    key = b64encode(nonce)
    expected = b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    response = accepted(echo_server, sec_websocket_key=key.decode())
    assert response.header("Sec-WebSocket-Accept") == expected.decode()


def test_the_request_in_single_bytes(echo_server):
    with RawClient(echo_server) as client:
        client.send_each_byte(upgrade_request(echo_server.port))
        assert client.read_response().header("Sec-WebSocket-Accept") == ACCEPT


@pytest.mark.parametrize(
    "changes",
    [
        {"connection": "upgrade"},
        {"connection": "UPGRADE"},
        {"connection": "keep-alive, Upgrade"},
        {"connection": "Upgrade,keep-alive"},
        {"connection": "keep-alive \t,\t upgrade , x"},
        {"connection": ", Upgrade,"},
        {"connection": ["keep-alive", "Upgrade"]},
        {"upgrade": "WebSocket"},
        {"upgrade": "WEBSOCKET"},
        {"upgrade": "h2c, websocket"},
        {"upgrade": ["h2c", "websocket"]},
        {"sec_websocket_version": " \t13 "},
        {"sec_websocket_key": f" \t{KEY} "},
        {"SEC_WEBSOCKET_KEY": KEY, "sec_websocket_key": None},
        {"sec_websocket_extensions": "x-webkit-deflate-frame"},
        {"path": "/ws/echo?room=1"},
        {"cookie": "a=b"},
    ],
    ids=str,
)
def test_what_is_accepted(echo_server, changes):
    response = accepted(echo_server, **changes)
    assert response.header("Sec-WebSocket-Accept") == ACCEPT
    assert response.header("Sec-WebSocket-Extensions") is None


def test_an_extension_that_is_offered_is_answered(echo_server):
    response = accepted(
        echo_server,
        sec_websocket_extensions="permessage-deflate; client_max_window_bits",
    )
    assert response.header("Sec-WebSocket-Extensions") == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    )


def test_the_target_may_be_an_absolute_uri(echo_server):
    """Section 4.2.1, 1: "or an absolute HTTP/HTTPS URI containing the /resource name/"."""
    accepted(echo_server, path=f"{echo_server.url}/ws/echo")


# ---- Upgrade, Connection, Sec-WebSocket-Version


@pytest.mark.parametrize(
    "changes",
    [
        {"connection": "notupgrade"},
        {"connection": "upgraded"},
        {"connection": "keep-alive"},
        {"connection": "keep-alive upgrade"},
        {"connection": "keep-alive; upgrade"},
        {"connection": ""},
        {"connection": None},
        {"upgrade": "websockets"},
        {"upgrade": "notwebsocket"},
        {"upgrade": "h2c"},
        {"upgrade": "web socket"},
        {"upgrade": ""},
        {"upgrade": None},
        {"upgrade": None, "connection": None},
    ],
    ids=str,
)
def test_what_is_no_upgrade_to_websocket(echo_server, changes):
    response = refused(echo_server, 426, **changes)
    assert response.header("Upgrade") == "websocket"
    assert response.header("Connection") == "Upgrade"


@pytest.mark.parametrize(
    "version",
    [None, "", "0", "7", "8", "12", "14", "013", "1", "113", "13.0", "x", "13, 8", ["13", "8"]],
    ids=str,
)
def test_another_version(echo_server, version):
    response = refused(echo_server, 426, sec_websocket_version=version)
    assert response.header("Sec-WebSocket-Version") == "13"
    assert "13" in response.text
    assert response.header("Sec-WebSocket-Accept") is None


# ---- Sec-WebSocket-Key


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        [KEY, KEY],
        [KEY, "dGhlIHNhbXBsZSBub25jZQ=="],
        f"{KEY}, {KEY}",
        KEY.rstrip("="),
        KEY[:-1],
        f"{KEY}=",
        f"{KEY[:8]} {KEY[8:]}",
        f"{KEY[:8]}*{KEY[8:]}",
        "-_JJHMbDL1EzLkh9GBhXDw==",  # the alphabet of URLs
        "!!!!!!!!!!!!!!!!!!!!!!==",
        "\xe9\xe9\xe9\xe9",
        b64encode(bytes(15)).decode(),
        b64encode(bytes(17)).decode(),
        b64encode(bytes(4000)).decode(),
    ],
    ids=lambda key: str(key)[:30],
)
def test_a_key_that_is_none(echo_server, key):
    assert "Sec-WebSocket-Key" in refused(echo_server, 400, sec_websocket_key=key).text


# ---- The HTTP request around it


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade"])
def test_http_1_0(echo_server, connection):
    response = refused(echo_server, 400, 505, version="HTTP/1.0", connection=connection)
    assert "HTTP/1.1" in response.text


@pytest.mark.parametrize(
    "changes",
    [{"version": "HTTP/2.0"}, {"version": "HTTP/x"}, {"content_length": "many"}],
    ids=str,
)
def test_what_is_not_http_1_1_at_all(echo_server, changes):
    refused(echo_server, 400, 505, **changes)


@pytest.mark.parametrize("host", [None, ["127.0.0.1", "example.com"]], ids=str)
def test_a_host_is_there_once(echo_server, host):
    """Section 4.2.1, 2; RFC 9112, section 3.2."""
    assert "Host" in refused(echo_server, 400, host=host).text


@pytest.mark.parametrize("host", [None, ""])
def test_without_a_host_no_origin_is_its_own(echo_server, host):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(echo_server.port, host=host, origin="http://none"))
        assert client.read_response().status in {400, 403}


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"content_length": "5"}, b"hello"),
        ({"transfer_encoding": "chunked"}, b"5\r\nhello\r\n0\r\n\r\n"),
    ],
    ids=["Content-Length", "Transfer-Encoding"],
)
def test_a_request_body_is_not_taken_for_frames(echo_server, changes, body):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(echo_server.port, **changes), body)
        client.read_refusal("GET /ws/echo HTTP/1.1", 413)


def test_a_refused_client_may_try_again_on_the_same_connection(echo_server):
    with RawClient(echo_server) as client:
        for changes in ({"sec_websocket_key": None}, {"sec_websocket_version": "8"}):
            client.send(upgrade_request(echo_server.port, **changes))
            assert client.read_response().status in {400, 426}
        client.upgrade()
        client.send(frame(TEXT, "at last"))
        assert client.read_frame() == Frame(TEXT, b"at last")


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"path": "/\x1b[2J"}, r"/\x1b[2J"),
        ({"path": "/\x9b2J\x7f"}, r"/\x9b2J\x7f"),
        ({"sec_websocket_version": "\x9d0;owned\x9c"}, r"\x9d0;owned\x9c"),
        ({"origin": "http://\x9b31m"}, r"\x9b31m"),
        ({"sec_websocket_protocol": "\x9b31m"}, r"\x9b31m"),
    ],
    ids=["path", "path C1", "version", "origin", "protocol"],
)
def test_the_log_takes_no_commands_from_a_request(echo_server, changes, shown):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(echo_server.port, **changes))
        assert client.read_response().status in {400, 403, 404, 426}
        line = client.log_line()
    assert shown in line
    assert line.isprintable()


# ---- Sec-WebSocket-Protocol


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        (None, None),
        ("chat", "chat"),
        ("chat, superchat", "chat"),
        ("superchat,chat", "superchat"),
        (["chat", "superchat"], "chat"),
        ("Chat, chat", "Chat"),
        ("v1.echo+json!#$%&'*^`|~", "v1.echo+json!#$%&'*^`|~"),
        ("chat,, superchat,", "chat"),  # RFC 9110, 5.6.1.2: empty elements are ignored
    ],
    ids=str,
)
def test_the_first_subprotocol_is_chosen(echo_server, offer, chosen):
    response = accepted(echo_server, sec_websocket_protocol=offer)
    assert response.header("Sec-WebSocket-Protocol") == chosen


@pytest.mark.parametrize("offer", ["a b", "a/b", '"a"', "chat, a@b", "chat, chat", "\xe9"])
def test_offers_that_are_no_tokens_or_repeated(echo_server, offer):
    response = refused(echo_server, 400, sec_websocket_protocol=offer)
    assert "Sec-WebSocket-Protocol" in response.text


@pytest.fixture(scope="module")
def choosy_server(module_servers):
    return module_servers("--subprotocol", "superchat", "--subprotocol", "v2.chat")


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        ("superchat", "superchat"),
        ("chat, superchat", "superchat"),
        ("v2.chat, superchat", "v2.chat"),
        ("superchat, v2.chat", "superchat"),
        (["chat", "v2.chat"], "v2.chat"),
        ("SuperChat", None),
        ("superchat2, superch, xsuperchat, super", None),
        ("v2xchat", None),
        ("chat", None),
        (None, None),
    ],
    ids=str,
)
def test_subprotocols_of_the_option_are_matched_exactly(choosy_server, offer, chosen):
    response = accepted(choosy_server, sec_websocket_protocol=offer)
    assert response.header("Sec-WebSocket-Protocol") == chosen


def test_subprotocols_of_the_environment(start_server):
    server = start_server(environment={"ECHO_SUBPROTOCOL": "superchat v2.chat"})
    response = accepted(server, sec_websocket_protocol="chat, v2.chat")
    assert response.header("Sec-WebSocket-Protocol") == "v2.chat"
    response = accepted(server, sec_websocket_protocol="chat")
    assert response.header("Sec-WebSocket-Protocol") is None
