"""Channel.close, and what a closed channel does."""

import subprocess
import sys
from pathlib import Path

import pytest

from echo.net.channel import Channel

DEADLINE = 30.0


@pytest.fixture(params=["unix", "tcp"])
def kind(request):
    return request.param


def test_close_ends_the_stream_and_may_come_twice(pair, kind):
    sock, peer = pair(kind)
    channel = Channel(sock)
    channel.close()
    channel.close()
    assert peer.read_to_end() == b""


def test_close_after_waiting(pair, kind):
    sock, peer = pair(kind)
    channel = Channel(sock)
    with pytest.raises(TimeoutError):
        channel.receive(0.01)
    channel.close()
    assert peer.read_to_end() == b""
    with pytest.raises(OSError, match="Bad file descriptor"):
        channel.send([b"too late"])


#: In a process of its own: libev ends the process that watches a closed descriptor.
AFTER_CLOSE = """
import gevent
from gevent import socket
from echo.net.channel import Channel
ours, theirs = socket.socketpair()
channel = Channel(ours)
theirs.sendall(b"x")
if {used}:
    channel.receive()
channel.close()
try:
    channel.{call}
except TimeoutError:
    raise SystemExit("it waits for a closed socket")
except OSError:
    print("an error")
else:
    print("nothing")
gevent.sleep(0.01)
theirs.close()
"""


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize(
    ("call", "comes"),
    [
        ("receive(1.0)", "an error"),
        ("receive()", "an error"),
        ("send([b'x'])", "an error"),
        ("finish(60.0)", "nothing"),
        ("close()", "nothing"),
    ],
)
def test_a_closed_channel_is_not_waited_for(call, comes, used):
    code = AFTER_CLOSE.format(call=call, used=used)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert (done.stderr, done.stdout, done.returncode) == ("", f"{comes}\n", 0)
