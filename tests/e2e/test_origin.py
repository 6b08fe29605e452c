"""Who may connect from a browser: the Origin of the opening handshake, on raw sockets."""

import shlex

import pytest

from tests.e2e.raw_client import RawClient, upgrade_request


def status_for(server, origin, host=None):
    """The status that answers an Origin; a refusal is one in every respect.

    PORT in the origin and the host stands for the server's; the host is its address unless given.
    """
    port = str(server.port)
    host = (host or "127.0.0.1:PORT").replace("PORT", port)
    origins = [origin] if isinstance(origin, str | None) else origin
    origins = [text and text.replace("PORT", port) for text in origins]
    with RawClient(server) as client:
        client.send(upgrade_request(server.port, host=host, origin=origins))
        response = client.read_response()
    if response.status != 101:
        assert response.header("Sec-WebSocket-Accept") is None
    return response.status


SAME = [
    (None, "127.0.0.1:PORT"),
    ("http://127.0.0.1:PORT", "127.0.0.1:PORT"),
    ("HTTP://127.0.0.1:PORT", "127.0.0.1:PORT"),
    ("http://localhost:PORT", "LocalHost:PORT"),
    ("http://EXAMPLE.com", "example.com"),
    # Behind a proxy that ends TLS the scheme differs.
    ("https://127.0.0.1:PORT", "127.0.0.1:PORT"),
    ("https://example.com", "example.com"),
    # Default ports are filled in.
    ("http://example.com:80", "example.com"),
    ("http://example.com", "example.com:80"),
    ("https://example.com:443", "example.com"),
    ("https://example.com", "example.com:443"),
    ("http://[::1]:8000", "[::1]:8000"),
    ("http://[::1]", "[::1]:80"),
    # A WebSocket's scheme, and a whole URL.
    ("ws://example.com", "example.com"),
    ("wss://example.com", "example.com:443"),
    ("http://127.0.0.1:PORT/page", "127.0.0.1:PORT"),
]

#: Origins of this machine's pages, and of what is no web page.
LET_IN = [
    ("http://localhost:5173", "127.0.0.1:PORT"),
    ("http://127.0.0.1:1", "localhost:PORT"),
    ("http://app.localhost", "[::1]:PORT"),
    ("", "example.com"),
    ("file://", "example.com"),
    ("ArduinoWebSocketClient", "example.com"),
    ("evil.org:80", "example.com"),
    ("capacitor://localhost", "example.com"),
    ("chrome-extension://pfdhoblngboilpfeibdedpjgfnlcodoo", "example.com"),
]

FOREIGN = [
    ("http://example.com", "127.0.0.1:PORT"),
    # This machine's pages are foreign to another host, and other hosts' to this machine.
    ("http://localhost:PORT", "example.com"),
    ("http://127.0.0.1:PORT", "192.0.2.1:PORT"),
    ("http://localhost.evil.org:PORT", "127.0.0.1:PORT"),
    ("http://127.0.0.1.evil.org:PORT", "127.0.0.1:PORT"),
    ("http://localhost@evil.org", "127.0.0.1:PORT"),
    # Another port.
    ("http://example.com:1", "example.com"),
    ("http://example.com:80800", "example.com:8080"),
    ("http://example.com:443", "example.com"),
    ("https://example.com:80", "example.com"),
    ("https://example.com", "example.com:80"),
    # Neither a prefix nor a suffix nor a part.
    ("http://example.com.evil.org", "example.com"),
    ("http://example.comevil.org", "example.com"),
    ("http://evil-example.com", "example.com"),
    ("http://sub.example.com", "example.com"),
    ("http://example.com", "sub.example.com"),
    ("http://example.co", "example.com"),
    ("http://evil.org/example.com", "example.com"),
    ("http://evil.org#example.com", "example.com"),
    ("http://evil.org?example.com", "example.com"),
    ("http://evil.org\\@example.com", "example.com"),
    ("http://evil.org@example.com", "example.com"),
    ("http://example.com@evil.org", "example.com"),
    ("http://example.com:80@evil.org", "example.com"),
    ("http://127.0.0.1:PORT.evil.org", "127.0.0.1:PORT"),
    # No origin at all.
    ("null", "127.0.0.1:PORT"),
    ("null", "null"),
    ("http://", "127.0.0.1:PORT"),
    ("http://127.0.0.1:99999", "127.0.0.1:PORT"),
    ("http://127.0.0.1:port", "127.0.0.1:PORT"),
    ("http://[::1", "[::1]"),
    ("http://127.0.0.1:PORT http://evil.org", "127.0.0.1:PORT"),
    ("http://127.0.0.1:PORT, http://evil.org", "127.0.0.1:PORT"),
    (["http://127.0.0.1:PORT", "http://evil.org"], "127.0.0.1:PORT"),
    (["http://evil.org", "http://127.0.0.1:PORT"], "127.0.0.1:PORT"),
]


@pytest.mark.parametrize(("origin", "host"), SAME, ids=str)
def test_the_same_host_passes(echo_server, origin, host):
    assert status_for(echo_server, origin, host) == 101


@pytest.mark.parametrize(("origin", "host"), FOREIGN, ids=str)
def test_another_host_is_refused(echo_server, origin, host):
    assert status_for(echo_server, origin, host) == 403


@pytest.mark.parametrize(("origin", "host"), LET_IN, ids=str)
def test_a_page_of_this_machine_and_what_is_no_page_pass(echo_server, origin, host):
    assert status_for(echo_server, origin, host) == 101


@pytest.mark.parametrize(
    ("target", "host", "origin", "status"),
    [
        ("ws://127.0.0.1:8000/ws/echo", "127.0.0.1:8000", None, 101),
        ("http://example.com/ws/echo", "other.example", "http://example.com", 101),
        ("http://example.com:80/ws/echo", "other.example", "http://example.com", 101),
        ("wss://example.com:443/ws/echo", "other.example", "https://example.com", 101),
        ("WS://Example.com?x", "other.example", None, 404),
        ("http://example.com/ws/echo", "other.example", "http://other.example", 403),
        ("http://example.com/ws/echo", "localhost", "http://localhost", 403),
    ],
)
def test_host_of_an_absolute_target_counts(echo_server, target, host, origin, status):
    """RFC 9112, section 3.2.2: Host is ignored then."""
    with RawClient(echo_server) as client:
        request = upgrade_request(echo_server.port, path=target, host=host, origin=origin)
        client.send(request)
        assert client.read_response().status == status


@pytest.mark.parametrize(
    "origin", ["https://github.com/someone/something", "null", "http://a@b", "tauri://localhost"]
)
def test_the_option_of_the_refusal_lets_it_in(start_server, echo_server, origin):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(echo_server.port, origin=origin))
        response = client.read_response()
    _, _, option = response.text.rpartition(" the server with ")
    server = start_server(*(shlex.split(option) or ["--allow-origin", origin]))
    assert status_for(server, origin) == 101


@pytest.mark.parametrize("origin", ["http://example.com", "null"])
def test_the_refusal_names_the_option(echo_server, origin):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(echo_server.port, origin=origin))
        response = client.read_refusal("GET /ws/echo HTTP/1.1", 403)
    assert response.text.endswith(f" Start the server with --allow-origin {origin}\n")


# ---- --allow-origin


@pytest.fixture(scope="module")
def generous_server(module_servers):
    return module_servers(
        "--allow-origin", "https://example.com", "--allow-origin", "http://example.org:8080"
    )


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "https://example.com:443",
        "HTTPS://Example.COM",
        "https://example.com/",
        "wss://example.com",
        "http://example.org:8080",
        "http://127.0.0.1:PORT",
        None,
    ],
    ids=str,
)
def test_an_allowed_origin_passes(generous_server, origin):
    assert status_for(generous_server, origin) == 101


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "http://example.com:443",
        "https://example.com:8443",
        "https://example.org:8080",
        "http://example.org",
        "http://example.org:80",
        "https://sub.example.com",
        "https://example.com.evil.org",
        "https://evil-example.com",
        "https://example.co",
        "https://example.com@evil.org",
        "https://evil.org@example.com",
        "null",
    ],
)
def test_an_origin_that_only_resembles_an_allowed_one_is_refused(generous_server, origin):
    assert status_for(generous_server, origin) == 403


def test_a_star_lets_in_all(start_server):
    server = start_server("--allow-origin", "*")
    for origin in ("http://example.com", "https://example.org:1", "null", "no origin", None):
        assert status_for(server, origin) == 101


def test_allowed_origins_of_the_environment(start_server):
    server = start_server(
        environment={"ECHO_ALLOW_ORIGIN": "https://example.com http://example.org:8080"}
    )
    assert status_for(server, "https://example.com") == 101
    assert status_for(server, "http://example.org:8080") == 101
    assert status_for(server, "http://example.com") == 403
