"""HTTPHandler and the server's capacity: deadlines, pipelines, what is never answered."""

import gevent
import pytest
from gevent.event import Event

from echo.net.http import Exchange
from echo.protocol.http_head import RequestHead
from echo.protocol.rfc6455 import Opcode

DEADLINE = 30.0
TEXT, CLOSE = Opcode.TEXT, Opcode.CLOSE
GET = b"GET /one HTTP/1.1\r\nHost: here\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


def tell(environ, start_response):
    """Answers with the path."""
    body = environ["PATH_INFO"].encode("latin-1")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def read_response(peer):
    """The head and the body of one response."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = peer.read(1)
        assert byte, f"the stream ends after {head!r}"
        head += byte
    (size,) = [
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Len")
    ]
    return head, peer.read(size)


def check_refusal(data, status):
    """Check that bytes are one whole refusal and nothing else."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert line.startswith(b"HTTP/1.1 %d " % status), data
    assert b"Connection: close" in fields
    assert b"Content-Type: text/plain; charset=utf-8" in fields
    assert b"Content-Length: %d" % len(body) in fields
    assert body.endswith(b"\n")
    assert data.count(b"HTTP/1.1 ") == 1


# Deadlines


@pytest.mark.parametrize("sent", [b"G", GET[:-1]], ids=repr)
def test_a_peer_that_falls_silent_gets_408(service, sent):
    one = service(tell, head_timeout=0.2)
    peer = one.connect()
    peer.send(sent)
    check_refusal(peer.read_to_end(), 408)
    peer.close()
    one.join()
    (line,) = one.log
    assert '" 408 the request did not come within 0.2 s' in line


@pytest.mark.parametrize("request_first", [False, True])
def test_a_dripping_peer_gets_408(service, request_first):
    one = service(tell, head_timeout=0.3)
    peer = one.connect()
    if request_first:
        peer.send(GET)
        assert read_response(peer)[1] == b"/one"
    answer = gevent.spawn(peer.read_to_end)
    peer.send(b"GET /drip HTTP/1.1\r\n")
    while not answer.ready():
        peer.send(b"x")
        gevent.sleep(0.02)
    check_refusal(answer.get(), 408)
    peer.close()
    one.join()
    assert one.log[-1].partition(" ")[2].startswith('"GET /drip HTTP/1.1" 408 ')
    assert len(one.log) == 1 + request_first


@pytest.mark.parametrize("head_timeout", [DEADLINE, 0.2])
def test_an_idle_connection_is_closed_silently(service, head_timeout):
    one = service(tell, head_timeout=head_timeout, keep_alive_timeout=0.2)
    peer = one.connect()
    peer.send(GET + GET)
    assert read_response(peer)[1] == read_response(peer)[1] == b"/one"
    assert peer.read_to_end() == b""
    peer.close()
    one.join()
    assert len(one.log) == 2


def test_a_request_that_begins_in_time_has_the_time_of_a_head(service):
    one = service(tell, keep_alive_timeout=0.2)
    peer = one.connect()
    peer.send(GET)
    assert read_response(peer)[1] == b"/one"
    peer.send(LAST[:20])
    gevent.sleep(0.5)  # long after the end of keep_alive_timeout, long before head_timeout's
    peer.send(LAST[20:])
    assert read_response(peer)[1] == b"/last"
    assert peer.read_to_end() == b""


def test_a_websocket_has_neither_deadline(service):
    one = service(head_timeout=0.1, keep_alive_timeout=0.1)
    peer = one.open()
    gevent.sleep(0.4)
    peer.send(peer.frame(TEXT, b"x"))
    assert peer.read(3) == peer.answer(TEXT, b"x")


# TLS to a plain port


@pytest.mark.parametrize(
    "hello",
    [
        b"\x16\x03\x01\0\xf1\x01\0\0\xed\x03\x03" + bytes(237),
        b"\x16",
        b"\x80\x2e\x01\x03\x01\0\x15",
    ],
    ids=["TLS", "its first byte", "SSL 2"],
)
def test_tls_gets_an_alert_and_one_line_without_its_bytes(service, hello):
    one = service(tell)
    peer = one.connect()
    peer.send(hello)
    assert peer.read_to_end() == b"\x15\x03\x01\x00\x02\x02\x0a"
    peer.close()
    one.join()
    (line,) = one.log
    assert " TLS: the client speaks TLS, and this port plain HTTP: " in line
    assert len(line) < 150


# One request behind the other


def test_pipelined_requests_are_answered_in_order(service):
    one = service(tell)
    peer = one.connect()
    peer.send(b"\r\n" + GET * 3 + LAST + GET)
    assert [read_response(peer)[1] for _ in range(4)] == [b"/one"] * 3 + [b"/last"]
    peer.end_output()
    assert peer.read_to_end() == b""
    peer.close()
    one.join()
    assert [line.split()[2] for line in one.log] == ["/one"] * 3 + ["/last"]


def test_an_upgrade_and_frames_behind_a_get_in_one_segment(service):
    one = service()
    peer = one.connect()
    frames = peer.frame(TEXT, b"a") + peer.frame(TEXT, b"b") + peer.frame(CLOSE, b"\x03\xe8")
    peer.send(GET + one.HANDSHAKE + frames)
    assert read_response(peer)[0].startswith(b"HTTP/1.1 426 ")
    assert one.without_id(peer.read(len(one.SWITCHED))) == one.SWITCHED
    answers = peer.answer(TEXT, b"a") + peer.answer(TEXT, b"b") + peer.answer(CLOSE, b"\x03\xe8")
    assert peer.read_to_end() == answers
    peer.close()
    one.join()
    assert len(one.log) == 2


def test_a_part_of_a_frame_behind_the_upgrade(service):
    one = service()
    peer = one.connect()
    data = peer.frame(TEXT, b"hello")
    for position in range(len(data)):
        peer = one.open(one.HANDSHAKE + data[:position])
        peer.send(data[position:])
        answer = peer.answer(TEXT, b"hello")
        assert peer.read(len(answer)) == answer
        peer.close()


HEAD = b"GET / HTTP/1.1\r\nHost: here\r\n"
BAD = {
    "length": (HEAD + b"Content-Length: 5\r\n\r\n", 413),
    "chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
    "both": (HEAD + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
    "two lengths": (HEAD + b"Content-Length: 0\r\nContent-Length: 50\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: here\n\n", 400),
    "space before colon": (HEAD + b"X : y\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "a long line": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414),
    "large fields": (HEAD + b"X: " + b"y" * 33000 + b"\r\n\r\n", 431),
}


@pytest.mark.parametrize("behind", [GET, b"x" * 100_000], ids=["a request", "rubbish"])
@pytest.mark.parametrize(("bad", "status"), BAD.values(), ids=BAD)
def test_nothing_behind_a_refused_head_is_answered(service, bad, status, behind):
    paths = []

    def app(environ, start_response):
        paths.append(environ["PATH_INFO"])
        return tell(environ, start_response)

    one = service(app)
    peer = one.connect()
    peer.send(GET + bad + behind)
    assert read_response(peer)[1] == b"/one"
    peer.send(behind)
    peer.end_output()
    check_refusal(peer.read_to_end(), status)
    peer.close()
    one.join()
    assert paths == ["/one"]
    assert len(one.log) == 2
    assert f'" {status} ' in one.log[1]


def test_a_request_smuggled_behind_a_refused_upgrade_with_a_body(service):
    one = service()
    peer = one.connect()
    upgrade = one.HANDSHAKE.replace(b"Version: 13", b"Version: 12")
    length = b"Content-Length: %d\r\n\r\n" % len(one.HANDSHAKE)
    peer.send(upgrade[:-2] + length + one.HANDSHAKE)
    peer.end_output()
    check_refusal(peer.read_to_end(), 413)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT", GET + b"G"], ids=repr)
def test_an_end_of_stream_before_a_head_is_whole_is_no_refusal(service, sent):
    one = service(tell)
    peer = one.connect()
    peer.send(sent)
    peer.end_output()
    answers = peer.read_to_end()
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 200") == sent.count(GET)


# Capacity


def test_the_connection_above_the_capacity_gets_503(service):
    one = service(max_connections=2)
    silent, echoing = one.connect(), one.open()
    third = one.connect()
    answer = third.read_to_end()
    check_refusal(answer, 503)
    assert b"\r\nRetry-After: 5\r\n" in answer
    third.close()
    one.log.wait(1)
    assert " 503 this server takes 2 connections at a time" in one.log[0]
    echoing.send(echoing.frame(TEXT, b"x"))
    assert echoing.read(3) == echoing.answer(TEXT, b"x")
    echoing.send(echoing.frame(CLOSE))
    assert echoing.read_to_end() == echoing.answer(CLOSE)
    echoing.close()
    while len(one.server.pool) > 1:
        gevent.sleep(0.001)
    silent.send(b"GET / HT")
    again = one.open()
    again.send(again.frame(TEXT, b"y"))
    assert again.read(3) == again.answer(TEXT, b"y")


def test_a_crowd_above_the_capacity(service):
    one = service(max_connections=1)
    inside = one.open()
    crowd = [one.connect() for _ in range(100)]
    answers = [gevent.spawn(peer.read_to_end) for peer in crowd]
    gevent.joinall(answers, timeout=DEADLINE, raise_error=True)
    told = [answer.get() for answer in answers if answer.get()]
    assert len(told) >= 32
    for answer in told:
        check_refusal(answer, 503)
    inside.send(inside.frame(TEXT, b"x"))
    assert inside.read(3) == inside.answer(TEXT, b"x")
    for peer in crowd:
        peer.close()
    inside.reset()
    one.join()
    one.open()


def test_a_place_is_free_after_each_kind_of_end(service):
    one = service(tell, max_connections=1)
    for data in (b"", b"G", LAST, b"\0", GET + b"G"):
        peer = one.connect()
        peer.send(data)
        peer.end_output()
        assert b" 503 " not in peer.read_to_end()
        peer.close()
        one.join()


# What the application is given


def test_the_environ(service):
    environs = []

    def app(environ, start_response):
        environs.append((environ, environ["wsgi.input"].read()))
        start_response("204 No", [])
        return []

    one = service(app)
    peer = one.connect()
    peer.send(
        b"OPTIONS http://here:1/a%2fb%0d%0a%C3%A9?q=%41? HTTP/1.1\r\nHost: here:1\r\nX_Real: 1\r\n"
        b"x-real: 2\r\nX-REAL: 3\r\nContent_Length: 7\r\nContent-Type: a\r\nContent-Length: 0\r\n"
        b"Proxy-X: \xe9\r\nUpgrade_: x\r\nConnection: close\r\n\r\n"
    )
    peer.read_to_end()
    ((environ, body),) = environs
    assert body == b""
    assert environ["PATH_INFO"] == "/a/b\r\n\xc3\xa9"
    assert environ["QUERY_STRING"] == "q=%41?"
    assert environ["REQUEST_METHOD"] == "OPTIONS"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["CONTENT_LENGTH"] == "0"
    assert environ["CONTENT_TYPE"] == "a"
    assert {name: value for name, value in environ.items() if name.startswith("HTTP_")} == {
        "HTTP_HOST": "here:1",
        "HTTP_X_REAL": "2,3",
        "HTTP_PROXY_X": "\xe9",
        "HTTP_CONNECTION": "close",
    }


@pytest.mark.parametrize("reset", [False, True], ids=["not read", "reset"])
def test_an_answer_that_nobody_takes_is_one_line_in_the_log(service, reset):
    answering = Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(64 << 20))])
        answering.set()
        return [b"x" * (64 << 20)]

    one = service(app, write_timeout=DEADLINE if reset else 0.2)
    peer = one.connect()
    peer.send(GET)
    assert answering.wait(DEADLINE)
    if reset:
        assert peer.read(1000).startswith(b"HTTP/1.1 200 ")
        peer.reset()
    one.join()
    (line,) = one.log
    assert '"GET /one HTTP/1.1" ' in line


def test_a_refusal_that_nobody_waits_for_ends_the_connection(service, pair):
    one = service()
    sock, peer = pair()
    peer.send(b"no request\r\n\r\n")
    peer.close()
    one.server.do_handle(sock, ("127.0.0.1", 1))
    one.join()
    assert sock.fileno() < 0
    assert one.log[-1].startswith('127.0.0.1:1 "no request" 400')


def test_only_what_was_refused_is_taken():
    exchange = Exchange(RequestHead.of("GET", "/", "1.1", []), None)
    with pytest.raises(LookupError):
        exchange.take_refused()
