"""What the refusal of a target or a Host tells its reader."""

import pytest

from echo.protocol.errors import MalformedRequest
from echo.protocol.request_target import check_host, split_target

#: A Host, and what its refusal says of it.
HOST_FAULTS = {
    "[fe80::1%25eth0]": "without its zone id",
    "[fe80::1%eth0]:8000": "without its zone id",
    "fe80::1%eth0": "in brackets and without its zone id",
    "fe80::1%25en0:8000": "in brackets and without its zone id",
    "::1": "needs brackets",
    "::1:8000": "needs brackets",
    "fe80::1": "needs brackets",
    "2001:db8:0:0:0:0:0:1": "needs brackets",
    "::ffff:192.0.2.1": "needs brackets",
    "[::1": "closing bracket",
    "[::1:8000": "closing bracket",
    "::1]": "opening bracket",
    "::1]:8000": "opening bracket",
    "[::x]": "IPv6 address inside the brackets",
    "[echo.example]": "IPv6 address inside the brackets",
    "[::1]8000": "a port behind them",
    "user@here": "user information",
    "user:password@here:80": "user information",
    "http://here": "without a scheme and a path",
    "here/path": "without a scheme and a path",
    "here?x": "without a scheme and a path",
    "here, there": "one host",
    "here there": "one host",
    "here:80:80": "one port",
    "here:http": "digits only",
    "here:-1": "digits only",
    "b\xfccher.example": "xn--",
    "b\xc3\xbccher.example": "xn--",
    "<here>": "a character that no host has",
    '"here"': "a character that no host has",
}

GOOD_HOSTS = [
    *["", "here", "here:", "localhost:", "here:8000", ":80", "my_service", "my_service:8000"],
    *["[::1]", "[::1]:", "[::1]:8000", "192.0.2.1", "a~b!$&'()*+;=", "%41", "here."],
]

TARGET_FAULTS = {
    "/#": "fragment",
    "/x?y#z": "fragment",
    "http://here/#x": "fragment",
    "http:/here/": "two slashes",
    "wss:here": "two slashes",
    "ftp://here/": "http, https, ws and wss$",
    "http+unix://here/": "http, https, ws and wss$",
    "*": "a target of OPTIONS",
    "here:443": "not a proxy",
    "[::1]:443": "not a proxy",
    "ws/echo": "begins with a slash",
    "?x": "begins with a slash",
    "http://": "host is empty",
    "http:///x": "host is empty",
    "ws://:8000/x": "host is empty",
    "http://user@here/": "user information",
    "ws://[fe80::1%25eth0]/": "zone id",
    "ws://::1/": "needs brackets",
    "wss://here:x/": "digits only",
}


@pytest.mark.parametrize(("host", "said"), HOST_FAULTS.items())
def test_fault_of_a_host_is_named(host, said):
    with pytest.raises(MalformedRequest, match=said) as refused:
        check_host(host)
    assert str(refused.value).startswith(f"Host {host!r} is not valid: ")


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_host_in_the_grammar_is_taken(host):
    check_host(host)


@pytest.mark.parametrize(("target", "said"), TARGET_FAULTS.items())
def test_fault_of_a_target_is_named(target, said):
    with pytest.raises(MalformedRequest, match=said) as refused:
        split_target("GET", target)
    assert str(refused.value).startswith(f"target {target!r} is not valid: ")


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/", (None, "/")),
        ("/ws/echo?id=42", (None, "/ws/echo?id=42")),
        ("ws://here/ws/echo", ("here", "/ws/echo")),
        ("WSS://here:443?x", ("here:443", "/?x")),
        ("https://1", ("1", "/")),
        ("http://[::1]:80/x", ("[::1]:80", "/x")),
    ],
)
def test_target_is_split_into_host_and_path(target, parts):
    assert split_target("GET", target) == parts
