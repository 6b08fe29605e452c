"""The routes, on raw sockets against the real server."""

from urllib.parse import urljoin, urlsplit

import pytest

from tests.e2e.raw_client import Frame, RawClient, http_request, upgrade_request
from tests.wire import TEXT, frame

PAGE = "/ws/echo_display"


def plain_request(server, method="GET", path="/ws/echo", *headers):
    host = f"{server.host}:{server.port}"
    return http_request(method, path, headers=[("Host", host), *headers])


def get(server, path):
    """The response to a plain GET, and the end of the stream behind it."""
    with RawClient(server) as client:
        client.send(plain_request(server, "GET", path, ("Connection", "close")))
        response = client.read_response()
        client.read_end()
    return response


def refused(server, request, *statuses, to_head=False):
    request_line = request.decode("latin-1").partition("\r\n")[0]
    with RawClient(server) as client:
        client.send(request)
        return client.read_refusal(request_line, *statuses, to_head=to_head)


# ---- The page


def test_the_page(echo_server):
    response = get(echo_server, PAGE)
    assert response.status == 200
    assert response.header("Content-Type") == "text/html; charset=utf-8"
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert "default-src 'none'" in response.header("Content-Security-Policy")
    assert response.text.startswith("<!doctype html>")


def test_the_page_knows_the_websocket_by_a_relative_path(echo_server):
    """Not by an address made from Host, which a proxy may have replaced, nor from its own path."""
    assert 'data-echo-path="echo"' in get(echo_server, PAGE).text


def test_the_root_leads_to_the_page(echo_server):
    response = get(echo_server, "/")
    assert response.status == 302
    location = urljoin(f"{echo_server.url}/", response.header("Location"))
    assert location == f"{echo_server.url}{PAGE}"


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}?x=1", "/", "/static/js/app/main.js"])
def test_an_upgrade_request_where_no_websocket_is(echo_server, path):
    response = refused(echo_server, upgrade_request(echo_server.port, path=path), 404)
    assert "WebSocket" in response.text
    assert "/ws/echo" in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", [PAGE, "/"])
def test_pages_are_only_read(echo_server, method, path):
    response = refused(echo_server, plain_request(echo_server, method, path), 405)
    assert "GET" in response.header("Allow")


def test_head_has_the_header_of_the_page_alone(echo_server):
    with RawClient(echo_server) as client:
        client.send(plain_request(echo_server, "HEAD", PAGE))
        response = client.read_response(to_head=True)
        client.send_end()
        client.read_end()
    page = get(echo_server, PAGE)
    assert response.status == 200
    assert response.header("Content-Length") == str(len(page.body))


# ---- The WebSocket


def test_a_plain_get_of_the_websocket(echo_server):
    response = refused(echo_server, plain_request(echo_server), 426)
    assert response.header("Upgrade") == "websocket"
    assert response.header("Connection") == "Upgrade"
    assert response.header("Sec-WebSocket-Version") == "13"
    link = f"{echo_server.url}{PAGE}"
    assert link in response.text
    assert get(echo_server, urlsplit(link).path).status == 200


def test_a_plain_get_by_http_1_0(echo_server):
    request = http_request(version="HTTP/1.0", headers=[("Host", "example.com")])
    with RawClient(echo_server) as client:
        client.send(request)
        response = client.read_response()
        client.read_end()
    assert response.status == 426
    assert "http://example.com/ws/echo_display" in response.text


METHODS = ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "ECHO"]


@pytest.mark.parametrize("method", METHODS)
def test_other_methods_on_the_websocket(echo_server, method):
    request = plain_request(echo_server, method)
    response = refused(echo_server, request, 405, to_head=method == "HEAD")
    assert "GET" in response.header("Allow").split(", ")


@pytest.mark.parametrize("method", METHODS)
def test_an_upgrade_request_by_another_method(echo_server, method):
    request = upgrade_request(echo_server.port, method)
    response = refused(echo_server, request, 405, to_head=method == "HEAD")
    assert "GET" in response.header("Allow").split(", ")


def test_no_method_is_called_allowed_that_is_not(echo_server):
    response = refused(echo_server, plain_request(echo_server, "POST"), 405)
    assert response.header("Allow") == "GET"


def test_a_posted_body_is_refused_and_not_looked_at(echo_server):
    with RawClient(echo_server) as client:
        client.send(plain_request(echo_server, "POST", "/ws/echo", ("Content-Length", "5")))
        client.send(b"hello")
        assert client.read_response().status == 413
        client.read_end()


# ---- Everything else

UNKNOWN = [
    "/nothing",
    "/ws",
    "/ws/",
    "/ws/echo/",
    "/ws/echo/more",
    "/ws/ech",
    "/ws/echo2",
    "/ws/Echo",
    "/ws/echo_display/",
    "/echo",
    "/ws/./echo",
    "/ws/../ws/echo",
    "/ws/echo%00",
    "/ws/echo%20",
    "/ws%2Fecho/x",
    "/static/../server.py",
    "/static/nothing.js",
    "/%ff%fe",
    "/favicon.ico",
]


@pytest.mark.parametrize("path", UNKNOWN)
def test_unknown_paths(echo_server, path):
    refused(echo_server, plain_request(echo_server, "GET", path), 404)


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_upgrade_request_to_an_unknown_path(echo_server, path):
    response = refused(echo_server, upgrade_request(echo_server.port, path=path), 404)
    assert "it is at /ws/echo." in response.text


def test_another_protocol_is_named(echo_server):
    path = "/socket.io/?EIO=4&transport=websocket"
    response = refused(echo_server, upgrade_request(echo_server.port, path=path), 404)
    assert "This service speaks plain WebSocket, not Socket.IO" in response.text


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("my_service:8000", "http://my_service:8000/ws/echo_display"),
        ("localhost:", "http://localhost/ws/echo_display"),
        ("", "/ws/echo_display"),
    ],
)
def test_the_link_is_good_for_every_host(echo_server, host, link):
    response = refused(echo_server, http_request(headers=[("Host", host)]), 426)
    assert response.text.endswith(f" open {link}\n")


def test_the_host_of_an_absolute_target_is_the_one_that_was_asked_for(echo_server):
    path = "http://asked.example:81/ws/echo"
    response = refused(echo_server, http_request(path=path, headers=[("Host", "other")]), 426)
    assert "open http://asked.example:81/ws/echo_display\n" in response.text


@pytest.mark.parametrize("path", ["//ws/echo", "/ws//echo"])
def test_slashes_are_not_merged(echo_server, path):
    refused(echo_server, plain_request(echo_server, "GET", path), 404)
    refused(echo_server, upgrade_request(echo_server.port, path=path), 404)


def test_several_requests_on_one_connection(echo_server):
    requests = [(PAGE, 200), ("/nothing", 404), ("/", 302), ("/ws/echo", 426), (PAGE, 200)]
    with RawClient(echo_server) as client:
        client.send(*(plain_request(echo_server, "GET", path) for path, _ in requests))
        assert [client.read_response().status for _ in requests] == [code for _, code in requests]
        client.upgrade(frame(TEXT, "and a WebSocket"))
        assert client.read_frame() == Frame(TEXT, b"and a WebSocket")
