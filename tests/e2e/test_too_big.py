"""The limit of a message's size, decided from the header: raw sockets, the real server."""

import re

import pytest

from tests.e2e.raw_client import Frame, open_websocket
from tests.wire import BINARY, CONTINUATION, PING, PONG, TEXT, frame, frame_header


@pytest.fixture(scope="module")
def limited_server(module_servers):
    return module_servers("--max-message-size", "1000")


@pytest.fixture(scope="module")
def tiny_server(module_servers):
    return module_servers("--max-message-size", "10")


@pytest.mark.parametrize(
    "header",
    [
        frame_header(BINARY, 1001),
        frame_header(TEXT, 1001),
        frame_header(TEXT, 1001, fin=False),
        frame_header(BINARY, 65536),
        frame_header(BINARY, 2**62),
        frame_header(TEXT, 2**63 - 1),
        frame(TEXT, bytes(1000), fin=False) + frame_header(CONTINUATION, 1),
        frame(TEXT, bytes(600), fin=False) + frame_header(CONTINUATION, 401),
        frame(BINARY, bytes(999), fin=False) + frame_header(CONTINUATION, 2, fin=False),
        frame(BINARY, b"x", fin=False) + frame_header(CONTINUATION, 2**63 - 1),
    ],
    ids=lambda header: header[-14:].hex(),
)
def test_from_the_header_alone(limited_server, header):
    with open_websocket(limited_server) as client:
        client.send(header)
        assert client.read_close() == 1009
    assert re.fullmatch(r"closed: 1009 \(.*1000.*\), ended by the server", client.log_line())


@pytest.mark.parametrize(
    "header", [frame_header(BINARY, (16 << 20) + 1), frame_header(TEXT, 2**62)]
)
def test_the_default_limit(echo_server, header):
    with open_websocket(echo_server) as client:
        client.send(header)
        assert client.read_close() == 1009


@pytest.mark.parametrize(
    "data",
    [
        frame(BINARY, bytes(1000)),
        frame(BINARY, bytes(600), fin=False) + frame(CONTINUATION, bytes(400)),
        frame(BINARY, bytes(1000), fin=False) + frame(CONTINUATION),
        frame(BINARY, fin=False) + frame(CONTINUATION, bytes(1000)),
        frame(BINARY, bytes(1000), fin=False) + frame(PING, bytes(125)) + frame(CONTINUATION),
    ],
    ids=["one frame", "two", "full and empty", "empty and full", "a ping between"],
)
def test_up_to_the_limit_again_and_again(limited_server, data):
    with open_websocket(limited_server) as client:
        for _ in range(3):
            client.send(data)
            echo = client.read_frame()
            while echo.opcode == PONG:
                echo = client.read_frame()
            assert echo == Frame(BINARY, bytes(1000))


@pytest.mark.parametrize("size", [11, 12, 125, 126, 1000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_whole_small_message_above_a_tiny_limit(tiny_server, opcode, size):
    with open_websocket(tiny_server) as client:
        client.send(frame(opcode, bytes(10)))
        assert client.read_frame() == Frame(opcode, bytes(10))
        client.send(frame(opcode, bytes(size)))
        assert client.read_close() == 1009


def test_control_frames_have_a_limit_of_their_own(tiny_server):
    with open_websocket(tiny_server) as client:
        client.send(frame(PING, bytes(125)))
        assert client.read_frame() == Frame(PONG, bytes(125))


def test_a_limit_of_the_environment_above_the_default(start_server):
    size = (16 << 20) + 1
    server = start_server("--quiet", environment={"ECHO_MAX_MESSAGE_SIZE": str(size)})
    with open_websocket(server) as client:
        client.send(frame(BINARY, bytes(size)))
        echo = client.read_frame()
        assert (echo.opcode, len(echo.payload)) == (BINARY, size)
        client.send(frame_header(BINARY, size + 1))
        assert client.read_close() == 1009
