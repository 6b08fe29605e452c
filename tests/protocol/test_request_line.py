"""What the refusal of a request line, or of a byte in a head, tells its reader."""

import pytest

from echo.protocol.errors import (
    MalformedRequest,
    RequestError,
    UnexpectedTLS,
    UnknownMethod,
    UnknownVersion,
)
from echo.protocol.http_head import HeadParser
from echo.protocol.request_line import parse_request_line

#: A request line, and what its refusal says: which byte, where, and the cure.
FAULTS = {
    # The target.
    "GET /?name=J\xc3\xb6rg HTTP/1.1": "byte 13 .* is 0xC3, .* 'ö': percent-encode it as %C3%B6$",
    "GET /\xe2\x82\xac HTTP/1.1": "byte 6 .* is 0xE2, .* '€': percent-encode it as %E2%82%AC$",
    "GET /\xf0\x9f\x98\x80 HTTP/1.1": "byte 6 .* percent-encode it as %F0%9F%98%80$",
    "GET /\xe2\x80\xae HTTP/1.1": "byte 6 .* is 0xE2: percent-encode it as %E2%80%AE$",
    "GET /\xe9 HTTP/1.1": "byte 6 .* is 0xE9: percent-encode it as %E9$",
    "GET /\xff\xff HTTP/1.1": "byte 6 .* is 0xFF: percent-encode it as %FF$",
    "GET /a b HTTP/1.1": "byte 7 .* is a space: percent-encode it as %20$",
    "GET /a b c HTTP/1.1": "byte 7 .* is a space: percent-encode it as %20$",
    "GET /a\tb HTTP/1.1": "byte 7 .* is a tab: percent-encode it as %09$",
    "GET  / HTTP/1.1": "byte 5 .* is a space: leave it out",
    "GET /  HTTP/1.1": "byte 6 .* is a space: leave it out",
    "GET  HTTP/1.1": "two spaces stand where the target belongs",
    # The method.
    " GET / HTTP/1.1": "byte 1 .* is a space, which no method has",
    "GET\t/ HTTP/1.1": "byte 4 .* is a tab, which no method has",
    "G(T / HTTP/1.1": r"byte 2 .* is '\(', which no method has",
    "/ HTTP/1.1": "byte 1 .* is '/', which no method has",
    "\xc3\x96 / HTTP/1.1": "byte 1 .* is 0xC3, .* which no method has",
    "\x80 / HTTP/1.1": "byte 1 .* is 0x80, which no method has",
    # The version.
    "GET": "has a method only",
    "GET ": "has a method only",
    "GET /": "ends with '/' and not with a version: add ' HTTP/1.1'",
    "GET /a b": "ends with 'b' and not with a version: .* spaces in the target as %20$",
    "GET / HTTP 1.1": "ends with '1.1' and not with a version",
    "GET / ICY/1.1": "ends with 'ICY/1.1' and not with a version",
    "GET / http/1.1": "'http/1.1' is not a version: write HTTP/1.1, in capitals$",
    "GET / Http/2": "'Http/2' is not a version",
    "GET / HTTP/1.1 ": "byte 15 .* is a space: nothing follows the version$",
    # Other protocols.
    "": "an empty line .* PROXY protocol, version 2",
    "PROXY TCP4 192.0.2.1 192.0.2.2 51234 8000": "the PROXY protocol, version 1, .* turn it off",
    "PROXY TCP6 ::1 ::1 51234 8000": "the PROXY protocol, version 1",
    "PROXY UNKNOWN": "the PROXY protocol, version 1",
    "PROXY UNKNOWN ffff:f..f ffff:f..f 65535 65535": "the PROXY protocol, version 1",
}

NOT_SPOKEN = ["0.9", "1.2", "1.7", "1.10", "2", "2.0", "3", "3.0", "11"]

#: Heads with a byte that no head may have, and what is said of it.
BYTES = {
    b"GET /\0 HTTP/1.1": "byte 6 of the request line is the .* 0x00: percent-encode it as %00$",
    b"GET /\x1b[2J": "byte 6 of the request line is the .* 0x1B: percent-encode it as %1B$",
    b"GET /\x7f": "byte 6 .* 0x7F: percent-encode it as %7F$",
    b"G\x01T / HTTP/1.1": "byte 2 of the request line is the control character 0x01: leave it out$",
    b"\0\1\2\3": "byte 1 of the request line is the control character 0x00: leave it out$",
    b"GET / HTTP/1.1\nHost: x": "byte 15 of the request line is a bare line feed: .* CRLF$",
    b"GET /\rX": "byte 6 of the request line is a bare carriage return: .* CRLF$",
    b"GET / HTTP/1.1\r\nHost: x\nX: y": "byte 8 of the header field 'Host' is a bare line feed",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x07c": "byte 7 of the header field 'X-A' is the .* 0x07",
    b"GET / HTTP/1.1\r\nX\x1b: y": "byte 2 of the header field 'X' is the control character 0x1B",
    b"\r\nGET /\0": "byte 6 of the request line",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c": "the PROXY protocol, version 2, .* turn it off",
}

CLIENT_HELLOS = {
    "TLS 1.3": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    "TLS 1.2": b"\x16\x03\x03\0\xf1\x01\0\0\xed\x03\x03",
    "SSL 3": b"\x16\x03\0\0\x59\x01",
    "SSL 2": b"\x80\x2e\x01\x03\x01\0\x15",
    "one byte": b"\x16",
    "two bytes": b"\x16\x03",
}


@pytest.mark.parametrize(("line", "said"), FAULTS.items())
def test_fault_of_a_request_line_says_where_and_the_cure(line, said):
    with pytest.raises(MalformedRequest, match=said):
        parse_request_line(line)


@pytest.mark.parametrize("version", NOT_SPOKEN)
def test_version_that_is_not_spoken_says_which_are(version):
    with pytest.raises(UnknownVersion, match=f"'HTTP/{version}' .*HTTP/1.1 or HTTP/1.0$"):
        parse_request_line(f"GET / HTTP/{version}")


def test_preface_of_http_2_is_named():
    with pytest.raises(UnknownVersion, match=r"HTTP/2 .*preface.*use HTTP/1\.1$") as refused:
        parse_request_line("PRI * HTTP/2.0")
    assert refused.value.status == "505 HTTP Version Not Supported"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("GET / HTTP/1.1", ("GET", "/", "1.1")),
        ("OPTIONS * HTTP/1.0", ("OPTIONS", "*", "1.0")),
        ("PROXY / HTTP/1.1", ("PROXY", "/", "1.1")),
        ("PRI * HTTP/1.1", ("PRI", "*", "1.1")),
    ],
)
def test_good_lines_have_three_parts(line, parts):
    assert parse_request_line(line) == parts


@pytest.mark.parametrize(("data", "said"), BYTES.items())
def test_forbidden_byte_is_named_with_its_place_and_the_cure(data, said):
    with pytest.raises(MalformedRequest, match=said):
        HeadParser().feed(data)


@pytest.mark.parametrize("data", CLIENT_HELLOS.values(), ids=CLIENT_HELLOS)
def test_tls_is_recognized(data):
    with pytest.raises(UnexpectedTLS, match="the client speaks TLS, and this port plain HTTP"):
        HeadParser().feed(data)


@pytest.mark.parametrize(
    "data", [b"\x16\x04", b"\x15\x03\x01", b"GET /\x16\x03", b"\x80\x80\x01\x09"]
)
def test_other_bytes_are_not_taken_for_tls(data):
    with pytest.raises(RequestError) as refused:
        HeadParser().feed(data)
    assert type(refused.value) is MalformedRequest


def test_lower_case_method_is_told_the_upper_case():
    with pytest.raises(UnknownMethod, match=r"use GET$"):
        parse_request_line("get / HTTP/1.1")
