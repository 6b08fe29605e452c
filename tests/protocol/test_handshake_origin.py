"""Section 10.2: which pages may connect. Origins are compared as values, never as texts."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo.protocol.errors import ForbiddenOrigin
from echo.protocol.handshake import HandshakePolicy, Origin
from tests.protocol.opening import handshake
from tests.protocol.streams import MODEST

ORIGINS = [
    ("http://echo.example", ("http", "echo.example", 80)),
    ("https://echo.example", ("https", "echo.example", 443)),
    ("ws://echo.example", ("ws", "echo.example", 80)),
    ("wss://echo.example", ("wss", "echo.example", 443)),
    ("http://echo.example:80", ("http", "echo.example", 80)),
    ("http://echo.example:443", ("http", "echo.example", 443)),
    ("https://echo.example:8443", ("https", "echo.example", 8443)),
    ("http://localhost:8000", ("http", "localhost", 8000)),
    ("HTTP://Echo.EXAMPLE:8000", ("http", "echo.example", 8000)),
    ("http://127.0.0.1:8000", ("http", "127.0.0.1", 8000)),
    ("http://[::1]", ("http", "::1", 80)),
    ("http://[::1]:8000", ("http", "::1", 8000)),
    ("https://[2001:DB8::A]", ("https", "2001:db8::a", 443)),
    ("http://xn--bcher-kva.example", ("http", "xn--bcher-kva.example", 80)),
    ("http://echo.example:65535", ("http", "echo.example", 65535)),
    ("app://echo.example:1", ("app", "echo.example", 1)),
]

NO_ORIGINS = [
    "",
    " ",
    "null",
    "*",
    "echo.example",
    "echo.example:80",
    "//echo.example",
    "://echo.example",
    "http:",
    "http://",
    "http:///",
    "http:echo.example",
    "http:/echo.example",
    "http:\\\\echo.example",
    "http://:80",
    "http://echo.example/",
    "http://echo.example/page",
    "http://echo.example?",
    "http://echo.example?a",
    "http://echo.example#",
    "http://echo.example#a",
    "http://me@echo.example",
    "http://me:secret@echo.example",
    "http://@echo.example",
    "http://echo.example:65536",
    "http://echo.example:99999",
    "http://echo.example:-1",
    "http://echo.example:+80",
    "http://echo.example:8_0",
    "http://echo.example:x",
    "http://echo.example:80:80",
    "http://echo.example:\u0668",
    "http://echo.example ",
    " http://echo.example",
    "http://echo example",
    "http://echo.example\n",
    "\thttp://echo.example",
    "http://echo.ex\tample",
    "http://echo.example\x00",
    "http://echo.example\x7f",
    "http://echo.example\u2028",
    "http://\u2100.example",
    "http://[::1",
    "http://::1]",
    "http://::1",
    "http://[]",
    "http://[echo.example]",
    "http://[::1]evil",
    "http://[::1]evil:80",
    "http://evil[::1]",
    "http://evil.example[::1]:8000",
    "http://echo.example, http://other.example",
    "http://echo.example,http://other.example",
    "http://echo.example http://other.example",
    "file://",
    "app://echo.example",  # nobody knows its default port
]

#: Hosts that no browser sends: who allows one of these waits for something that never comes.
NO_HOSTS = [
    "*",
    "*.example",
    "echo.example,*",
    "echo.example,other.example",
    "echo.example;other.example",
    "echo.example\\@evil.example",
    'echo"example',
    "<echo>",
    "echo%2eexample",
    "b\xfccher.example",
    "[::1%25eth0]",
    "[v1.echo]",
    "[127.0.0.1]",
]

#: An Origin, a Host, and whether they are the same.
SAME_ORIGIN = [
    ("http://echo.example", "echo.example", True),
    ("http://echo.example", "echo.example:80", True),
    ("http://echo.example:80", "echo.example", True),
    # Behind a proxy that ends TLS.
    ("https://echo.example", "echo.example", True),
    ("https://echo.example", "echo.example:443", True),
    ("https://echo.example:443", "echo.example", True),
    ("http://localhost:8000", "localhost:8000", True),
    ("http://ECHO.example", "echo.EXAMPLE", True),
    ("HTTP://echo.example", "echo.example", True),
    ("http://[::1]:8000", "[::1]:8000", True),
    ("http://[2001:DB8::1]", "[2001:db8::1]", True),
    ("http://echo.example:8000", "echo.example", False),
    ("http://echo.example", "echo.example:8000", False),
    ("http://echo.example:8000", "echo.example:8001", False),
    ("http://echo.example:8000", "echo.example:800", False),
    ("http://echo.example", "echo.example:443", False),
    ("https://echo.example", "echo.example:80", False),
    ("http://echo.example.evil.example", "echo.example", False),
    ("http://evil-echo.example", "echo.example", False),
    ("http://evil.example", "echo.example", False),
    ("http://echo.example", "evil.echo.example", False),
    ("http://sub.echo.example", "echo.example", False),
    ("http://echo.exampl", "echo.example", False),
    ("http://cho.example", "echo.example", False),
    ("http://echo.example@evil.example", "echo.example", False),
    ("http://evil.example/echo.example", "echo.example", False),
    ("http://evil.example#echo.example", "echo.example", False),
    ("http://evil.example?echo.example", "echo.example", False),
    ("http://localhost:8000", "127.0.0.1:8000", False),
    ("http://[::1]:8000", "localhost:8000", False),
    ("http://[::1]", "[::2]", False),
    ("http://[::1]", "evil.example[::1]", False),
    ("http://[::1]", "[::1]evil.example", False),
    ("http://echo.example.", "echo.example", False),
    ("null", "echo.example", False),
    ("null", "null", False),
    ("http://null", "echo.example", False),
    ("", "echo.example", False),
    ("", "", False),
    ("*", "echo.example", False),
    ("echo.example", "echo.example", False),
    ("http://echo.example/", "echo.example", False),
    ("http://echo.example", "echo.example/", False),
    ("http://echo.example", "http://echo.example", False),
    ("http://echo.example", "me@echo.example", False),
    ("http://echo.example", " echo.example", False),
    ("http://echo.example", "", False),
    ("http://echo.example", ":80", False),
    ("http://echo.example", "echo.example:65616", False),
    ("http://echo.example, http://echo.example", "echo.example", False),
    ("file://", "", False),
    ("http://echo.example", None, False),
    ("http://none", None, False),
    ("http://None:80", None, False),
]

#: An Origin that is foreign by its Host, and whether these two allowed ones let it in.
ALLOWED = ("https://page.example", "http://page.example:8000", "http://[2001:db8::1]")
ALLOWED_ORIGIN = [
    ("https://page.example", True),
    ("https://page.example:443", True),
    ("HTTPS://PAGE.example", True),
    ("http://page.example:8000", True),
    ("http://[2001:DB8::1]:80", True),
    ("http://page.example", False),
    ("https://page.example:8000", False),
    ("http://page.example:443", False),
    ("http://page.example:80", False),
    ("http://page.example:8001", False),
    ("wss://page.example", False),
    ("https://page.example.evil.example", False),
    ("https://evil-page.example", False),
    ("https://sub.page.example", False),
    ("https://page.example:443.evil.example", False),
    ("https://page.example@evil.example", False),
    ("https://evil.example@page.example", False),
    ("https://page.example/", False),
    ("https://page.example, https://evil.example", False),
    ("null", False),
    ("", False),
    ("*", False),
]


def passes(policy: HandshakePolicy, origin: str | None, host: str | None) -> bool:
    try:
        handshake(policy, origin=origin, host=host)
    except ForbiddenOrigin:
        return False
    return True


@pytest.mark.parametrize(("text", "origin"), ORIGINS)
def test_origin_is_parsed(text, origin):
    assert Origin.parse(text) == origin


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_what_is_no_origin_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        Origin.parse(text)


@pytest.mark.parametrize("host", NO_HOSTS)
def test_host_that_is_neither_a_name_nor_an_address_is_a_value_error(host):
    with pytest.raises(ValueError, match=r"."):
        Origin.parse(f"http://{host}")
    assert not passes(HandshakePolicy(), f"http://{host}", host)


def test_origin_has_a_scheme_a_host_and_a_port():
    origin = Origin.parse("https://echo.example")
    assert (origin.scheme, origin.host, origin.port) == ("https", "echo.example", 443)


@pytest.mark.parametrize(("origin", "host", "same"), SAME_ORIGIN)
def test_same_origin_passes_and_a_foreign_one_does_not(origin, host, same):
    assert passes(HandshakePolicy(), origin, host) is same


@pytest.mark.parametrize(("origin", "allowed"), ALLOWED_ORIGIN)
def test_foreign_origin_passes_when_it_is_an_allowed_one(origin, allowed):
    policy = HandshakePolicy(origins=tuple(Origin.parse(text) for text in ALLOWED))
    assert passes(policy, origin, "echo.example") is allowed
    assert not passes(HandshakePolicy(), origin, "echo.example")


def test_same_origin_passes_besides_the_allowed_ones():
    policy = HandshakePolicy(origins=[Origin.parse("https://page.example")])
    assert passes(policy, "http://echo.example", "echo.example")


@pytest.mark.parametrize("host", ["echo.example", None])
@pytest.mark.parametrize("origins", [(), None, [Origin("https", "page.example", 443)]])
def test_request_without_an_origin_passes(origins, host):
    assert passes(HandshakePolicy(origins=origins), None, host)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "file://", "\xff", None])
def test_all_origins_pass_when_all_are_allowed(origin):
    assert passes(HandshakePolicy(origins=None), origin, "echo.example")


def test_reason_names_the_origin_the_host_and_the_option():
    with pytest.raises(ForbiddenOrigin) as caught:
        handshake(origin="http://evil.example")
    for word in ("'http://evil.example'", "'echo.example'", "--allow-origin"):
        assert word in str(caught.value)


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join) | st.ip_addresses(v=6).map(
    lambda address: f"[{address}]"
)


@MODEST
@given(st.sampled_from(["http", "https", "ws", "wss"]), hosts, st.integers(0, 65535))
def test_any_origin_is_parsed_to_its_parts(scheme, host, port):
    origin = Origin.parse(f"{scheme.upper()}://{host.upper()}:{port}")
    assert origin == (scheme, host.strip("[]"), port)
    assert passes(HandshakePolicy(), f"{scheme}://{host}:{port}", f"{host}:{port}")


@MODEST
@given(st.text(max_size=30) | st.text("htps:/[]@.?#%1e\\ ", max_size=30).map("http://".__add__))
def test_any_text_is_an_origin_or_a_value_error(text):
    with suppress(ValueError):
        origin = Origin.parse(text)
        assert origin.scheme
        assert origin.host
        assert 0 <= origin.port <= 65535
