"""The page in browsers with other engines than Chromium's: Firefox and WebKit."""

import re

import pytest

from tests.e2e.browser import EVENT, RECEIVED, SENT
from tests.e2e.other_browsers import ENTER, firefox, require, webkit
from tests.wire import TEXT, frame_header, mask

FRAME = "#log > [data-kind=frame][data-source=reported]"
HANDSHAKE = "#log > [data-kind=handshake]"

# ---- The page


@pytest.fixture(scope="module", params=[firefox, webkit], ids=lambda start: start.__name__)
def running_browser(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def other_browser(running_browser, start_server):
    """The browser, which leaves the page before the servers of ``start_server`` end.

    The test fails when the browser has had something to complain about.
    """
    yield running_browser
    complaints = running_browser.take_complaints()
    running_browser.leave()
    assert complaints == []


def open_page(browser, server, fragment=""):
    browser.open(f"{server.url}/ws/echo_display{fragment}")
    browser.expect("#state[data-state=connected]", "^Connected$")


def test_the_page_connects(other_browser, echo_server):
    open_page(other_browser, echo_server, "#protocols=chat,superchat")
    other_browser.expect("#address", f"^ws://127.0.0.1:{echo_server.port}/ws/echo$")
    other_browser.expect("#connection-id", "^[A-Za-z0-9_-]{22}$")
    other_browser.expect("#protocol", "^chat$")
    other_browser.expect("#extensions", "permessage-deflate")
    other_browser.expect(f"{EVENT}[data-kind=opened]", "Connected")


def test_what_is_typed_is_listed_with_its_echo(other_browser, echo_server):
    open_page(other_browser, echo_server)
    other_browser.click("#message")
    other_browser.type(f"Grüße{ENTER}")
    other_browser.expect(f"{SENT} .payload", "^Grüße$")
    other_browser.expect(f"{RECEIVED} .payload", "^Grüße$")
    other_browser.expect(f"{RECEIVED} .size", "^7 bytes$")
    other_browser.expect(f"{RECEIVED} .rtt", r"^\d[\d,.]* ms$")


def test_the_wire_view_shows_the_handshake_and_the_frames_of_this_browser(
    other_browser, start_server
):
    open_page(other_browser, start_server("--compression", "off"), "#view=wire&target=inspect")
    agent = other_browser.evaluate("() => navigator.userAgent")
    other_browser.expect(f"{HANDSHAKE} [data-header=user-agent]", re.escape(f": {agent}"))
    other_browser.expect(f"{HANDSHAKE} .accept .good", "the server has read this very request")

    other_browser.click("#message")
    other_browser.type(f"Hello{ENTER}")
    other_browser.expect(f"{FRAME} [data-dump=unmasked] .octets", "48 65 6c 6c 6f")
    bits = "".join(other_browser.texts(f"{FRAME} .bit"))
    key = int(bits[-32:], 2).to_bytes(4)
    assert bits == "".join(f"{byte:08b}" for byte in frame_header(TEXT, 5, key=key))
    masked = "".join(other_browser.texts(f"{FRAME} [data-dump=masked] .octets"))
    assert bytes.fromhex(masked) == mask(b"Hello", key)


def test_the_page_closes_when_told_to_and_connects_again(other_browser, echo_server):
    open_page(other_browser, echo_server)
    other_browser.click("#disconnect")
    other_browser.expect("#state[data-state=disconnected]", "^Disconnected$")
    other_browser.expect(f"{EVENT}[data-kind=closed][data-code='1000']", "1000")
    other_browser.click("#connect")
    other_browser.expect("#state[data-state=connected]", "^Connected$")
    other_browser.expect(f"{EVENT}[data-kind=opened]", "Connected", "Connected")


def test_the_page_says_why_its_handshake_was_refused(other_browser, start_server, nginx_with):
    proxy = nginx_with(start_server(), "proxy_set_header Host $http_host;")
    other_browser.open(f"http://127.0.0.1:{proxy.port}/ws/echo_display")
    refused = "refused the handshake with 426: *The request lacks 'Upgrade: websocket'"
    other_browser.expect(f"{EVENT}[data-kind=failed]", refused)
    other_browser.leave()
    other_browser.take_complaints()  # of the handshake


# ---- Browsers that are missing


def test_a_missing_browser_skips_its_tests_but_fails_them_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="firefox-esr is not installed"):
        require("firefox-esr", None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="firefox-esr is not installed"):
        require("firefox-esr", None)
