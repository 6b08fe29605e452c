"""A time of day that jumps by hours, back and forth: times and echoes go on as if it did not.

What Python tells the service of the time of day is wrong at every look; see inside/jumping_clock.
"""

import re
import signal

import pytest

from tests.e2e.raw_client import Frame, RawClient, http_request, open_websocket
from tests.e2e.server_process import DEADLINE, ROOT
from tests.wire import BINARY, CLOSE, PING, PONG, RSV3, TEXT, close_frame, frame

JUMPING = {"PYTHONPATH": str(ROOT / "tests" / "e2e" / "inside" / "jumping_clock")}

GOING_AWAY = Frame(CLOSE, b"\x03\xe9going away")

#: Shorter than the jumps of the clock, longer than any test.
NEVER = "1000"


@pytest.fixture
def start(start_server):
    """``start(*options)``: a server whose clock jumps."""

    def start(*options):
        server = start_server("--quiet", *options, environment=JUMPING)
        server.stderr.wait_for_line("^the clock jumps$")
        return server

    return start


def read_behind_pings(client):
    while (answer := client.read_frame()) == Frame(PING, b""):
        pass
    return answer


def assert_echoes(client, message):
    client.send(frame(TEXT, message))
    assert read_behind_pings(client) == Frame(TEXT, message.encode())


def page_request(server, path="/ws/echo_display"):
    return http_request(path=path, headers=[("Host", f"{server.host}:{server.port}")])


def test_no_jump_ends_what_may_last(start):
    """Half a head, an idle HTTP connection, pings and what is being closed: all have their time."""
    names = ("head", "keep-alive", "ping", "close", "write", "shutdown")
    server = start("--ping-interval=0.1", *(f"--{name}-timeout={NEVER}" for name in names))
    request = page_request(server)
    with (
        RawClient(server) as half,
        RawClient(server) as idle,
        open_websocket(server) as quiet,
        open_websocket(server) as busy,
        open_websocket(server) as leaving,
    ):
        half.send(request[:20])
        idle.send(request)
        assert idle.read_response().status == 200
        leaving.send(frame(TEXT, "x", rsv=RSV3))
        assert read_behind_pings(leaving).opcode == CLOSE
        assert quiet.read_frame() == Frame(PING, b"")  # and no answer to it
        for count in range(100):  # each page looks at the clock, which jumps
            assert_echoes(busy, f"{count}")
            idle.send(request)
            assert idle.read_response().status == 200
        half.send(request[20:])
        assert half.read_response().status == 200
        quiet.send(frame(PONG))
        server.process.send_signal(signal.SIGTERM)
        for client in (busy, quiet):
            assert read_behind_pings(client) == GOING_AWAY
            client.send(close_frame(1001))
            client.read_end()
            client.sock.close()
        leaving.read_end()
        leaving.sock.close()
        half.read_end()
        half.sock.close()
        idle.read_end()
        idle.sock.close()
        server.stop(number=0)
    lives = [
        float(life) for line in server.stderr.lines for life in re.findall(r"after (\S+) s", line)
    ]
    assert len(lives) == 3
    assert all(0 <= life < 10 * DEADLINE for life in lives), lives


def test_pings_go_out_and_are_answered(start):
    server = start("--ping-interval", "0.1", "--ping-timeout", NEVER)
    with open_websocket(server) as client:
        for count in range(8):
            assert client.read_frame() == Frame(PING, b"")
            client.send(frame(PONG))
            assert_echoes(client, f"{count}")


def test_who_answers_no_ping_is_closed_and_then_aborted(start):
    server = start("--ping-interval", "0.1", "--ping-timeout", "0.2", "--close-timeout", "0.2")
    with open_websocket(server) as client:
        assert client.read_frame() == Frame(PING, b"")
        assert client.read_frame() == Frame(CLOSE, b"\x03\xf3no answer to a ping in 0.2 s")
        client.read_end()
        assert client.log_line().startswith("closed: 1011 ")


def test_a_head_and_an_idle_connection_have_their_end(start):
    server = start("--head-timeout", "0.3", "--keep-alive-timeout", "0.3")
    with RawClient(server) as late, RawClient(server) as idle:
        late.send(b"GET /late HTTP/1.1\r\n")
        idle.send(page_request(server))
        assert idle.read_response().status == 200
        idle.read_end()
        late.read_refusal("GET /late HTTP/1.1", 408)


def test_a_write_that_nobody_takes_has_its_end(start):
    server = start("--write-timeout", "0.5")
    with open_websocket(server, receive_buffer=4096) as stuck, open_websocket(server) as healthy:
        stuck.send(frame(BINARY, bytes(16 << 20)))
        count = 0
        while not server.stderr.matching(rf"^{stuck.address} closed: 1006 "):
            assert_echoes(healthy, f"{count}")
            count += 1


def test_stopping_has_its_end(start):
    server = start("--shutdown-timeout", "0.5", "--close-timeout", NEVER)
    with open_websocket(server) as silent:
        server.process.send_signal(signal.SIGTERM)
        assert silent.read_frame() == GOING_AWAY
        silent.read_end()
        server.stop(number=0)
