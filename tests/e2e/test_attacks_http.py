"""Attacks by HTTP on ``python server.py``, each with the exact answer that it gets."""

import os
import re
import resource
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.crowd import Crowd
from tests.e2e.raw_client import (
    Frame,
    RawClient,
    http_request,
    open_websocket,
    upgrade_request,
    wait_for_logs,
)
from tests.e2e.server_process import DEADLINE
from tests.wire import TEXT, frame

HOST = ("Host", "example.com")


def check_echo(client, message=b"still there"):
    client.send(frame(TEXT, message))
    assert client.read_frame() == Frame(TEXT, message)


def descriptors(server):
    """The numbers of the descriptors that the server has open."""
    return sorted(int(name) for name in os.listdir(f"/proc/{server.process.pid}/fd"))  # noqa: PTH208


def wait_for_descriptors(server, count):
    """Wait until the server has as many descriptors open."""
    deadline = time.monotonic() + DEADLINE
    while len(descriptors(server)) > count:
        assert time.monotonic() < deadline, f"{len(descriptors(server))} instead of {count}"
        time.sleep(0.01)


def processor_time(server):
    """Seconds of processor time that the server has used."""
    stat = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


# Smuggling

SMUGGLED = http_request(path="/smuggled", headers=[HOST])


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("Content-Length", str(len(SMUGGLED)))], 413),
        ([("Transfer-Encoding", "chunked")], 413),
        ([("Content-Length", "0"), ("Transfer-Encoding", "chunked")], 413),
        ([("Content-Length", "0"), ("Content-Length", str(len(SMUGGLED)))], 400),
        ([("Content-Length", f"+{len(SMUGGLED)}")], 400),
        ([("Transfer-Encoding ", "chunked")], 400),
        ([("X", "y\nTransfer-Encoding: chunked")], 400),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytes"])
def test_a_request_smuggled_behind_a_refused_upgrade(echo_server, fields, status, bytewise):
    upgrade = upgrade_request(echo_server.port, sec_websocket_version="12")
    head = upgrade[:-2] + "".join(f"{name}: {value}\r\n" for name, value in fields).encode()
    with RawClient(echo_server) as client:
        send = client.send_each_byte if bytewise else client.send
        send(head + b"\r\n" + SMUGGLED)
        response = client.read_response()
        assert response.status == status
        assert response.header("Connection") == "close"
        client.send_end()
        client.read_end()
        line = client.log_line()  # one line: the smuggled request has none
    assert line == f'"GET /ws/echo HTTP/1.1" {status} {response.text.rstrip()}'
    assert not echo_server.stderr.matching("smuggled")


def test_an_upgrade_and_a_frame_pipelined_behind_a_get(echo_server):
    with RawClient(echo_server) as client:
        client.send(SMUGGLED, upgrade_request(echo_server.port), frame(TEXT, "in one segment"))
        assert client.read_response().status == 404
        assert client.read_response().status == 101
        assert client.read_frame() == Frame(TEXT, b"in one segment")


# Too many, too slow


def test_a_connection_too_many_gets_503(start_server):
    server = start_server("--max-connections", "2")
    with open_websocket(server) as inside:
        baseline = len(descriptors(server))
        with RawClient(server), RawClient(server) as third:
            response = third.read_response()
            assert response.status == 503
            assert int(response.header("Retry-After")) > 0
            third.send_end()
            third.read_end()
            server.stderr.wait_for_line(rf'^{third.address} "" 503 .*{re.escape("2 connections")}')
            check_echo(inside)
        wait_for_descriptors(server, baseline)
        with open_websocket(server) as again:
            check_echo(again)
            check_echo(inside)


@pytest.mark.parametrize("sent", [b"G", b"GET /half HT"])
def test_a_head_that_is_not_finished_gets_408(start_server, sent):
    server = start_server("--head-timeout", "0.3")
    with RawClient(server) as client:
        client.send(sent)
        client.read_refusal(sent.decode(), 408)


#: What a slow peer gets, to the byte.
TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 36\r\n"
    b"Connection: close\r\n"
    b"Cache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"\r\n"
    b"the request did not come within 3 s\n"
)


def test_slow_loris(start_server):
    """A thousand peers drip their heads; each gets its 408, and a healthy one all its echoes."""
    server = start_server("--head-timeout", "3")
    with open_websocket(server) as healthy:
        check_echo(healthy)
        baseline = len(descriptors(server))
        with Crowd(server) as crowd:
            peers = crowd.join(1000, b"GET /loris HTTP/1.1\r\nX: ")
            deadline = time.monotonic() + DEADLINE
            rounds = 0
            while waiting := [peer for peer in peers if not peer.received and not peer.ended]:
                assert time.monotonic() < deadline, f"{len(waiting)} are still there"
                for peer in waiting:
                    peer.send(b"x")
                rounds += 1
                check_echo(healthy, b"round %d" % rounds)
                crowd.receive(0.05)
            crowd.wait_until(lambda peer: peer.ended)
            assert {(bytes(peer.received), peer.ended) for peer in peers} == {(TOO_SLOW, "end")}
        wait_for_descriptors(server, baseline)
        check_echo(healthy)
        wait_for_logs(server)
        refused = r'"GET /loris HTTP/1\.1" 408 the request did not come within 3 s$'
        assert len(server.stderr.matching(refused)) == len(peers)


# Log injection

ESC, BEL, CSI, BIDI = b"\x1b[2J", b"\x07", b"\x9b31m", "\u202e\u2066".encode()
FORGED = b'127.0.0.1:1 "GET /forged HTTP/1.1" 200'


def upgrade_with(**changes):
    return upgrade_request(1, host="example.com", **changes)


INJECTIONS = {
    "path, ESC": (b"GET /" + ESC + b" HTTP/1.1\r\n\r\n", 400, r"/\x1b[2J HTTP"),
    "path, BEL": (b"GET /" + BEL + b" HTTP/1.1\r\n\r\n", 400, r"/\x07 HTTP"),
    "path, CSI": (b"GET /" + CSI + b" HTTP/1.1\r\n\r\n", 400, r"/\x9b31m HTTP"),
    "path, bidi": (b"GET /" + BIDI + b" HTTP/1.1\r\n\r\n", 400, "/\xe2\\x80\xae\xe2\\x81\xa6 HTTP"),
    "path, LF": (b"GET /\n" + FORGED + b"\r\n\r\n", 400, r'"GET /\n127.0.0.1:1 '),
    "path, CR": (b"GET /\r" + FORGED + b"\r\n\r\n", 400, r'"GET /\r127.0.0.1:1 '),
    "path, CR LF": (b"GET /\r\n" + FORGED + b"\r\n\r\n", 400, '"GET /" 400 '),
    "path, quoted": (
        http_request(path="/%0d%0a%1b%9b%e2%80%ae", headers=[HOST, ("Connection", "close")]),
        404,
        '"GET /%0d%0a%1b%9b%e2%80%ae HTTP/1.1" 404 ',
    ),
    "method": (b"\x1b]0;x" + BEL + b" / HTTP/1.1\r\n\r\n", 400, r'"\x1b]0;x\x07 / HTTP'),
    "header, ESC": (http_request(headers=[HOST, ("X", "\x1b[2J")]), 400, "control character 0x1B"),
    "header, CSI": (http_request(headers=[HOST, ("X\x9b31m", "y")]), 400, r"X\x9b31m"),
    "header, bidi": (
        http_request(headers=[HOST, (f"X{BIDI.decode('latin-1')}", "y")]),
        400,
        "X\xe2\\x80\xae",
    ),
    "header, LF": (http_request(headers=[HOST, ("X", f"y\n{FORGED}")]), 400, "bare line feed"),
    "host, CSI": (http_request(headers=[("Host", "x\x9b31m")]), 400, r"'x\x9b31m'"),
    "origin, CSI": (upgrade_with(origin="http://x\x9b31m"), 403, r"http://x\x9b31m"),
    "origin, bidi": (
        upgrade_with(origin=f"http://{BIDI.decode('latin-1')}"),
        403,
        r"http://\u202e",
    ),
    "origin, ESC": (upgrade_with(origin="http://x\x1b[2J"), 400, "control character"),
    "key, CSI": (upgrade_with(sec_websocket_key="\x9b31m"), 400, ""),
    "protocol, CSI": (upgrade_with(sec_websocket_protocol="\x9b31m"), 400, ""),
    "version, CSI": (upgrade_with(sec_websocket_version="\x9b31m"), 426, ""),
}


@pytest.mark.parametrize(("data", "status", "shown"), INJECTIONS.values(), ids=INJECTIONS)
def test_log_injection(echo_server, data, status, shown):
    position = echo_server.stderr.position
    with RawClient(echo_server) as client:
        client.send(data)
        client.send_end()
        assert client.read_response().status == status
        client.read_end()
        assert shown in client.log_line()
    lines = echo_server.stderr.lines[position:]
    assert all(line.isprintable() for line in lines), lines
    assert not [line for line in lines if line.startswith("127.0.0.1:1 ")]


# Other protocols


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 51234 8000\r\n", 400, "PROXY protocol, version 1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12), 400, "PROXY protocol, version 2"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2 is not spoken here"),
        (b"GET /ws/echo HTTP/1.2\r\nHost: x\r\n\r\n", 505, "use HTTP/1.1"),
        (b"GET /J\xc3\xb6rg HTTP/1.1\r\nHost: x\r\n\r\n", 400, "percent-encode it as %C3%B6"),
    ],
)
def test_another_protocol_is_named(echo_server, data, status, said):
    with RawClient(echo_server) as client:
        client.send(data)
        response = client.read_response()
        client.send_end()
        client.read_end()
        assert said in client.log_line()
    assert response.status == status
    assert said in response.text


# Descriptors


def set_descriptor_limit(server, number):
    """Set the soft limit of a running server, which can be raised again."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (min(number, hard), hard))


def test_it_runs_out_of_descriptors(start_server):
    server = start_server()
    with ExitStack() as stack:
        inside = [stack.enter_context(open_websocket(server)) for _ in range(5)]
        before = descriptors(server)
        set_descriptor_limit(server, before[-1] + 1)
        free = before[-1] + 1 - len(before)
        waiting = [stack.enter_context(RawClient(server)) for _ in range(free + 20)]
        server.stderr.wait_for_line("^cannot accept connections for now: Too many open files$")
        for client in waiting:
            client.send(http_request(path="/waiting", headers=[HOST]))
        used, end = processor_time(server), time.monotonic() + 1.5
        while time.monotonic() < end:
            for client in inside:
                check_echo(client)
            time.sleep(0.1)
        assert processor_time(server) - used < 0.6, "it spins"
        assert len(server.stderr.matching("cannot accept")) == 1
        set_descriptor_limit(server, 1 << 20)
        for client in waiting:
            assert client.read_response().status == 404
        for client in inside:
            check_echo(client)
        wait_for_logs(server)
        assert len(server.stderr.matching("cannot accept")) == 1


def start_with_hard_limit(start_server, number, tmp_path):
    """Start a server that may open few files; its capacity is what that leaves."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nulimit -n {number}\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return start_server(command=(str(script), "server.py"))


def test_a_low_limit_of_descriptors_is_a_capacity(start_server, tmp_path):
    server = start_with_hard_limit(start_server, 70, tmp_path)
    server.stderr.wait_for_line(
        r"^the limit of open files \(ulimit -n\) is 70: this leaves room for 6 connections of "
        r"--max-connections 10000$"
    )
    with ExitStack() as stack:
        inside = [stack.enter_context(open_websocket(server)) for _ in range(6)]
        baseline = len(descriptors(server)) - len(inside)
        crowd = [stack.enter_context(RawClient(server)) for _ in range(150)]
        refused = 0
        for client in crowd:
            data = client.sock.recv(1 << 16)  # the answer, or the end without one
            assert data == b"" or data.startswith(b"HTTP/1.1 503 "), data
            refused += bool(data)
            client.sock.close()
        assert refused >= 20
        for client in inside:
            check_echo(client)
    wait_for_descriptors(server, baseline)
    with open_websocket(server) as client:
        check_echo(client)
