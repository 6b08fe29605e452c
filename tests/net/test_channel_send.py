"""Channel: writing, also more than the kernel takes at once, and being stopped in the middle."""

import random
from contextlib import suppress

import gevent
import pytest

from echo.net.channel import Channel

DEADLINE = 30.0

#: More than the kernel buffers of a socket of either kind.
PLENTY = random.Random(7).randbytes(16 << 20)


def identical(received, sent):
    """Without the difference of megabytes that a plain comparison would show."""
    return received == sent


def nothing(_):
    """What is done with the channel unless a test says otherwise."""


@pytest.fixture(params=["unix", "tcp"])
def kind(request):
    return request.param


@pytest.fixture
def stuffed(pair, kind):
    """``stuffed(pieces, timeout)``: a greenlet that sends more than fits, and its peer."""
    greenlets = []

    def stuffed(pieces=(PLENTY,), timeout=None, *, fill_first=False, before=nothing, after=nothing):
        sock, peer = pair(kind)
        if fill_first:
            fill(sock)

        def send():
            channel = Channel(sock)
            try:
                before(channel)
                channel.send(list(pieces), timeout)
                return after(channel)
            finally:
                channel.close()

        greenlets.append(gevent.spawn(send))
        return greenlets[-1], peer

    yield stuffed
    gevent.killall(greenlets, timeout=DEADLINE)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b""],
        [b"x"],
        [b"one", b"", b"two"],
        [b"a" * 32_768, b"b"],
        [b"a" * 32_767, b"b"],
        [b"", b"a" * 70_000, b"", b"b", b"c" * 70_000, b""],
        [bytes([number % 251]) * number for number in range(600)],
        (b"a", b"tuple"),
    ],
    ids=lambda pieces: f"{len(pieces)}-pieces-{sum(map(len, pieces))}-bytes",
)
def test_the_pieces_arrive_in_order(pair, kind, in_thread, pieces):
    sock, peer = pair(kind, blocking=True)
    channel = Channel(sock)
    reading = in_thread(peer.read_to_end)
    channel.send(list(pieces))
    channel.close()
    assert identical(reading.get(timeout=DEADLINE), b"".join(pieces))


@pytest.mark.parametrize("pieces", [1, 37], ids=["whole", "in-37-pieces"])
def test_more_than_the_socket_buffer_to_a_slow_reader(pair, kind, in_thread, pieces):
    sock, peer = pair(kind, blocking=True)
    step = len(PLENTY) // pieces + 1
    cut = [PLENTY[start : start + step] for start in range(0, len(PLENTY), step)]
    bites = random.Random(8)

    def read_slowly():
        read = []
        while bite := peer.socket.recv(bites.choice([1, 1000, 65_536, 1 << 20])):
            read.append(bite)
        return b"".join(read)

    reading = in_thread(read_slowly)
    channel = Channel(sock)
    channel.send(list(cut))
    channel.close()
    assert identical(reading.get(timeout=DEADLINE), PLENTY)


def test_send_waits_until_all_is_with_the_kernel_and_blocks_no_other_greenlet(stuffed):
    sending, peer = stuffed()
    assert peer.read(1) == PLENTY[:1]
    gevent.sleep(0.02)
    assert not sending.ready()
    assert identical(peer.read_to_end(), PLENTY[1:])
    sending.get(timeout=DEADLINE)


def test_a_second_send_follows_the_first(stuffed):
    sending, peer = stuffed([b"begin "], after=lambda channel: channel.send([PLENTY, b" end"]))
    assert identical(peer.read_to_end(), b"begin " + PLENTY + b" end")
    sending.get(timeout=DEADLINE)


def test_a_peer_that_reads_nothing_is_a_timeout_and_sees_the_end_of_the_stream(stuffed):
    sending, peer = stuffed(timeout=0.05)
    with pytest.raises(TimeoutError, match=r"nothing happened for 0.05 s"):
        sending.get(timeout=DEADLINE)
    prefix = peer.read_to_end()
    assert len(prefix) < len(PLENTY)
    assert PLENTY.startswith(prefix)


@pytest.mark.parametrize(
    "pieces",
    [(PLENTY, b"never"), (b"never before", PLENTY[:40_000], PLENTY, b"never")],
    ids=["in-the-first-piece", "in-a-later-piece"],
)
def test_killed_in_the_middle_the_peer_sees_the_end_and_no_other_byte(stuffed, pieces):
    errors = []

    def write_more(channel):
        with pytest.raises(OSError, match="Broken pipe") as caught:
            channel.send([b"must not follow"])
        errors.append(caught.value)

    def send(channel):
        try:
            channel.send(list(pieces))
        except gevent.GreenletExit:
            write_more(channel)
            raise

    sending, peer = stuffed((), before=send)
    first = peer.read(1)
    sending.kill(timeout=DEADLINE)
    assert sending.dead
    whole = b"".join(pieces)
    sent = first + peer.read_to_end()
    assert len(sent) < len(whole) - len(b"never")
    assert whole.startswith(sent)
    assert len(errors) == 1


def test_the_end_comes_at_once_even_if_the_channel_stays_open(pair, kind):
    sock, peer = pair(kind)
    channel = Channel(sock)
    with pytest.raises(TimeoutError):
        channel.send([PLENTY], 0.01)
    assert PLENTY.startswith(peer.read_to_end())
    peer.send(b"still heard")
    assert Channel.buffer[: channel.receive(DEADLINE)] == b"still heard"
    channel.close()


def fill(sock):
    """Stuff the kernel's buffer of a gevent socket."""
    sock.settimeout(0.0)
    with suppress(BlockingIOError):
        while True:
            sock.send(b"-" * 1000)


def without_filling(data):
    return data.replace(b"-", b"")


@pytest.mark.parametrize("kind", ["unix"])  # what TCP has sent makes room a little later
@pytest.mark.parametrize(
    "pieces", [[b"at ", b"last"], [b"header", bytes(300_000)], [bytes(300_000), b"tail"]]
)
def test_a_send_to_a_full_socket_waits(stuffed, pieces):
    sending, peer = stuffed(pieces, fill_first=True)
    gevent.idle()
    assert not sending.ready()
    assert identical(without_filling(peer.read_to_end()), b"".join(pieces))
    sending.get(timeout=DEADLINE)


@pytest.mark.parametrize("kind", ["unix"])  # what TCP has sent makes room a little later
def test_a_full_socket_is_a_timeout_too_and_nothing_follows(stuffed):
    sending, peer = stuffed([b"never"], 0.01, fill_first=True)
    with pytest.raises(TimeoutError):
        sending.get(timeout=DEADLINE)
    assert without_filling(peer.read_to_end()) == b""


@pytest.mark.parametrize("kind", ["unix"])  # what TCP has sent makes room a little later
def test_woken_for_nothing_it_waits_on(pair, kind):
    """Somebody else, who shares the socket, is quicker to fill it."""
    sock, peer = pair(kind)
    rival = sock.dup()
    fill(rival)
    channel = Channel(sock)
    fills = []

    def be_quicker():
        fill(rival)
        fills.append("full")
        watcher.stop()

    watcher = gevent.get_hub().loop.io(rival.fileno(), 2, priority=2)
    watcher.start(be_quicker)
    reading = gevent.spawn(peer.read_to_end)
    channel.send([b"at last"])
    channel.close()
    watcher.close()
    rival.close()
    assert without_filling(reading.get(timeout=DEADLINE)) == b"at last"
    assert fills == ["full"]


def test_reset_while_blocked(stuffed):
    sending, peer = stuffed()
    assert peer.read(1) == PLENTY[:1]
    peer.reset()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        sending.get(timeout=DEADLINE)


def test_sending_to_a_peer_that_is_gone_is_an_error(pair):
    sock, peer = pair("unix")
    channel = Channel(sock)
    peer.close()
    with pytest.raises(BrokenPipeError):
        channel.send([b"anybody there?"])
    channel.close()


def test_input_while_blocked_neither_wakes_nor_is_lost(stuffed):
    def receive(channel):
        return bytes(Channel.buffer[: channel.receive(DEADLINE)])

    heard = []
    sending, peer = stuffed(
        before=lambda channel: heard.append(receive(channel)),
        after=lambda channel: heard.append(receive(channel)),
    )
    peer.send(b"first")
    assert peer.read(1) == PLENTY[:1]
    peer.send(b"second")
    gevent.sleep(0.02)
    loop = gevent.get_hub().loop
    before = loop.iteration
    gevent.sleep(0.05)
    assert loop.iteration - before < 50  # woken by its input it would try and try again
    assert not sending.ready()
    assert identical(peer.read(len(PLENTY) - 1), PLENTY[1:])
    sending.get(timeout=DEADLINE)
    assert heard == [b"first", b"second"]


def test_plenty_in_both_directions(pair, kind):
    sock, peer = pair(kind)
    other = gevent.spawn(peer.read, len(PLENTY))
    channel = Channel(sock)
    back = gevent.spawn(peer.send, PLENTY)
    channel.send([PLENTY])
    received = []
    while sum(map(len, received)) < len(PLENTY):
        received.append(bytes(Channel.buffer[: channel.receive(DEADLINE)]))
    assert identical(b"".join(received), PLENTY)
    assert identical(other.get(timeout=DEADLINE), PLENTY)
    back.get(timeout=DEADLINE)
    channel.close()
