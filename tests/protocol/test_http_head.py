"""HeadParser: which heads are taken and which are refused, however their bytes arrive."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from echo.protocol.errors import RequestError, UnknownMethod, UnknownVersion
from echo.protocol.http_head import (
    MAX_FIELDS,
    MAX_FIELDS_SIZE,
    MAX_REQUEST_LINE,
    HeadParser,
    RequestHead,
)
from tests.protocol.streams import MODEST

CHUNKINGS = {
    "whole": lambda data: [data],
    "halves": lambda data: [data[: len(data) // 2], data[len(data) // 2 :]],
    "bytes": lambda data: [data[i : i + 1] for i in range(len(data))],
}


def parse(chunks):
    """The heads in some bytes, and the status of the refusal that ends them, None without one."""
    parser, heads = HeadParser(), []
    try:
        for chunk in chunks:
            head = parser.feed(chunk)
            while head is not None:
                heads.append(head)
                head = parser.feed(b"")
    except RequestError as error:
        return heads, int(error.status[:3])
    return heads, None


def parse_any_way(data):
    """As parse, for bytes that arrive in several ways, all of which must give the same."""
    whole, *others = (parse(chunks(data)) for chunks in CHUNKINGS.values())
    assert others == [whole] * len(others)
    return whole


def request(*fields, line="GET / HTTP/1.1", host="Host: here"):
    """A head; the fields stand behind its Host, None for no Host."""
    lines = [line, *([host] if host is not None else []), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def line_of(size):
    """A request line of so many bytes."""
    return "GET /" + "x" * (size - 14) + " HTTP/1.1"


def fields_of(size):
    """Header fields of so many bytes, line ends included."""
    host = b"Host: here\r\n"
    return host + b"X: " + b"y" * (size - len(host) - 5) + b"\r\n"


BAD_REQUEST = {
    # Where the body would end.
    "length repeated": request("Content-Length: 0", "content-length: 0"),
    "length repeated, both above 0": request("Content-Length: 3", "Content-Length: 3"),
    **{
        f"length {value!r}": request(f"Content-Length:{value}")
        for value in ["+3", "0_3", "3,3", "0, 0", "-1", "0x0", "", " ", "1 0", "0\xb2", "\xb9", "a"]
    },
    # Line ends.
    "bare LF everywhere": request().replace(b"\r\n", b"\n"),
    "bare LF in the request line": request().replace(b"\r\n", b"\n", 1),
    "bare LF at a field": b"GET / HTTP/1.1\r\nHost: here\nX: y\r\n\r\n",
    "bare LF as the empty line": b"GET / HTTP/1.1\r\nHost: here\r\n\n",
    "bare CR in the request line": request(line="GET /\rX HTTP/1.1"),
    "bare CR in a field": request("X: y\rz"),
    "bare CR as the line end": b"GET / HTTP/1.1\rHost: here\r\r",
    "CR CR LF": b"GET / HTTP/1.1\r\r\nHost: here\r\n\r\n",
    # Fields.
    "space before the colon": request("X : y"),
    "tab before the colon": request("X\t: y"),
    "space before Transfer-Encoding's colon": request("Transfer-Encoding : chunked"),
    "folding": request("X: y", " folded"),
    "folding by a tab": request("X: y", "\tfolded"),
    "folding of the first line": request(host=" Host: here"),
    "no colon": request("Nothing"),
    "no name": request(": y"),
    "a name that is no token": request("X(y): z"),
    "a name with a quote": request('"X": z'),
    "a name that is not ASCII": request("X\xe9: y"),
    **{
        f"{byte!r} in {place!r}": place.replace("?", byte).encode()
        for byte in "\0\7\b\v\f\x1b\x1f\x7f"
        for place in [
            "GET / HTTP/1.1\r\nHost: here\r\nX?Y: z\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: here\r\nX: y?z\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: here\r\nX: y?\r\n\r\n",
            "GET /? HTTP/1.1\r\nHost: here\r\n\r\n",
            "?GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        ]
    },
    # The request line.
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 with a Host": request(line="GET /"),
    **{
        f"version {version!r}": request(line=f"GET / {version}")
        for version in [
            *["http/1.1", "HTTP/1.1 ", "HTTP 1.1", "ICY/1.1", "", "HTTP/\xb9.1", "HTTP/1.1.1"],
            *["HTTP/", "HTTP/.", "HTTP/+1.1", "HTTP/1.1\t"],
        ]
    },
    "two spaces before the target": request(line="GET  / HTTP/1.1"),
    "two spaces behind the target": request(line="GET /  HTTP/1.1"),
    "a tab": request(line="GET\t/ HTTP/1.1"),
    "a space in front": request(line=" GET / HTTP/1.1"),
    "no method": request(line="/ HTTP/1.1"),
    "a method that is no token": request(line="G(T / HTTP/1.1"),
    "an empty request line": b"\r\n\r\nHost: here\r\n\r\n",
    "PROXY protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 51234 8000\r\n" + request(),
    "PROXY protocol, version 2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + request(),
    **{
        f"target {target!r}": request(line=f"GET {target} HTTP/1.1")
        for target in [
            *["x", "*", "?x", "#", "/#", "/x#y", "/x?y#z", "/\xe9", "/\x9b", "here:443", "here"],
            *["ftp://here/", "http:/here/", "//here/#", "http://here/#x", "http://here#x", "http:"],
            *["wsss://here/", "ws:/here/", "http+unix://here/", "http://", "http:///x", "ws://?x"],
            *["http://:80/", "http://user@here/", "http://here:x/", "http://a b/", "wss://[::1/"],
        ]
    },
    "OPTIONS *x": request(line="OPTIONS *x HTTP/1.1"),
    "CONNECT": request(line="CONNECT here:443 HTTP/1.1"),
    # The host.
    "no Host": request(host=None),
    "Host repeated": request("Host: here"),
    "Host repeated with another": request("hOST: there"),
    "Host repeated on 1.0": request("Host: here", line="GET / HTTP/1.0"),
    **{
        f"Host {host!r}": request(host=f"Host: {host}")
        for host in [
            *["a b", "a/b", "a,b", "a@b", "user@here"],
            *["here:x", "here:80:80", "[::1", "[::x]", "::1", "\xe9", "a#b", "a?b", '"a"', "<a>"],
        ]
    },
}

VERSION_NOT_SPOKEN = {
    version: request(line=f"GET / {version}")
    for version in [
        *["HTTP/0.9", "HTTP/1.7", "HTTP/1.2", "HTTP/2.0", "HTTP/2", "HTTP/3", "HTTP/1.10"],
        *["HTTP/1", "HTTP/11", "HTTP/01.1", "HTTP/10.0"],
    ]
} | {"preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}

BODY = {
    **{
        f"{field}": request(field) + b"GET /smuggled HTTP/1.1\r\nHost: here\r\n\r\n"
        for field in [
            *["Content-Length: 1", "content-length: 10", "CONTENT-LENGTH:\t03 "],
            *[f"Content-Length: {'9' * 5000}", "Transfer-Encoding: chunked"],
            *["Transfer-Encoding: identity", "transfer-encoding: xchunked", "Transfer-Encoding:"],
        ]
    },
    "both": request("Content-Length: 5", "Transfer-Encoding: chunked"),
    "both, length 0": request("Content-Length: 0", "Transfer-Encoding: chunked"),
    "twice chunked": request("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "on 1.0": request("Transfer-Encoding: chunked", line="GET / HTTP/1.0"),
}


@pytest.mark.parametrize("data", BAD_REQUEST.values(), ids=BAD_REQUEST)
def test_malformed_heads(data):
    assert parse_any_way(data) == ([], 400)


@pytest.mark.parametrize("data", VERSION_NOT_SPOKEN.values(), ids=VERSION_NOT_SPOKEN)
def test_versions_that_are_not_spoken(data):
    assert parse_any_way(data) == ([], 505)


@pytest.mark.parametrize("data", BODY.values(), ids=BODY)
def test_announced_bodies(data):
    assert parse_any_way(data) == ([], 413)


GOOD = {
    "plain": (request(), "/", "1.1"),
    "length 0": (request("Content-Length: 0"), "/", "1.1"),
    "length 00": (request("Content-Length:00 "), "/", "1.1"),
    "1.0 without Host": (request(line="GET / HTTP/1.0", host=None), "/", "1.0"),
    "1.0 with Host": (request(line="HEAD /x?y HTTP/1.0"), "/x?y", "1.0"),
    "an empty Host": (request(host="Host:"), "/", "1.1"),
    "an IPv6 Host": (request(host="Host: [::1]:8000"), "/", "1.1"),
    "absolute": (request(line="GET http://here/x?y HTTP/1.1"), "/x?y", "1.1"),
    "absolute in capitals": (request(line="GET HTTP://HERE/X HTTP/1.1"), "/X", "1.1"),
    "absolute, https": (request(line="GET https://here/ HTTP/1.1"), "/", "1.1"),
    "absolute without a path": (request(line="GET http://here HTTP/1.1"), "/", "1.1"),
    "absolute with a query only": (request(line="GET http://here?x HTTP/1.1"), "/?x", "1.1"),
    "absolute with a port": (request(line="GET http://h:1/ HTTP/1.1", host="Host:h:1"), "/", "1.1"),
    "absolute, ws": (request(line="GET ws://here/ws/echo HTTP/1.1"), "/ws/echo", "1.1"),
    "absolute, wss": (request(line="GET WSS://here:443/x HTTP/1.1"), "/x", "1.1"),
    "absolute, another host": (request(line="GET http://there/x HTTP/1.1"), "/x", "1.1"),
    "absolute, 1.0": (request(line="GET http://there/x HTTP/1.0", host=None), "/x", "1.0"),
    "OPTIONS *": (request(line="OPTIONS * HTTP/1.1"), "*", "1.1"),
    "a URL in a path": (request(line="GET /http://there/ HTTP/1.1"), "/http://there/", "1.1"),
    "two slashes": (request(line="GET //there/x HTTP/1.1"), "//there/x", "1.1"),
    "an odd method": (request(line="!#$%&'*+-.^_`|~09AZ /%00%0d%0a HTTP/1.1"), "/%00%0d%0a", "1.1"),
    "an empty line first": (b"\r\n" + request(), "/", "1.1"),
}


@pytest.mark.parametrize(("data", "target", "version"), GOOD.values(), ids=GOOD)
def test_good_heads(data, target, version):
    (head,), status = parse_any_way(data)
    line = data.removeprefix(b"\r\n").split(b"\r\n")[0].decode()
    assert (status, head.target, head.version, head.line) == (None, target, version, line)
    assert head.method == line.split()[0]


@pytest.mark.parametrize(
    ("target", "host", "asked_for"),
    [
        ("/", "here", "here"),
        ("/", "here:8000", "here:8000"),
        ("/", "", ""),
        ("/http://there/", "here", "here"),
        ("//there/", "here", "here"),
        ("http://there/", "here", "there"),
        ("http://there:80/x", "here", "there:80"),
        ("ws://there:8000/ws/echo", "here", "there:8000"),
        ("wss://[::1]:8000?x", "here", "[::1]:8000"),
        ("HTTPS://There", "", "There"),
        ("ws://my_service:/", "here", "my_service:"),
    ],
)
def test_host_of_the_target_counts_before_the_field(target, host, asked_for):
    (head,), _ = parse([request(line=f"GET {target} HTTP/1.1", host=f"Host: {host}")])
    assert head.host == asked_for
    assert head.field("host") == host


def test_without_a_host_none_is_asked_for():
    (head,), _ = parse([request(line="GET / HTTP/1.0", host=None)])
    assert head.host is None


@pytest.mark.parametrize("host", [None, "Host: a b", "Host: here\r\nHost: here"])
def test_host_of_the_target_does_not_make_up_for_a_bad_field(host):
    assert parse([request(line="GET http://there/ HTTP/1.1", host=host)]) == ([], 400)


def test_fields_are_in_their_order_and_case():
    data = request("X-a:\t b c \t", "x-A: \xe9\tz", "Empty:", "a_b:: :")
    (head,), _ = parse_any_way(data)
    expected = ("Host", "here"), ("X-a", "b c"), ("x-A", "\xe9\tz"), ("Empty", ""), ("a_b", ": :")
    assert head.fields == expected
    assert head.values["x-a"] == ["b c", "\xe9\tz"]
    assert "x-b" not in head.values


LIMITS = {
    "the longest request line": (request(line=line_of(MAX_REQUEST_LINE)), None),
    "a request line above": (request(line=line_of(MAX_REQUEST_LINE + 1)), 414),
    "the most fields": (request(*["X: y"] * (MAX_FIELDS - 1)), None),
    "a field too many": (request(*["X: y"] * MAX_FIELDS), 431),
    "the largest fields": (b"GET / HTTP/1.1\r\n" + fields_of(MAX_FIELDS_SIZE) + b"\r\n", None),
    "fields above": (b"GET / HTTP/1.1\r\n" + fields_of(MAX_FIELDS_SIZE + 1) + b"\r\n", 431),
    "both at the limit": (
        line_of(MAX_REQUEST_LINE).encode() + b"\r\n" + fields_of(MAX_FIELDS_SIZE) + b"\r\n",
        None,
    ),
}


def test_the_limits_are_the_documented_ones():
    assert (MAX_REQUEST_LINE, MAX_FIELDS, MAX_FIELDS_SIZE) == (8192, 100, 32768)


@pytest.mark.parametrize(("data", "expected"), LIMITS.values(), ids=LIMITS)
def test_limits(data, expected):
    heads, status = parse_any_way(data)
    assert status == expected
    assert len(heads) == (expected is None)


EARLY = {
    "a bare LF": (b"GET / HTTP/1.1\n", 400),
    "a control": (b"GET /\0", 400),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a bare CR": (b"GET / HTTP/1.1\rX", 400),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "an unknown version": (b"GET / HTTP/1.7\r\n", 505),
    "a PROXY protocol": (b"PROXY UNKNOWN\r\n", 400),
    "a bad field": (b"GET / HTTP/1.1\r\nX : y\r\n", 400),
    "a long line without its end": (b"x" * (MAX_REQUEST_LINE + 2), 414),
    "a large field without its end": (
        b"GET / HTTP/1.1\r\nX: " + b"y" * (MAX_FIELDS_SIZE + 3),
        431,
    ),
    "fields without an end": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_FIELDS + 2), 431),
}


@pytest.mark.parametrize(("data", "status"), EARLY.values(), ids=EARLY)
def test_a_fault_does_not_wait_for_the_end_of_the_head(data, status):
    assert parse_any_way(data) == ([], status)


def test_pipelined_heads():
    data = request(line="GET /1 HTTP/1.1") + request(line="GET /2 HTTP/1.1") + b"GET /3 HT"
    heads, status = parse_any_way(data)
    assert [head.target for head in heads] == ["/1", "/2"]
    assert status is None


def test_a_fault_behind_a_good_head_comes_after_it():
    heads, status = parse_any_way(request(line="GET /1 HTTP/1.1") + b"\0" + request())
    assert [head.target for head in heads] == ["/1"]
    assert status == 400


def test_trailing_data():
    parser = HeadParser()
    assert not parser.started
    assert parser.feed(request() + b"\x81\x80\n\0rest") is not None
    assert parser.started
    assert parser.trailing_data() == b"\x81\x80\n\0rest"
    assert not parser.started
    assert parser.trailing_data() == b""


def test_the_line_for_the_log():
    parser = HeadParser()
    parser.feed(b"GET /one")
    assert parser.line == "GET /one"
    with pytest.raises(UnknownVersion):
        parser.feed(b" HTTP/1.7\r\nHost: here\r\n\r\nGET /two HTTP/1.1\r\n")
    assert parser.line == "GET /one HTTP/1.7"


@pytest.mark.parametrize(
    ("version", "fields", "expected"),
    [
        ("1.1", [], True),
        ("1.1", ["Connection: close"], False),
        ("1.1", ["connection: Upgrade , CLOSE"], False),
        ("1.1", ["Connection: keep-alive", "Connection: close"], False),
        ("1.1", ["Connection: closed"], True),
        ("1.1", ["Connection: \xa0close"], True),
        ("1.1", ["Connection: x,close\x85"], True),
        ("1.0", [], False),
        ("1.0", ["Connection: keep-alive"], True),
        ("1.0", ["Connection: Keep-Alive, x"], True),
        ("1.0", ["Connection: keep-alive, close"], False),  # RFC 9112, section 9.3: close wins
        ("1.0", ["Connection: close"], False),
    ],
)
def test_keep_alive(version, fields, expected):
    (head,), _ = parse([request(*fields, line=f"GET / HTTP/{version}")])
    assert head.keep_alive is expected


@pytest.mark.parametrize("method", ["get", "Get", "gET", "optionS", "x"])
def test_a_method_that_is_not_in_upper_case_is_unknown(method):
    parser = HeadParser()
    with pytest.raises(UnknownMethod, match=f"{method!r} .* use {method.upper()}$") as refused:
        parser.feed(request(line=f"{method} / HTTP/1.1"))
    assert refused.value.status == "501 Not Implemented"


PIECES = [b"\r\n", b"\r", b"\n", b"GET / HTTP/1.1\r\n", b"Host: here\r\n", b": ", b"\r\n\r\n"]
PIECES += [request(), request(line="GET /1 HTTP/1.0"), b"Content-Length: ", b"http://here/", b"\0"]
SOUP = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=8).map(b"".join)


def cut(data, places):
    """Pieces of some bytes, cut at the places that there are."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@MODEST
@given(SOUP | st.binary(max_size=300), st.lists(st.integers(0, 500), max_size=8))
@example(b"\r\n" + request(), [1])
@example(b"\r\n\r\n" + request(), [2])
def test_any_bytes_are_taken_alike_in_any_chunks(data, places):
    assert parse(cut(data, places)) == parse([data])


TOKEN = st.text("abcXYZ019-_.!~", min_size=1, max_size=12).map("X".__add__)
VALUE = st.text([chr(c) for c in (9, *range(32, 127), *range(128, 256))], max_size=30)


@MODEST
@given(
    st.text("abc/%?=&.~", max_size=30).map("/".__add__),
    st.lists(st.tuples(TOKEN, VALUE), max_size=6),
    st.lists(st.integers(0, 500), max_size=12),
)
def test_a_good_head_is_the_same_in_any_chunks(target, fields, places):
    line = f"GET {target} HTTP/1.1"
    data = request(*(f"{name}:{value}" for name, value in fields), line=line)
    stripped = tuple((name, value.strip(" \t")) for name, value in fields)
    fields = (("Host", "here"), *stripped)
    expected = RequestHead(line, "GET", target, "1.1", fields, host="here")
    assert parse(cut(data, places)) == ([expected], None)
