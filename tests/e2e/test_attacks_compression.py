"""Bombs: little that claims to be much, against the real server."""

import zlib

import pytest

from tests.e2e.raw_client import Frame, RawClient, open_websocket
from tests.e2e.server_process import memory
from tests.wire import BINARY, CONTINUATION, PING, PONG, RSV1, TEXT, frame

MEBIBYTE = 1 << 20
LIMIT = 16 * MEBIBYTE


def zeros(mebibytes):
    """So many MiB of zeros, compressed to about a thousandth: units that stand for themselves."""
    compressor = zlib.compressobj(9, wbits=-15)
    unit = compressor.compress(bytes(MEBIBYTE)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return unit * mebibytes + b"\x00"


BOMB = zeros(1024)


def open_compressed(server):
    client = RawClient(server)
    response = client.upgrade(sec_websocket_extensions="permessage-deflate")
    assert response.header("Sec-WebSocket-Extensions") is not None
    return client


def assert_echoes(client, text="healthy"):
    client.send(frame(TEXT, text))
    assert client.read_frame() == Frame(TEXT, text.encode())


@pytest.fixture(params=["no-context", "on"])
def server(start_server, request):
    return start_server("--quiet", "--compression", request.param)


def bomb_frames(pieces):
    """The bomb in so many fragments."""
    size = -(-len(BOMB) // pieces)
    parts = [BOMB[start : start + size] for start in range(0, len(BOMB), size)]
    last = len(parts) - 1
    return [
        frame(CONTINUATION if i else BINARY, part, fin=i == last, rsv=0 if i else RSV1)
        for i, part in enumerate(parts)
    ]


@pytest.mark.parametrize("pieces", [1, 2000])
def test_a_mebibyte_that_would_become_a_gibibyte(server, pieces):
    stream = b"".join(bomb_frames(pieces))
    assert len(BOMB) < 1.1 * MEBIBYTE
    with open_websocket(server) as healthy, open_compressed(server) as attacker:
        assert_echoes(healthy)
        before = memory(server)
        attacker.send(stream)
        assert_echoes(healthy)
        assert attacker.read_close() == 1009
        assert_echoes(healthy)
        # The message up to the limit, with the room that it grows into, and a step.
        assert memory(server, "VmHWM") - before < LIMIT + 8 * MEBIBYTE
    line = attacker.log_line()
    assert line == f"closed: 1009 (message is longer than {LIMIT} bytes), ended by the server"


def test_bombs_within_the_limit_let_others_have_their_turns(server):
    """A hundred messages of 4 MiB, each of 4 KiB on the wire, that are asked for all at once."""
    message = frame(BINARY, zeros(4), rsv=RSV1)
    with open_websocket(server) as healthy, open_compressed(server) as attacker:
        assert_echoes(healthy)
        before = memory(server)
        attacker.send(message * 100)
        for number in range(20):
            assert_echoes(healthy, f"{number}")
        for _ in range(100):
            echo = attacker.read_frame()
            assert (echo.opcode, echo.rsv) == (BINARY, RSV1)
        assert memory(server, "VmHWM") - before < 2 * LIMIT


def test_unfinished_bombs_have_a_budget_in_sum(start_server):
    server = start_server("--quiet", "--receive-budget", str(3 * MEBIBYTE))
    unfinished = frame(BINARY, zeros(2)[:-1], fin=False, rsv=RSV1)
    with open_compressed(server) as first, open_websocket(server) as healthy:
        first.send(unfinished)
        first.send(frame(PING, "there"))
        assert first.read_frame() == Frame(PONG, b"there")
        with open_compressed(server) as second:
            second.send(unfinished)
            second.send(frame(CONTINUATION, b"\x00"))
            assert second.read_frame().rsv == RSV1
        assert first.read_close() == 1013  # it has held the most for the longest
        assert_echoes(healthy)
