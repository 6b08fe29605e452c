"""Nobody reads standard output or standard error, or they are gone: the service goes on."""

import random
import re
import signal

import pytest

from tests.e2e.raw_client import Frame, RawClient, http_request, open_websocket
from tests.wire import TEXT, close_frame, frame

DROPPED = re.compile(r"\((\d+) log lines dropped")


def echo_many(server, count):
    """Send messages, all at once and again, and check that each comes back."""
    rng = random.Random(count)
    with open_websocket(server) as client:
        for start in range(0, count, 1000):
            messages = [
                f"{start + number} {'x' * rng.randrange(80)}".encode()
                for number in range(min(1000, count - start))
            ]
            client.send(*(frame(TEXT, message) for message in messages))
            for message in messages:
                assert client.read_frame() == Frame(TEXT, message)
        client.send(close_frame(1000))
        assert client.read_close() == 1000


def test_a_stuck_standard_output_disturbs_nobody(server):
    server.stdout.pause()
    count = 60_000
    echo_many(server, count)
    server.stdout.resume()
    server.stdout.wait_for_line(r"^\(\d+ log lines dropped: .+\)$")
    with open_websocket(server) as client:
        client.send(frame(TEXT, "afterwards"))
        assert client.read_frame() == Frame(TEXT, b"afterwards")
    server.stdout.wait_for_line(f"^{client.address} sent: afterwards$")
    server.stop()
    written = server.stdout.matching(r"sent: \d+ x*$")
    dropped = [int(number[1]) for number in map(DROPPED.match, server.stdout.lines) if number]
    assert len(dropped) >= 1
    assert len(written) + sum(dropped) == count
    numbers = [int(line.split()[2]) for line in written]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stuck_standard_output_does_not_hold_up_the_end(server, number):
    server.stdout.pause()
    with open_websocket(server) as client:
        client.send(*(frame(TEXT, "x" * 1000) for _ in range(3000)))
        for _ in range(3000):
            assert client.read_frame() == Frame(TEXT, b"x" * 1000)
        server.stop(number, resume=False)
        assert client.read_close() == 1001


def test_a_standard_output_that_is_gone_disturbs_nobody(server):
    server.stdout.abandon()
    echo_many(server, 1)  # one more line for the reader, which then closes
    server.stdout.join()
    echo_many(server, 5000)
    server.stop()


def request_many(server, count):
    """Send plain requests, each of which makes a line on stderr, and check the answers."""
    request = http_request(path="/nothing", headers=[("Host", "example.com")])
    for _ in range(count // 100):
        with RawClient(server) as client:
            client.send(request * 100)
            for _ in range(100):
                assert client.read_response().status == 404


def test_a_stuck_standard_error_disturbs_nobody(server):
    server.stderr.pause()
    count = 3000
    request_many(server, count)
    echo_many(server, 3000)
    server.stderr.resume()
    server.stop()
    assert len(server.stderr.matching('"GET /nothing HTTP/1.1" 404')) == count
    assert server.stderr.position == count + 1


def test_a_standard_error_that_is_gone_disturbs_nobody(server):
    server.stderr.abandon()
    request_many(server, 100)
    server.stderr.join()
    request_many(server, 1000)
    echo_many(server, 1000)
    server.stop()
