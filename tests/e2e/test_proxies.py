"""--trust-proxy: who asks, by which scheme and for which host, as the proxies in front say."""

import json
import re

import pytest

from tests.e2e.raw_client import Frame, RawClient, http_request, upgrade_request
from tests.wire import CLOSE, TEXT, close_frame, frame

#: An id that a client has chosen.
ID = "forwarded-connection-{}"

#: X-Forwarded-For as it comes, and the client that is seen behind one trusted proxy.
BELIEVED = [
    ("203.0.113.7", "203.0.113.7"),
    ("203.0.113.7:5000", "203.0.113.7:5000"),
    ("2001:DB8::7", "[2001:db8::7]"),
    ("[2001:db8::7]", "[2001:db8::7]"),
    ("[2001:db8::7]:5000", "[2001:db8::7]:5000"),
    ("203.0.113.7:65535", "203.0.113.7:65535"),
    # Only what the trusted proxy has put there, which is the last.
    ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
    ("nonsense,,203.0.113.7", "203.0.113.7"),
    (["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
    # A client's quotation mark hides nothing.
    ('"198.51.100.1, 203.0.113.7', "203.0.113.7"),
    ('"\\", 203.0.113.7', "203.0.113.7"),
]

MALFORMED = [
    None,
    "unknown",
    "203.0.113.7, unknown",
    "203.0.113.7:",
    "203.0.113.256",
    "203.0.113.7:x",
    "203.0.113.7:123456",
    "203.0.113.7:65536",
    "203.0.113.7:99999",
    "[2001:db8::7]:65536",
    # The proxy added an empty element: the one before it is the client's own.
    "203.0.113.7,",
    "203.0.113.7, ",
    "203.0.113.7,,",
    "203.0.113.7,\t",
    ["203.0.113.7", ""],
    "203.0.113.7:\u00b2",
    "203.0.113.7 sent: forged",
    "fe80::1%\x9b2J",
    "[::1",
    "::1]:5",
    "x" * 5000,
]


def message_line(server, address, text):
    """Wait for the message log's line."""
    return server.stdout.wait_for_line(rf"^{re.escape(address)} sent: {text}$")


def echo(server, text, **fields):
    """Open a WebSocket with header fields, send a message, close; gives the socket's address."""
    with RawClient(server) as client:
        client.upgrade(**fields)
        client.send(frame(TEXT, text))
        assert client.read_frame() == Frame(TEXT, text.encode())
        client.send(close_frame(1000))
        assert client.read_frame().opcode == CLOSE
        client.read_end()
        return client.address


def get(server, path, *fields, version="HTTP/1.1"):
    host = [] if any(name == "Host" for name, _ in fields) else [("Host", "here.example")]
    with RawClient(server) as client:
        headers = [*host, *fields, ("Connection", "close")]
        client.send(http_request(path=path, version=version, headers=headers))
        return client.read_response()


@pytest.fixture(scope="module")
def one_proxy(module_servers):
    server = module_servers("--trust-proxy", "1")
    yield server
    server.check()


@pytest.mark.parametrize(("forwarded", "seen"), BELIEVED)
def test_logs_and_post_mortem_show_the_client(one_proxy, forwarded, seen):
    number = BELIEVED.index((forwarded, seen))
    text, path = f"believed {number}", f"/ws/echo?echo-id={ID.format(number)}"
    after = one_proxy.stderr.position
    socket = echo(one_proxy, text, path=path, x_forwarded_for=forwarded)
    message_line(one_proxy, seen, text)
    one_proxy.stderr.wait_for_line(rf"^{re.escape(seen)} closed: 1000", after=after)
    assert not one_proxy.stderr.matching(socket)
    record = json.loads(get(one_proxy, path.replace("echo?echo-id=", "connections/")).body)
    assert record["peer"] == seen


@pytest.mark.parametrize("forwarded", MALFORMED)
def test_what_is_no_address_is_not_believed(one_proxy, forwarded):
    text = f"malformed {MALFORMED.index(forwarded)}"
    after = one_proxy.stderr.position
    socket = echo(one_proxy, text, x_forwarded_for=forwarded)
    message_line(one_proxy, socket, text)
    one_proxy.stderr.wait_for_line(rf"^{re.escape(socket)} closed: 1000", after=after)


def test_access_log_and_inspector_show_the_client(one_proxy):
    get(one_proxy, "/found-in-the-log", ("X-Forwarded-For", "203.0.113.9"))
    one_proxy.stderr.wait_for_line(r'^203\.0\.113\.9 "GET /found-in-the-log HTTP/1.1" 404 ')
    with RawClient(one_proxy) as client:
        client.upgrade(path="/ws/inspect", x_forwarded_for="203.0.113.9")
        report = json.loads(client.read_frame().payload)
    assert report["peer"] == "203.0.113.9"
    assert report["forwarded"] == [["X-Forwarded-For", "203.0.113.9"]]


def test_requests_of_one_connection_are_of_several_clients(one_proxy):
    """A proxy sends the requests of many clients by one connection, and bad ones too."""
    with RawClient(one_proxy) as client:
        for number in (1, 2):
            fields = [("Host", "x"), ("X-Forwarded-For", f"192.0.2.{number}")]
            client.send(http_request(path=f"/several-{number}", headers=fields))
            assert client.read_response().status == 404
            one_proxy.stderr.wait_for_line(rf'^192\.0\.2\.{number} "GET /several-{number} ')
        client.send(b"GET /several-3\r\n\r\n")
        assert client.read_response().status == 400
        one_proxy.stderr.wait_for_line(rf'^{re.escape(client.address)} "GET /several-3" 400 ')


def status(server, origin, host="inner:8000", **fields):
    with RawClient(server) as client:
        client.send(upgrade_request(server.port, origin=origin, host=host, **fields))
        return client.read_response().status


def behind(**fields):
    """The X-Forwarded- fields of these names."""
    return {f"x_forwarded_{name}": value for name, value in fields.items()}


@pytest.mark.parametrize(
    ("origin", "fields", "expected"),
    [
        ("https://echo.example", {"x_forwarded_host": "echo.example"}, 101),
        ("http://inner:8000", {"x_forwarded_host": "echo.example"}, 403),
        ("http://inner:8000", {"x_forwarded_host": "not a host"}, 101),
        ("http://inner:8000", {"x_forwarded_host": "a.example/path"}, 101),
        ("http://inner:8000", {"x_forwarded_host": "evil.example,"}, 101),
        ("http://evil.example", {"x_forwarded_host": "evil.example,"}, 403),
        ("https://inner:8000", {"x_forwarded_proto": "http,"}, 101),
        ("http://evil.example", {"x_forwarded_host": "evil.example, echo.example"}, 403),
        ("http://echo.example", {"x_forwarded_host": "evil.example, echo.example"}, 101),
        # Where the scheme is known it must be the same.
        (
            "https://echo.example",
            {"x_forwarded_host": "echo.example", "x_forwarded_proto": "https"},
            101,
        ),
        (
            "http://echo.example",
            {"x_forwarded_host": "echo.example", "x_forwarded_proto": "https"},
            403,
        ),
        (
            "https://echo.example",
            {"x_forwarded_host": "echo.example", "x_forwarded_proto": "http"},
            403,
        ),
        ("http://inner:8000", {"x_forwarded_proto": "javascript"}, 101),
        # Some proxies say wss.
        ("https://inner:8000", {"x_forwarded_proto": "wss"}, 101),
        ("http://inner:8000", {"x_forwarded_proto": "wss"}, 403),
        ("http://inner:8000", {"x_forwarded_proto": "WS"}, 101),
        # The port, where the host has none.
        ("https://echo.example:8443", behind(host="echo.example", port="8443"), 101),
        ("https://echo.example", behind(host="echo.example", port="8443"), 403),
        ("https://echo.example", behind(host="echo.example", port="443"), 101),
        ("http://echo.example", behind(host="echo.example", port="80"), 101),
        ("https://echo.example", behind(host="echo.example", port="443", proto="https"), 101),
        ("wss://echo.example:8443", behind(host="echo.example", port="1, 8443"), 101),
        ("https://echo.example:1", behind(host="echo.example", port="1, 8443"), 403),
        ("https://[2001:db8::1]:8443", behind(host="[2001:db8::1]", port="8443"), 101),
        ("https://echo.example:8443", behind(host="echo.example:", port="8443"), 101),
        ("https://echo.example:8443", behind(host="echo.example:8443", port="1"), 101),
        ("https://echo.example:1", behind(host="echo.example:8443", port="1"), 403),
        ("http://inner:8000", behind(port="1"), 101),
        ("https://echo.example", behind(host="echo.example", port="65536"), 101),
        ("https://echo.example", behind(host="echo.example", port="0"), 101),
        ("https://echo.example", behind(host="echo.example", port="+443"), 101),
        ("https://echo.example", behind(host="echo.example", port="8443,"), 101),
        ("https://evil.example:8443", behind(host="echo.example", port="8443"), 403),
    ],
)
def test_origin_is_compared_with_what_the_client_asked_for(one_proxy, origin, fields, expected):
    assert status(one_proxy, origin, **fields) == expected


@pytest.mark.parametrize(
    ("fields", "root"),
    [
        ([("X-Forwarded-Proto", "https")], "https://here.example"),
        ([("X-Forwarded-Proto", "HTTPS")], "https://here.example"),
        ([("X-Forwarded-Proto", "javascript")], "http://here.example"),
        ([("X-Forwarded-Host", "echo.example:8443")], "http://echo.example:8443"),
        (
            [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "echo.example")],
            "https://echo.example",
        ),
        (
            [
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "echo.example"),
                ("X-Forwarded-Port", "8443"),
            ],
            "https://echo.example:8443",
        ),
        ([("X-Forwarded-Prefix", "/prefix")], "http://here.example/prefix"),
        ([("X-Forwarded-Port", "1")], "http://here.example"),
    ],
)
def test_links_lead_where_the_client_came_from(one_proxy, fields, root):
    reason = get(one_proxy, "/ws/echo", *fields).text
    assert reason.endswith(f" open {root}/ws/echo_display\n")


def test_redirect_and_page_know_no_scheme(one_proxy):
    """They hold for https as they are: the script makes wss of it."""
    proto = ("X-Forwarded-Proto", "https")
    assert get(one_proxy, "/", proto).header("Location") == "ws/echo_display"
    assert not re.search(r"(?:http|ws)://", get(one_proxy, "/ws/echo_display", proto).text)


@pytest.fixture(scope="module")
def two_proxies(module_servers):
    server = module_servers("--trust-proxy", "2")
    yield server
    server.check()


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ("198.51.100.1, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        # A proxy that adds an empty element has added one nevertheless.
        ("198.51.100.1, 203.0.113.7,", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7 , \t", "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7", ""], "203.0.113.7"),
        (",203.0.113.7,10.0.0.1", "203.0.113.7"),
        # The client's quotation marks do not join elements.
        ('"198.51.100.1, 203.0.113.7, 10.0.0.1"', "203.0.113.7"),
    ],
)
def test_the_value_of_the_outermost_trusted_proxy_counts(two_proxies, forwarded, seen):
    text = f"two {forwarded!r}"
    echo(two_proxies, text, x_forwarded_for=forwarded)
    message_line(two_proxies, seen, re.escape(text))


@pytest.mark.parametrize("forwarded", ["203.0.113.7", "203.0.113.7, , 10.0.0.1", ",10.0.0.1"])
def test_without_a_value_of_the_outermost_proxy_the_socket_counts(two_proxies, forwarded):
    text = f"too few {forwarded!r}"
    message_line(two_proxies, echo(two_proxies, text, x_forwarded_for=forwarded), re.escape(text))


def test_nobody_is_believed_by_default(start_server):
    server = start_server()
    fields = {
        "x_forwarded_for": "203.0.113.7",
        "x_forwarded_host": "evil.example",
        "x_forwarded_proto": "https",
    }
    message_line(server, echo(server, "alone", **fields), "alone")
    assert status(server, "https://evil.example", **fields) == 403
    reason = get(server, "/ws/echo", ("X-Forwarded-Proto", "https")).text
    assert reason.endswith(" open http://here.example/ws/echo_display\n")
    with RawClient(server) as client:
        client.upgrade(path="/ws/inspect", **fields)
        assert json.loads(client.read_frame().payload)["peer"] == client.address
