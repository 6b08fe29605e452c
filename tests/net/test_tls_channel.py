"""TLSChannel: TLS on a real socket, against OpenSSL's other end."""

import os
import ssl
from contextlib import suppress
from time import monotonic

import gevent
import gevent.event
import pytest
import trustme
from gevent import socket as gevent_socket
from gevent import ssl as gevent_ssl

from echo.net.certificate import Certificate
from echo.net.channel import RECEIVE_SIZE, Channel, Interrupted
from echo.net.tls_channel import TLSChannel
from echo.protocol.errors import PlainHTTP

DEADLINE = 30.0


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def certificate(authority, tmp_path):
    file = tmp_path / "certificate.pem"
    authority.issue_cert("here").private_key_and_cert_chain_pem.write_to_path(file)
    return Certificate(str(file))


@pytest.fixture
def tls_pair(pair, certificate, authority):
    """``tls_pair(function)`` runs a function with a TLSChannel in a greenlet.

    Gives the greenlet and the client's SSLSocket, whose handshake is not done yet. The server's is
    done before the function, unless ``handshake`` is false.
    """
    clients = []

    def start(function, *, kind="tcp", version=None, handshake=True):
        server, peer = pair(kind)
        context = gevent_ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        if version is not None:
            context.minimum_version = context.maximum_version = version

        def run():
            channel = TLSChannel(server, certificate.context)
            try:
                if handshake:
                    shake_hands(channel)
                return function(channel)
            finally:
                channel.close()

        greenlet = gevent.spawn(run)
        peer.socket = context.wrap_socket(
            peer.socket,
            server_hostname="here",
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        clients.append(peer.socket)
        return greenlet, peer.socket

    yield start
    for client in clients:
        client.close()


def shake_hands(channel, timeout=DEADLINE, turn=bool):
    channel.handshake(monotonic() + timeout, turn)


def read_exactly(channel, size):
    """What ``receive`` brings until it is so much."""
    data = b""
    while len(data) < size:
        received = channel.receive(DEADLINE)
        assert received, "end of stream"
        assert received <= RECEIVE_SIZE
        data += Channel.buffer[:received]
    return data


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
SIZES = pytest.mark.parametrize(
    "size", [1, 100, 16_383, 16_384, 16_385, 40_000, RECEIVE_SIZE, RECEIVE_SIZE + 1, 3_000_000]
)


@VERSIONS
@SIZES
def test_what_the_peer_sends_arrives(tls_pair, version, size):
    data = os.urandom(size)
    serving, client = tls_pair(lambda channel: read_exactly(channel, size), version=version)
    client.sendall(data)
    same = serving.get(timeout=DEADLINE) == data
    assert same


@VERSIONS
@SIZES
def test_what_is_sent_arrives(tls_pair, version, size):
    data = os.urandom(size)
    serving, client = tls_pair(
        lambda channel: channel.send([data[: size // 3], b"", data[size // 3 :]], DEADLINE),
        version=version,
    )
    client.do_handshake()
    received = b""
    while len(received) < size:
        received += client.recv(1 << 20)
    same = received == data
    assert same
    assert serving.get(timeout=DEADLINE) == size


@pytest.mark.parametrize("record", [1, 1000, 16_384])
def test_many_records_at_once_are_received_together(tls_pair, record):
    data = os.urandom(10 * record)
    seen = []

    def serve(channel):
        channel.receive(DEADLINE)  # the byte that ends the handshake
        begun.set()
        assert go.wait(DEADLINE)
        size = channel.receive(DEADLINE)
        seen.append(bytes(Channel.buffer[:size]))
        return data[:size] == seen[0]

    begun, go = gevent.event.Event(), gevent.event.Event()
    serving, client = tls_pair(serve, kind="unix")
    client.sendall(b"x")
    assert begun.wait(DEADLINE)
    for start in range(0, len(data), record):
        client.sendall(data[start : start + record])
    go.set()
    assert serving.get(timeout=DEADLINE)
    assert seen[0] == data


def test_close_notify_is_the_end_of_the_stream_again_and_again(tls_pair):
    def serve(channel):
        assert read_exactly(channel, 4) == b"last"
        ends = [channel.receive(DEADLINE) for _ in range(3)]
        channel.send([b"still heard"], DEADLINE)
        return ends

    serving, client = tls_pair(serve)
    client.sendall(b"last")
    with pytest.raises(ssl.SSLError):  # application data after close notify
        client.unwrap()
    assert serving.get(timeout=DEADLINE) == [0, 0, 0]


def test_an_end_of_the_socket_is_the_end_of_the_stream(tls_pair):
    serving, client = tls_pair(lambda channel: channel.receive(DEADLINE))
    client.do_handshake()
    client.close()
    assert serving.get(timeout=DEADLINE) == 0


@pytest.mark.parametrize("end", ["finish", "close"])
def test_the_peer_gets_close_notify_behind_the_last_bytes(tls_pair, end):
    def serve(channel):
        channel.receive(DEADLINE)
        channel.send([b"last"], DEADLINE)
        channel.finish(DEADLINE) if end == "finish" else channel.close()
        channel.close()

    serving, client = tls_pair(serve)
    client.sendall(b"x")
    assert client.recv(100) == b"last"
    assert client.recv(100) == b""
    client.close()
    serving.get(timeout=DEADLINE)


def test_finish_throws_away_what_the_peer_still_sends(tls_pair):
    def serve(channel):
        channel.receive(DEADLINE)
        channel.finish(DEADLINE)

    serving, client = tls_pair(serve)
    client.sendall(b"x")
    client.sendall(bytes(1 << 20))
    assert client.recv(100) == b""
    client.close()
    serving.get(timeout=DEADLINE)


def test_a_time_out(tls_pair):
    def serve(channel):
        with pytest.raises(TimeoutError):
            channel.receive(0.01)
        return True

    serving, client = tls_pair(serve)
    client.do_handshake()
    assert serving.get(timeout=DEADLINE)


def test_a_handshake_has_a_deadline_that_no_byte_puts_off(pair, certificate):
    def serve():
        channel = TLSChannel(server, certificate.context)
        with pytest.raises(TimeoutError):
            shake_hands(channel, 0.3)
        channel.close()

    server, peer = pair("tcp")
    serving = gevent.spawn(serve)
    # The beginning of a record that never is whole.
    peer.send(b"\x16\x03\x01\x40\x00\x01")
    with gevent.Timeout(DEADLINE):
        while not serving.ready():
            with suppress(ConnectionError):
                peer.send(b"x")
            gevent.sleep(0.02)
    serving.get()
    with suppress(ConnectionResetError):
        assert peer.read_to_end()[:1] in {b"\x15", b""}, "something that is not of TLS"


def test_each_step_of_a_handshake_waits_for_its_turn(tls_pair):
    turns = []

    def serve(channel):
        shake_hands(channel, turn=lambda: turns.append(bytes(channel.buffer[:1])))
        return read_exactly(channel, 1)

    serving, client = tls_pair(serve, handshake=False)
    client.sendall(b"x")
    assert serving.get(timeout=DEADLINE) == b"x"
    assert len(turns) == 2


def test_an_end_in_the_handshake(tls_pair):
    def serve(channel):
        with pytest.raises(ConnectionResetError, match="TLS handshake"):
            shake_hands(channel)
        return True

    serving, client = tls_pair(serve, handshake=False)
    client.close()
    assert serving.get(timeout=DEADLINE)


def test_a_peer_that_does_not_read_is_a_time_out(tls_pair):
    def serve(channel):
        channel.receive(DEADLINE)
        with pytest.raises(TimeoutError):
            channel.send([bytes(1 << 24)], 0.01)
        return True

    serving, client = tls_pair(serve)
    client.sendall(b"x")
    assert serving.get(timeout=DEADLINE)


def test_an_interrupt(tls_pair):
    def serve(channel):
        channel.receive(DEADLINE)
        channel.interrupt()
        with pytest.raises(Interrupted):
            channel.receive(DEADLINE)
        return True

    serving, client = tls_pair(serve)
    client.sendall(b"x")
    assert serving.get(timeout=DEADLINE)


def test_plain_http_is_told_apart_and_can_be_answered(pair, certificate):
    def serve():
        channel = TLSChannel(server, certificate.context)
        with pytest.raises(PlainHTTP):
            shake_hands(channel)
        channel.send([b"answer"], DEADLINE)
        channel.finish(DEADLINE)

    server, peer = pair("tcp")
    serving = gevent.spawn(serve)
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    peer.end_output()
    assert peer.read_to_end() == b"answer"
    serving.get(timeout=DEADLINE)


def test_rubbish_is_answered_by_an_alert(pair, certificate):
    def serve():
        channel = TLSChannel(server, certificate.context)
        with pytest.raises(ssl.SSLError):
            shake_hands(channel)
        channel.finish(DEADLINE)

    server, peer = pair("tcp")
    serving = gevent.spawn(serve)
    peer.send(b"\x16\x03\x01\x00\x05rubbish, and more of it")
    peer.end_output()
    assert peer.read_to_end()[:1] in {b"\x15", b""}
    serving.get(timeout=DEADLINE)


def test_nothing_is_left_in_the_buffers(tls_pair):
    def serve(channel):
        read_exactly(channel, 5_000_000)
        channel.send([bytes(5_000_000)], DEADLINE)
        return channel._incoming.pending, channel._outgoing.pending

    serving, client = tls_pair(serve)
    client.sendall(bytes(5_000_000))
    received = 0
    while received < 5_000_000:
        received += len(client.recv(1 << 20))
    assert serving.get(timeout=DEADLINE) == (0, 0)


def test_a_record_that_cannot_be_decrypted_is_the_end(tls_pair):
    greenlet, client = tls_pair(lambda channel: channel.receive(DEADLINE))
    client.do_handshake()
    with gevent_socket.socket(fileno=client.detach()) as plain:
        plain.sendall(bytes.fromhex("1703030010") + bytes(16))
        with pytest.raises(ssl.SSLError):
            greenlet.get(timeout=DEADLINE)
