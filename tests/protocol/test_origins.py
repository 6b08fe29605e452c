"""Which Origins are let in by default, and how a refusal says what lets in the others."""

import shlex
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo.protocol.errors import ForbiddenOrigin
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.origins import check_allowable, read_origin
from tests.protocol.opening import handshake
from tests.protocol.streams import MODEST

#: Origins that no web page can have: of devices, libraries, apps and extensions.
NO_PAGES = [
    "",
    "*",
    "file://",
    "file:///home/me/page.html",
    "ArduinoWebSocketClient",
    "My App 1.0",
    "echo.example",
    "192.0.2.1:8000",
    "evil.example:80",
    "//evil.example",
    "://evil.example",
    "nullable",
    "undefined",
    "about:blank",
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "app://obsidian.md",
    "vscode-webview://0a1b2c",
    "chrome-extension://pfdhoblngboilpfeibdedpjgfnlcodoo",
    "moz-extension://95f3aa6a-1234-4cde-8f00-0123456789ab",
    "safari-web-extension://95f3aa6a-1234-4cde-8f00-0123456789ab",
    "http+unix://socket",
    "caf\xe9",
]

#: Pages, or what could be taken for one.
PAGES = [
    "http://evil.example",
    "HTTPS://evil.example",
    "ws://evil.example",
    "wss://evil.example",
    "http:",
    "http:evil.example",
    "http:/evil.example",
    "http://",
    "https://evil.example:99999",
    "http://me@evil.example",
    "https://github.com/someone/something",
    "null",
    "NULL",
    "null, x",
    "x, null",
    "x http://evil.example",
    "file://,http://evil.example",
    "http://b\xc3\xbccher.example",
    "http://b\xfccher.example",
]

LOOPBACK = [
    "localhost",
    "LOCALHOST",
    "app.localhost",
    "a.b.localhost",
    "127.0.0.1",
    "127.1.2.3",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
]

#: Names and addresses that look like this machine's and are not.
NOT_LOOPBACK = [
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "127.0.0.1:80@evil.example",
    "evil.example/localhost",
    "evil.example#@localhost",
    "evil-localhost",
    "localhost-evil",
    "localhostevil.example",
    "evillocalhost",
    "local",
    "127.0.0.256",
    "1270.0.0.1",
    "128.0.0.1",
    "10.0.0.1",
    "192.168.0.1",
    "0.0.0.0",
    "[::]",
    "[::2]",
    "[fe80::1]",
    "[::ffff:192.0.2.1]",
    "evil.example",
]


def refusal(origin: str, host: str | None = "echo.example", **more: str | None) -> str:
    """The reason for which an Origin is refused; empty for one that is let in."""
    try:
        handshake(origin=origin, host=host, **more)
    except ForbiddenOrigin as refused:
        return str(refused)
    return ""


def offered(reason: str) -> str:
    """The value of the option at the end of a reason, as a shell reads it."""
    name, value = shlex.split(reason.rpartition(" the server with ")[2])
    assert name == "--allow-origin"
    return value


@pytest.mark.parametrize("origin", NO_PAGES)
def test_origin_that_no_web_page_has_is_let_in(origin):
    assert refusal(origin) == ""


@pytest.mark.parametrize("origin", PAGES)
def test_origin_of_another_page_is_refused(origin):
    assert refusal(origin)


@pytest.mark.parametrize("name", LOOPBACK)
def test_page_of_this_machine_is_let_in_by_a_server_on_it(name):
    schemes, ports = ("http", "https", "ws"), ("", ":5173", ":8000")
    for scheme, port, host, known in product(schemes, ports, LOOPBACK, (None, "http", "https")):
        assert refusal(f"{scheme}://{name}{port}", f"{host}:8000", scheme=known) == ""


@pytest.mark.parametrize("name", NOT_LOOPBACK)
def test_what_only_looks_like_this_machine_is_another_one(name):
    assert refusal(f"http://{name}", "localhost:8000")


@pytest.mark.parametrize("host", [*NOT_LOOPBACK, "", None])
def test_page_of_this_machine_is_foreign_to_another_host(host):
    """Else a name that an attacker points at 127.0.0.1 would let its visitors' pages in."""
    assert refusal("http://localhost:5173", host)


@pytest.mark.parametrize(
    ("origin", "value"),
    [
        ("https://app.example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:8080", "http://app.example:8080"),
        ("wss://app.example", "https://app.example"),
        ("https://github.com/someone/something", "https://github.com"),
        ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
        ("null", "null"),
        ("http://localhost@evil.example", "http://localhost@evil.example"),
        ("http://a.example:99999", "http://a.example:99999"),
        ("http:", "http:"),
        ("http://it's.example", "http://it's.example"),
        ("http://a;b", "http://a;b"),
        ("http://b\xc3\xbccher.example", "http://b\xfccher.example"),
        ("http://b\xfccher.example", "http://b\xfccher.example"),
    ],
)
def test_reason_ends_with_the_option_that_lets_it_in(origin, value):
    reason = refusal(origin)
    assert offered(reason) == value
    check_allowable(value)
    assert handshake(HandshakePolicy(origins=(read_origin(value),)), origin=origin)


@MODEST
@given(
    st.sampled_from(["http://", "https://", "WS://", "null", ""]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
)
def test_any_origin_is_let_in_by_the_option_of_its_reason(scheme, rest):
    reason = refusal(scheme + rest)
    if "--allow-origin" in reason:
        value = offered(reason)
        check_allowable(value)
        assert handshake(HandshakePolicy(origins=(read_origin(value),)), origin=scheme + rest)


@pytest.mark.parametrize(
    "origin",
    [
        "http://a.example, http://b.example",
        "http://a.example http://b.example",
        "null,null",
        "http://*.example",
        "http://x\x9b31m",
        "http://" + "x" * 400,
    ],
)
def test_reason_for_what_is_no_origin_offers_no_option(origin):
    reason = refusal(origin)
    assert "--allow-origin" not in reason
    assert len(reason) < 300


@pytest.mark.parametrize(
    "text", ["", " ", "**", "*.example", "http://*.a", "a,b", "a b", "a\n", "\x9b"]
)
def test_what_is_not_one_origin_cannot_be_allowed(text):
    with pytest.raises(ValueError, match="origin"):
        check_allowable(text)


@pytest.mark.parametrize("host", ["echo.example", "echo.example:8000", None])
def test_reason_names_the_origin_and_the_host(host):
    reason = refusal("http://evil.example", host)
    assert reason.startswith("Origin 'http://evil.example' is another site: ")
    assert f"{host or ''!r}" in reason


def test_reason_says_whose_a_null_origin_is():
    assert "sandboxed" in refusal("null")


#: An Origin, the Host and the scheme that the service knows of, more fields, what differs, and the
#: field of a proxy that would set it right.
MISMATCHES = [
    ("https://a.example", "a.example", "http", {}, "scheme", "X-Forwarded-Proto: https"),
    ("http://a.example", "a.example", "https", {}, "scheme", "X-Forwarded-Proto: http"),
    ("https://a.example:8443", "a.example", None, {}, "port", "X-Forwarded-Host: a.example:8443"),
    ("https://a.example", "a.example:8000", None, {}, "port", "X-Forwarded-Host: a.example"),
    ("http://[::2]:81", "[::2]", "http", {}, "port", "X-Forwarded-Host: [::2]:81"),
    (
        "https://a.example:8443",
        "a.example",
        "https",
        {"forwarded_host": "a.example"},
        "port",
        "X-Forwarded-Port: 8443",
    ),
    (
        "https://a.example",
        "a.example:8000",
        "https",
        {"forwarded_host": "a.example:8000"},
        "port",
        "X-Forwarded-Host: a.example",
    ),
    (
        "https://a.example:8443",
        "a.example:80",
        "http",
        {},
        "scheme and port",
        "X-Forwarded-Proto: https and X-Forwarded-Host: a.example:8443",
    ),
]


@pytest.mark.parametrize(("origin", "host", "scheme", "more", "differs", "field"), MISMATCHES)
def test_reason_names_the_field_that_a_proxy_has_not_sent(
    origin, host, scheme, more, differs, field
):
    reason = refusal(origin, host, scheme=scheme, **more)
    assert f"differs only in its {differs} from " in reason
    assert f"have it send {field} and give the server --trust-proxy; otherwise" in reason
    assert offered(reason) == origin


def test_reason_names_no_proxy_where_the_host_differs():
    for origin in ("https://b.example", "http://a.example.evil.example", "null"):
        assert "X-Forwarded" not in refusal(origin, "a.example", scheme="http")
