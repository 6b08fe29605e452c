"""Channel: waiting for bytes, the shared buffer."""

import random
from socket import IPPROTO_TCP, TCP_NODELAY

import gevent
import pytest
from gevent.event import Event

from echo.net.channel import RECEIVE_SIZE, Channel

DEADLINE = 30.0


@pytest.fixture(params=["unix", "tcp"])
def kind(request):
    return request.param


@pytest.fixture
def channel_and_peer(pair, kind):
    """A Channel of the test's own greenlet."""
    sock, peer = pair(kind)
    channel = Channel(sock)
    yield channel, peer
    channel.close()


def receive(channel, timeout=DEADLINE):
    size = channel.receive(timeout)
    return bytes(Channel.buffer[:size])


def receive_all(channel, size):
    pieces = []
    while size > 0:
        pieces.append(receive(channel))
        assert pieces[-1], "the stream has ended"
        size -= len(pieces[-1])
    return b"".join(pieces)


def test_receive_waits_for_bytes_and_puts_them_into_the_buffer(channel_and_peer):
    channel, peer = channel_and_peer
    order = []

    def send_later():
        gevent.idle()
        order.append("sent")
        peer.send(b"hello")

    sender = gevent.spawn(send_later)
    size = channel.receive()
    order.append("received")
    assert order == ["sent", "received"]
    assert size == 5
    assert Channel.buffer[:size] == b"hello"
    sender.join()


def test_receive_blocks_its_own_greenlet_only(pair, kind):
    sock, peer = pair(kind)

    def wait():
        channel = Channel(sock)
        try:
            return receive(channel, None)
        finally:
            channel.close()

    waiting = gevent.spawn(wait)
    gevent.idle()
    assert not waiting.ready()
    peer.send(b"x")
    assert waiting.get(timeout=DEADLINE) == b"x"


def test_receive_takes_all_that_is_there(channel_and_peer):
    channel, peer = channel_and_peer
    for piece in (b"one ", b"two ", b"three"):
        peer.send(piece)
    assert receive_all(channel, 13) == b"one two three"


def test_receive_without_a_pause_between_two_calls(channel_and_peer):
    channel, peer = channel_and_peer
    for number in range(50):
        peer.send(b"%d" % number)
        assert receive(channel) == b"%d" % number


def test_more_than_the_buffer_comes_in_order_from_a_real_thread(pair, kind, in_thread):
    sock, peer = pair(kind, blocking=True)
    data = random.randbytes(5 * RECEIVE_SIZE + 17)
    sending = in_thread(peer.send, data)
    channel = Channel(sock)
    assert receive_all(channel, len(data)) == data
    sending.get(timeout=DEADLINE)
    channel.close()


def test_the_end_of_the_stream_is_0_again_and_again(channel_and_peer):
    channel, peer = channel_and_peer
    peer.send(b"last")
    peer.end_output()
    assert receive_all(channel, 4) == b"last"
    assert channel.receive(DEADLINE) == 0
    assert channel.receive(DEADLINE) == 0


def test_nothing_within_the_timeout_is_a_timeout_and_the_channel_lives_on(channel_and_peer):
    channel, peer = channel_and_peer
    with pytest.raises(TimeoutError, match=r"nothing happened for 0.01 s"):
        channel.receive(0.01)
    peer.send(b"late")
    assert receive(channel) == b"late"


def test_a_timeout_ends_with_its_receive(channel_and_peer):
    channel, peer = channel_and_peer
    peer.send(b"x")
    assert channel.receive(0.05) == 1
    gevent.sleep(0.1)
    with pytest.raises(TimeoutError, match=r"for 0.01 s"):
        channel.receive(0.01)


def test_a_reset_is_an_error(pair):
    sock, peer = pair("tcp")
    channel = Channel(sock)
    peer.reset()
    with pytest.raises(ConnectionResetError):
        channel.receive(DEADLINE)
    channel.close()


def test_input_does_not_disturb_its_greenlet_elsewhere_and_is_not_lost(channel_and_peer):
    channel, peer = channel_and_peer
    peer.send(b"first")
    assert receive(channel) == b"first"  # from here on the channel watches the socket
    elsewhere = Event()

    def send_and_set():
        peer.send(b"second")
        gevent.sleep(0.02)
        order.append("set")
        elsewhere.set()

    order = []
    sender = gevent.spawn(send_and_set)
    assert elsewhere.wait(DEADLINE)
    order.append("woken")
    assert order == ["set", "woken"]
    peer.send(b" third")
    gevent.sleep(0.02)
    sender.join()
    assert receive_all(channel, 12) == b"second third"


def test_input_after_a_timeout_does_not_disturb_its_greenlet_elsewhere(channel_and_peer):
    channel, peer = channel_and_peer
    with pytest.raises(TimeoutError):
        channel.receive(0.01)
    peer.send(b"while it sleeps")
    gevent.sleep(0.02)
    assert receive_all(channel, 15) == b"while it sleeps"


def test_woken_for_nothing_it_waits_on(pair, kind):
    """Somebody else, who shares the socket, is quicker."""
    sock, peer = pair(kind)
    thief = sock.dup()
    stolen = []
    watcher = gevent.get_hub().loop.io(thief.fileno(), 1, priority=2)
    watcher.start(lambda: stolen.append(thief.recv(100)) or watcher.stop())
    channel = Channel(sock)

    def send_again():
        while not stolen:
            gevent.sleep(0)
        gevent.idle()
        gevent.idle()
        peer.send(b"kept")

    peer.send(b"stolen")
    sender = gevent.spawn(send_again)
    assert receive(channel) == b"kept"
    assert stolen == [b"stolen"]
    sender.join()
    watcher.close()
    thief.close()
    channel.close()


def test_input_of_one_channel_does_not_wake_its_greenlet_in_another(pair, kind):
    socks, peers = zip(*(pair(kind) for _ in range(2)), strict=True)
    one, other = map(Channel, socks)
    for channel, peer in zip((one, other), peers, strict=True):
        peer.send(b"x")
        assert receive(channel) == b"x"
    peers[0].send(b"for one")
    with pytest.raises(TimeoutError):
        other.receive(0.02)
    peers[1].send(b"for the other")
    assert receive(other) == b"for the other"
    assert receive(one) == b"for one"
    one.close()
    other.close()


def test_input_that_nobody_waits_for_does_not_keep_the_hub_busy(channel_and_peer):
    channel, peer = channel_and_peer
    peer.send(b"first")
    assert receive(channel) == b"first"
    peer.send(b"second")
    loop = gevent.get_hub().loop
    before = loop.iteration
    gevent.sleep(0.05)
    assert loop.iteration - before < 50  # a watcher left running brings thousands
    assert receive(channel) == b"second"


def test_killed_while_it_waits(pair, kind):
    sock, peer = pair(kind)
    left = []

    def wait():
        channel = Channel(sock)
        try:
            channel.receive()
        except gevent.GreenletExit as exit_:
            left.append(exit_)
            peer.send(b"still there")
            left.append(receive(channel))
            channel.close()
            raise

    waiting = gevent.spawn(wait)
    gevent.idle()
    waiting.kill(timeout=DEADLINE)
    assert waiting.dead
    assert isinstance(left[0], gevent.GreenletExit)
    assert left[1] == b"still there"
    assert peer.read_to_end() == b""


def test_channels_in_turn_never_see_the_bytes_of_another(pair, kind, in_thread):
    count, rounds = 8, 40
    seed = random.Random(6455)
    sent = [
        [seed.randbytes(seed.choice([1, 7, 100, 5000, 70_000])) for _ in range(rounds)]
        for _ in range(count)
    ]

    def read_all(sock, size):
        channel = Channel(sock)
        try:
            return receive_all(channel, size)
        finally:
            channel.close()

    def send_all(peer, pieces):
        for piece in pieces:
            peer.send(piece)

    readers, senders = [], []
    for pieces in sent:
        sock, peer = pair(kind, blocking=True)
        readers.append(gevent.spawn(read_all, sock, sum(map(len, pieces))))
        senders.append(in_thread(send_all, peer, pieces))
    for reader, sender, pieces in zip(readers, senders, sent, strict=True):
        assert reader.get(timeout=DEADLINE) == b"".join(pieces)
        sender.get(timeout=DEADLINE)


def test_a_shorter_input_behind_a_longer_one_is_told_apart(pair, kind):
    pairs = [pair(kind) for _ in range(2)]
    one, other = (Channel(sock) for sock, _ in pairs)
    pairs[0][1].send(b"a long secret of one")
    assert receive_all(one, 20) == b"a long secret of one"
    pairs[1][1].send(b"short")
    assert other.receive(DEADLINE) == 5
    assert Channel.buffer[:5] == b"short"
    one.close()
    other.close()


@pytest.mark.parametrize("kind", ["tcp", "tcp6"])
def test_short_writes_are_not_held_back(pair, kind):
    sock, _ = pair(kind)
    same = sock.dup()
    channel = Channel(sock)
    assert same.getsockopt(IPPROTO_TCP, TCP_NODELAY) == 1
    same.close()
    channel.close()
