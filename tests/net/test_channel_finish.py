"""Channel.finish: an end that the peer hears, and that comes."""

import random
from pathlib import Path

import gevent
import pytest

from echo.net.channel import RECEIVE_SIZE, Channel

DEADLINE = 30.0

UNREAD = random.Random(9).randbytes(8 << 20)


def in_greenlet(sock, act):
    """``act(channel)`` in a greenlet; gives whether the socket is closed after it."""
    descriptor = Path(f"/proc/self/fd/{sock.fileno()}")

    def run():
        act(Channel(sock))
        return not descriptor.exists()

    return gevent.spawn(run)


@pytest.fixture(params=["unix", "tcp"])
def kind(request):
    return request.param


def test_the_peer_reads_what_was_sent_and_the_end_while_it_may_still_send(pair, kind):
    sock, peer = pair(kind)

    def act(channel):
        channel.send([b"goodbye"])
        channel.finish(DEADLINE)

    finishing = in_greenlet(sock, act)
    assert peer.read_to_end() == b"goodbye"
    peer.send(b"thrown away")
    gevent.idle()
    assert not finishing.ready()
    peer.send(b"this too")
    peer.close()
    assert finishing.get(timeout=DEADLINE) is True


def send_all_then_read(peer):
    """A client that sends all it has before it reads; what it read, up to the end."""
    peer.send(UNREAD)
    return peer.read_to_end()


def test_much_unread_input_does_not_destroy_what_was_sent(pair, in_thread):
    sock, peer = pair("tcp", blocking=True)

    def talk():
        heard = send_all_then_read(peer)
        peer.close()
        return heard

    channel = Channel(sock)
    talking = in_thread(talk)
    assert channel.receive(DEADLINE) <= RECEIVE_SIZE  # much more is on its way
    channel.send([b"\x88\x02\x03\xe8"])
    channel.finish(DEADLINE)
    assert talking.get(timeout=DEADLINE) == b"\x88\x02\x03\xe8"


def test_without_finish_the_kernel_would_destroy_it(pair, in_thread):
    """The same by close alone is a reset: this is what the test above can see."""
    sock, peer = pair("tcp", blocking=True)
    channel = Channel(sock)
    talking = in_thread(send_all_then_read, peer)
    assert channel.receive(DEADLINE) <= RECEIVE_SIZE
    channel.send([b"\x88\x02\x03\xe8"])
    channel.close()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        talking.get(timeout=DEADLINE)


def test_it_gives_up_on_a_peer_that_neither_sends_nor_ends(pair, kind):
    sock, peer = pair(kind)
    finishing = in_greenlet(sock, lambda channel: channel.finish(0.05))
    assert finishing.get(timeout=DEADLINE) is True
    assert peer.read_to_end() == b""


@pytest.mark.parametrize("timeout", [0.05, -1.0])
def test_it_gives_up_on_a_peer_that_never_stops_sending(pair, kind, timeout):
    sock, peer = pair(kind)
    with peer.flooding(b"and so on "):
        finishing = in_greenlet(sock, lambda channel: channel.finish(timeout))
        assert finishing.get(timeout=DEADLINE) is True


def test_a_peer_that_is_gone_is_no_error(pair):
    sock, peer = pair("tcp")
    peer.reset()
    assert in_greenlet(sock, lambda channel: channel.finish(DEADLINE)).get(timeout=DEADLINE) is True


def test_a_reset_while_it_waits_is_no_error(pair):
    sock, peer = pair("tcp")
    finishing = in_greenlet(sock, lambda channel: channel.finish(DEADLINE))
    assert peer.read_to_end() == b""
    peer.reset()
    assert finishing.get(timeout=DEADLINE) is True


def test_killed_while_it_waits_it_closes_all_the_same(pair, kind):
    sock, peer = pair(kind)
    finishing = in_greenlet(sock, lambda channel: channel.finish(DEADLINE))
    assert peer.read_to_end() == b""
    finishing.kill(timeout=DEADLINE)
    assert isinstance(finishing.value, gevent.GreenletExit)
    assert peer.read_to_end() == b""  # and the leak check knows whether the socket is closed


def test_after_it_close_may_still_be_called(pair, kind):
    sock, peer = pair(kind)
    peer.close()

    def act(channel):
        channel.finish(DEADLINE)
        channel.close()

    assert in_greenlet(sock, act).get(timeout=DEADLINE) is True
