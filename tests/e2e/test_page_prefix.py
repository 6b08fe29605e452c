"""The page, its files and its WebSockets below a prefix, behind the real nginx."""

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import RECEIVED, expect_state, send
from tests.e2e.programs import UPGRADE
from tests.e2e.raw_client import RawClient, http_request

PREFIX = "/tools/echo"
HOST = "proxy_set_header Host $http_host;"
TELLING = f"proxy_set_header X-Forwarded-Prefix {PREFIX};"

#: How a proxy serves us below a prefix: it takes the prefix off, and tells of it or not; or it
#: leaves it on and tells.
WAYS = {
    "taken off": ((), HOST, "/"),
    "taken off and told": (("--trust-proxy", "1"), HOST + TELLING, "/"),
    "left on and told": (("--trust-proxy", "1"), HOST + TELLING, ""),
}


@pytest.fixture(params=WAYS)
def proxied(request, start_server, nginx_with):
    options, lines, target = WAYS[request.param]
    server = start_server(*options)
    return nginx_with(server, UPGRADE + lines, location=f"{PREFIX}/", target=target)


def test_nothing_leaves_the_prefix(proxied, page):
    base = f"127.0.0.1:{proxied.port}{PREFIX}/"
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda websocket: asked.append(websocket.url))
    page.goto(f"http://{base}")
    expect_state(page, "connected")
    assert page.url == f"http://{base}ws/echo_display"
    send(page, "below")
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("below")
    page.goto("about:blank")
    page.goto(f"http://{base}ws/echo_display#view=wire&target=inspect")
    expect(page.locator("[data-kind=handshake]")).to_have_count(1)
    assert f"ws://{base}ws/echo" in {url.partition("?")[0] for url in asked}
    assert f"ws://{base}ws/inspect" in {url.partition("?")[0] for url in asked}
    assert [url for url in asked if not url.partition("://")[2].startswith(base)] == []


@pytest.mark.parametrize("path", ["/ws/echo", "/nothing"])
def test_links_name_the_prefix_where_the_proxy_tells(start_server, path):
    with RawClient(start_server("--trust-proxy", "1")) as client:
        fields = [("Host", "a.example"), ("X-Forwarded-Prefix", PREFIX)]
        client.send(http_request(path=path, headers=fields))
        assert f"{PREFIX}/ws/echo_display" in client.read_response().text


@pytest.fixture(scope="module")
def behind_a_proxy(module_servers):
    return module_servers("--trust-proxy", "1")


@pytest.mark.parametrize(
    "prefix",
    [
        "//evil.example",
        "/a//b",
        "/..",
        "/a/../b",
        "evil",
        "/a b",
        '/a"b',
        "/a?b",
        "/%0d",
        "javascript:x",
        "/",
    ],
)
def test_what_is_no_prefix_changes_nothing(behind_a_proxy, prefix):
    with RawClient(behind_a_proxy) as client:
        fields = [("Host", "a.example"), ("X-Forwarded-Prefix", prefix)]
        client.send(http_request(path="/ws/echo", headers=fields))
        assert "open http://a.example/ws/echo_display" in client.read_response().text


def test_nobody_is_believed_by_default(echo_server):
    with RawClient(echo_server) as client:
        fields = [("Host", "a.example"), ("X-Forwarded-Prefix", PREFIX)]
        client.send(http_request(path="/ws/echo", headers=fields))
        assert "open http://a.example/ws/echo_display" in client.read_response().text
