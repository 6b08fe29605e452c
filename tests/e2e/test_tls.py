"""https:// and wss://: the whole service over TLS, by one process and by workers."""

import random
import select
import signal
import socket
import ssl
import struct
import time
from contextlib import suppress

import pytest

from tests.e2e.authority import Authority
from tests.e2e.raw_client import (
    Frame,
    RawClient,
    http_request,
    open_websocket,
    upgrade_request,
    wait_for_logs,
)
from tests.e2e.server_process import DEADLINE
from tests.wire import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame

GOING_AWAY = Frame(CLOSE, b"\x03\xe9going away")

#: How the service runs.
MODES = {"alone": (), "workers": ("--workers", "2")}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def start_shared(module_servers, authority):
    """``start_shared(*options)``: a server for several tests that leave it as it is."""
    return lambda *options: module_servers(*authority.options, *options, tls=authority.context)


@pytest.fixture(scope="module", params=MODES)
def server(request, start_shared):
    return start_shared("--quiet", *MODES[request.param])


@pytest.fixture(scope="module")
def alone(start_shared):
    return start_shared()


def log_of(server, sock):
    """The lines of the log for the client on this socket, less its address."""
    host, port = sock.getsockname()
    wait_for_logs(server)
    prefix = f"{host}:{port} "
    lines = server.stderr.matching(f"^{prefix}")
    return [line.removeprefix(prefix) for line in lines]


def plain_socket(server):
    return socket.create_connection((server.host, server.port), timeout=DEADLINE)


def read_to_end(sock):
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def test_it_says_that_it_speaks_tls(server):
    assert server.stdout.lines == [
        f"Page:      https://127.0.0.1:{server.port}/ws/echo_display",
        f"WebSocket: wss://127.0.0.1:{server.port}/ws/echo",
    ]


SIZES = [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, 262_144, 1 << 20, 16 << 20]


def test_messages_of_all_sizes_come_back(server):
    data = random.Random(1).randbytes(SIZES[-1])
    with open_websocket(server) as client:
        for size in SIZES:
            client.send(frame(BINARY, data[:size]))
            same = client.read_frame() == Frame(BINARY, data[:size])
            assert same, size


def both_ways(sock, data, size):
    """Send all the data while reading so many bytes; OpenSSL wants one thread for both."""
    sock.setblocking(False)
    rest, received = memoryview(data), bytearray()
    while len(received) < size:
        idle = True
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if rest:
                rest = rest[sock.send(rest[: 1 << 16]) :]
                idle = False
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            piece = sock.recv(1 << 18)
            assert piece, "the stream ended"
            received += piece
            idle = False
        if idle:
            ready = select.select([sock], [sock] if rest else [], [], DEADLINE)
            assert any(ready), "nothing moves"
    sock.settimeout(DEADLINE)
    return bytes(received)


def assert_echoed_both_ways(server, kind, messages):
    sent = b"".join(frame(kind, message) for message in messages)
    echoes = b"".join(frame(kind, message, key=b"") for message in messages)
    with open_websocket(server) as client:
        same = both_ways(client.sock, sent, len(echoes)) == echoes
        assert same


def test_large_messages_both_ways_at_once(server):
    """The client writes the next message while it reads the last."""
    data = random.Random(2).randbytes(16 << 20)
    assert_echoed_both_ways(server, BINARY, [data, data[::-1], data[: 5 << 20]])


def test_a_stream_of_short_messages(server):
    messages = [b"%d" % number * (number % 50) for number in range(20_000)]
    assert_echoed_both_ways(server, TEXT, messages)


def test_each_byte_in_a_record_of_its_own(server):
    with open_websocket(server) as client:
        client.send_each_byte(frame(TEXT, "hello") + frame(PING, "x"))
        assert client.read_frame() == Frame(TEXT, b"hello")
        assert client.read_frame() == Frame(PONG, b"x")


def test_messages_right_behind_the_opening_handshake(server):
    messages = b"".join(frame(TEXT, f"{number}") for number in range(100))
    with open_websocket(server, messages) as client:
        for number in range(100):
            assert client.read_frame() == Frame(TEXT, b"%d" % number)


def test_the_closing_handshake_ends_with_close_notify(server):
    with open_websocket(server) as client:
        client.send(close_frame(1000, b"bye"))
        assert client.read_close() == 1000  # RawClient takes no end without close_notify


def test_a_response_that_ends_the_connection_ends_with_close_notify(server):
    with RawClient(server) as client:
        host = f"{server.host}:{server.port}"
        client.send(http_request(path="/", headers=[("Host", host), ("Connection", "close")]))
        assert client.read_response().status == 302
        client.read_end()


def test_who_answers_close_notify_ends_in_good_order(server):
    with open_websocket(server) as client:
        client.send(close_frame(1000))
        assert client.read_frame() == Frame(CLOSE, b"\x03\xe8")
        client.sock.unwrap().close()


def test_close_notify_without_a_close_frame_is_the_end_of_the_stream(alone):
    with open_websocket(alone) as client:
        client.send(frame(TEXT, "x"))
        assert client.read_frame() == Frame(TEXT, b"x")
        with client.sock.unwrap():
            pass
        line = client.log_line()
    assert line.startswith("closed: 1006 (end of stream between messages")


@pytest.mark.parametrize("size", [0, 1, 5, 100])
def test_an_end_within_the_tls_handshake_is_silent(alone, size):
    """A port scanner, or a health check of a load balancer."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = alone.tls.wrap_bio(incoming, outgoing, server_hostname=alone.host)
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    with plain_socket(alone) as sock:
        sock.sendall(outgoing.read()[:size])
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b""
        assert log_of(alone, sock) == []


def test_resets_leave_the_others_alone(server):
    with open_websocket(server) as other:
        for size in range(0, 400, 7):
            with plain_socket(server) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[: size % 12])
            with open_websocket(server) as client:
                client.send(frame(BINARY, bytes(100_000))[: size * 200])
                client.reset()
        other.send(frame(TEXT, "still here"))
        assert other.read_frame() == Frame(TEXT, b"still here")


# ---- What is no TLS, or not ours


def test_plain_http_is_answered_in_plain_text(alone):
    with plain_socket(alone) as sock:
        sock.sendall(upgrade_request(alone.port))
        response = read_to_end(sock)
        log = log_of(alone, sock)
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert body == b"This port speaks TLS: use https:// or wss://.\n"
    assert log == ['"" 400 This port speaks TLS: use https:// or wss://.']


def test_tls_to_a_port_without_gets_an_alert_and_a_short_line(start_server, authority):
    server = start_server()
    with plain_socket(server) as sock, pytest.raises(ssl.SSLError, match=r"(?i)unexpected.message"):
        authority.context.wrap_socket(sock, server_hostname=server.host)
    server.stop()
    (line,) = server.stderr.lines
    assert " TLS: the client speaks TLS, and this port plain HTTP: " in line
    assert len(line) < 150


@pytest.mark.parametrize("data", [b"\0" * 100, b"SSH-2.0-x\r\n", b"\x80\x2e\x01" * 30, b"hello\n"])
def test_rubbish_is_one_line_in_the_log(alone, data):
    with plain_socket(alone) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        read_to_end(sock)
        (line,) = log_of(alone, sock)
    assert line.startswith("TLS: ")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_1_1_is_refused(alone, authority):
    context = authority.new_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    position = alone.stderr.position
    with plain_socket(alone) as sock, pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        context.wrap_socket(sock, server_hostname=alone.host)
    alone.stderr.wait_for_line(" TLS: unsupported protocol$", after=position)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_versions_that_are_spoken(server, authority, version, monkeypatch):
    context = authority.new_context()
    context.minimum_version = context.maximum_version = version
    monkeypatch.setattr(server, "tls", context)
    with open_websocket(server) as client:
        assert client.sock.version() == version.name.replace("_", ".")
        client.send(frame(TEXT, "x"))
        assert client.read_frame() == Frame(TEXT, b"x")


def test_a_client_that_does_not_trust_the_certificate(alone):
    with plain_socket(alone) as sock, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(sock, server_hostname=alone.host)
    alone.stderr.wait_for_line(" TLS: .*alert unknown ca")


@pytest.mark.parametrize("dripping", [False, True])
def test_a_slow_handshake_has_the_deadline_of_the_head(start_tls, dripping):
    server = start_tls("--head-timeout", "0.5")
    with plain_socket(server) as sock:
        sock.sendall(b"\x16\x03\x01\x40\x00")
        end = time.monotonic() + DEADLINE
        with suppress(ConnectionError):
            while not select.select([sock], [], [], 0.1)[0]:
                assert time.monotonic() < end, "still open"
                if dripping:
                    sock.sendall(b"x")
            assert b"HTTP" not in read_to_end(sock)
    server.stderr.wait_for_line(" TLS: the handshake was not finished within 0.5 s$")


def test_a_handshake_and_a_head_have_one_deadline(start_tls):
    """Each is within it, and both together are not."""
    server = start_tls("--head-timeout", "3")
    with plain_socket(server) as sock:
        time.sleep(1.6)
        began = time.monotonic()
        with server.tls.wrap_socket(sock, server_hostname=server.host) as client:
            client.sendall(b"GET")
            assert client.recv(12) == b"HTTP/1.1 408"
            assert time.monotonic() - began < 3.0


def test_who_is_turned_away_has_little_time_for_a_handshake(start_tls):
    server = start_tls("--max-connections", "1")
    with open_websocket(server), plain_socket(server) as sock:
        sock.sendall(b"\x16\x03\x01\x40\x00")
        end = time.monotonic() + DEADLINE
        with suppress(ConnectionError):
            while not select.select([sock], [], [], 0.1)[0]:
                assert time.monotonic() < end, "still open"
                sock.sendall(b"x")
            assert b"HTTP" not in read_to_end(sock)
        server.stderr.wait_for_line(' "" 503 ')


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://{}", 101), ("http://{}", 403), ("https://{}.evil", 403), ("https://evil", 403)],
)
def test_the_origin_is_of_the_scheme_that_is_spoken(start_tls, origin, status):
    server = start_tls("--quiet")
    host = f"echo.example:{server.port}"
    with RawClient(server) as client:
        client.send(upgrade_request(server.port, host=host, origin=origin.format(host)))
        assert client.read_response().status == status


# ---- Limits


def test_a_connection_too_many_gets_503(start_tls):
    server = start_tls("--max-connections", "1")
    with open_websocket(server), RawClient(server) as client:
        response = client.read_response()
        assert response.status == 503
        assert response.header("Retry-After") == "5"
        client.read_end()
        with plain_socket(server) as sock:
            sock.sendall(upgrade_request(server.port))
            read_to_end(sock)


def test_who_does_not_read_is_aborted_and_others_go_on(start_tls):
    server = start_tls("--quiet", "--write-timeout", "0.5")
    with RawClient(server, receive_buffer=4096) as slow, open_websocket(server) as other:
        slow.upgrade()
        slow.send(frame(BINARY, bytes(8 << 20)))
        server.stderr.wait_for_line(f"^{slow.address} closed: 1006 ")
        other.send(frame(TEXT, "x"))
        assert other.read_frame() == Frame(TEXT, b"x")


def test_a_slow_reader_gets_everything(start_tls):
    data = random.Random(3).randbytes(4 << 20)
    server = start_tls("--quiet")
    with RawClient(server, receive_buffer=4096) as slow:
        slow.upgrade()
        slow.send(frame(BINARY, data))
        same = slow.read_frame() == Frame(BINARY, data)
        assert same


def test_a_quiet_peer_is_pinged_and_closed(start_tls):
    server = start_tls("--ping-interval", "0.2", "--ping-timeout", "0.2", "--close-timeout", "0.2")
    with open_websocket(server) as client:
        assert client.read_frame().opcode == PING
        assert client.read_close() == 1011


# ---- Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("mode", MODES)
def test_everybody_sees_1001_behind_his_echoes(start_tls, mode, number):
    server = start_tls("--quiet", *MODES[mode])
    clients = [RawClient(server) for _ in range(30)]
    half = [plain_socket(server) for _ in range(30)]
    try:
        for client in clients:
            client.upgrade()
            client.send(frame(BINARY, bytes(100_000)))
            assert client.read_frame() == Frame(BINARY, bytes(100_000))
        for sock in half:
            sock.sendall(b"\x16\x03\x01")
        server.process.send_signal(number)
        for client in clients:
            assert client.read_frame() == GOING_AWAY
            client.send(close_frame(1001))
            client.read_end()
            client.sock.close()
        server.stop(number=0)
    finally:
        for sock in half:
            sock.close()
        for client in clients:
            client.sock.close()
    assert not server.stderr.matching("(?i)fault|error|TLS")


# ---- Pages


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://echo.example:{port}", 101),
        ("http://echo.example:{port}", 403),
        ("https://echo.example", 403),
    ],
)
def test_the_origin_of_a_page_that_came_by_https(alone, origin, status):
    with RawClient(alone) as client:
        host, origin = f"echo.example:{alone.port}", origin.format(port=alone.port)
        client.send(upgrade_request(alone.port, host=host, origin=origin))
        assert client.read_response().status == status


def test_links_lead_to_https(alone):
    with RawClient(alone) as client:
        host = f"{alone.host}:{alone.port}"
        client.send(http_request(path="/ws/echo", headers=[("Host", host)]))
        assert f"https://{host}/ws/echo_display" in client.read_response().text
