"""Real sockets for the tests of ``echo.net``, and the check that each test cleans up behind itself.

The server's end is a gevent socket, in a greenlet of this process; the client's end is a Peer, in
the test's greenlet or in a thread of the operating system. Nothing is patched.
"""

import gc
import re
import socket
import struct
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import gevent
import pytest
from gevent import socket as gevent_socket
from gevent.event import Event
from gevent.threadpool import ThreadPool
from greenlet import greenlet

from echo.net.channel import Channel
from echo.net.connection import Connection
from echo.net.events import Events
from echo.net.http import Exchange
from echo.net.limits import Limits
from echo.net.server import HTTPServer
from echo.net.upgrade import upgrade
from echo.protocol.budget import ReceiveBudget
from echo.protocol.errors import ConnectionLost, HandshakeError
from echo.protocol.handshake import HandshakePolicy
from tests import wire

#: Seconds after which something that should happen has not.
DEADLINE = 30.0


def _alive():
    """What runs or is open in this process: greenlets, threads, descriptors."""
    greenlets = {
        id(thing): thing
        for thing in gc.get_objects()
        if issubclass(type(thing), greenlet) and thing and not thing.dead
    }
    descriptors = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that reads this folder
            descriptors.add((link.name, str(link.readlink())))
    return greenlets, set(Path("/proc/self/task").iterdir()), descriptors


@pytest.fixture(autouse=True, scope="module")
def only_new_objects():
    """What is there before a file's tests is not looked through for leaks by each of them."""
    gevent.get_hub()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_leaks(only_new_objects):
    """Fails a test that leaves a greenlet, a thread or a descriptor behind."""
    gevent.idle()
    before = _alive()
    yield
    deadline = monotonic() + 5.0
    while True:
        gevent.sleep(0)
        now = _alive()
        # A thread that was told to end takes a moment to do so.
        leaked = [now[0][key] for key in now[0].keys() - before[0].keys()]
        leaked += [*(now[1] - before[1]), *(now[2] - before[2])]
        if not leaked:
            return
        if monotonic() > deadline:
            pytest.fail(f"left behind by the test: {leaked}")
        del now, leaked
        gc.collect()
        gevent.sleep(0.01)


def _tcp_pair(host="127.0.0.1", family=socket.AF_INET):
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
    return server, client


PAIRS = {
    "tcp": _tcp_pair,
    "tcp6": lambda: _tcp_pair("::1", socket.AF_INET6),
    "unix": socket.socketpair,
    # What one send takes, one receive gives: the writes of the server can be counted.
    "packets": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET),
}


class Peer:
    """The client's end of a connection: bytes as they are."""

    #: The greenlet that serves the other end, where there is one.
    server = None

    def __init__(self, sock):
        self.socket = sock
        sock.settimeout(DEADLINE)

    #: A frame as a client sends it.
    frame = staticmethod(wire.frame)

    @staticmethod
    def answer(opcode, payload=b""):
        """A frame as the server sends it: not masked."""
        return wire.frame(opcode, payload, key=b"")

    def send(self, data):
        self.socket.sendall(data)

    def read(self, size):
        """The next ``size`` bytes; fewer only at the end of the stream."""
        pieces = []
        while size and (piece := self.socket.recv(min(size, 1 << 20))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def read_to_end(self):
        """All bytes until the server ends the stream. Raises OSError when it is reset."""
        return self.read(1 << 40)

    def read_packets(self):
        """What the server sent until it ended the stream, each of its writes by itself."""
        return list(iter(lambda: self.socket.recv(1 << 20), b""))

    def at_hand(self):
        """What has arrived, without waiting; b"" for nothing. Raises EOFError at the end."""
        self.socket.settimeout(0.0)
        try:
            if arrived := self.socket.recv(1 << 24):
                return arrived
            raise EOFError("the server has ended the stream")
        except BlockingIOError:
            return b""
        finally:
            self.socket.settimeout(DEADLINE)

    def end_output(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        """End the connection as a crashed peer does, by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    @contextmanager
    def flooding(self, data):
        """Send without pause: whenever the server looks, there is more."""
        self.socket.settimeout(0.0)

        def refill():
            with suppress(OSError):
                self.socket.send(data)

        watcher = gevent.get_hub().loop.prepare()
        watcher.start(refill)
        try:
            yield
        finally:
            watcher.stop()
            watcher.close()
            self.socket.settimeout(DEADLINE)

    def result(self):
        """Wait for the greenlet that serves this connection: what it returned or raised."""
        return self.server.get(timeout=DEADLINE)


@pytest.fixture
def pair():
    """``pair(kind)`` gives a gevent socket for the server and a Peer.

    With ``blocking`` the Peer blocks its thread, otherwise its greenlet.
    """
    peers = []

    def pair(kind="unix", *, blocking=False):
        server, client = PAIRS[kind]()
        if not blocking:
            client = gevent_socket.socket(fileno=client.detach())
        peers.append(Peer(client))
        return gevent_socket.socket(fileno=server.detach()), peers[-1]

    yield pair
    for peer in peers:
        peer.close()


@pytest.fixture
def in_thread():
    """``in_thread(function, *arguments)``: in a thread of the operating system; ``get`` waits."""
    pool = ThreadPool(8)
    yield pool.spawn
    pool.kill()


def echo(connection):
    """The loop of the service."""
    with connection:
        while True:
            connection.write_message(*connection.read_message())
    return connection


@pytest.fixture
def serve(pair):
    """``serve(handler)`` runs a handler on a new connection, in a greenlet, and gives the Peer."""
    peers = []

    def serve(
        handler=echo,
        kind="tcp",
        *,
        blocking=False,
        received=b"",
        max_message_size=1 << 24,
        deflate=None,
        **limits,
    ):
        sock, peer = pair(kind, blocking=blocking)

        def run():
            return handler(
                Connection(
                    Channel(sock),
                    peer="x:1",
                    limits=Limits(max_message_size=max_message_size, **limits),
                    budget=ReceiveBudget(max_message_size),
                    deflate=deflate,
                    received=received,
                )
            )

        peer.server = gevent.spawn(run)
        peers.append(peer)
        return peer

    yield serve
    for peer in peers:
        peer.close()
    gevent.joinall([peer.server for peer in peers], timeout=DEADLINE)
    stuck = [peer.server for peer in peers if not peer.server.dead]
    gevent.killall(stuck, timeout=DEADLINE)
    assert not stuck, "a connection outlives its peer"


class Log(list):
    """The lines that a server has logged."""

    def __init__(self):
        super().__init__()
        self._news = Event()

    def closed(self, record):
        self._add(str(record))

    def answered(self, answer):
        line = f'{answer.peer} "{answer.request}" {answer.status} {answer.reason}'
        self._add(line.rstrip())

    def tls_failed(self, peer, reason):
        self._add(f"{peer} TLS: {reason}")

    def notice(self, text):
        self._add(text)

    fault = notice

    def _add(self, line):
        self.append(line)
        self._news.set()

    def wait(self, count):
        """Wait until there are ``count`` lines."""
        while len(self) < count:
            self._news.clear()
            assert self._news.wait(DEADLINE), f"no further line after {list(self)}"


def application(environ, start_response):
    """An echo, as a WSGI application."""
    try:
        with upgrade(environ, HandshakePolicy()) as connection:
            while True:
                connection.write_message(*connection.read_message())
    except HandshakeError as refusal:
        Exchange.of(environ).refusal = str(refusal)
        start_response(f"{refusal.status} No", [("Content-Type", "text/plain"), *refusal.headers])
        return [str(refusal).encode()]
    except ConnectionLost as lost:
        start_response("500 Nobody There", [])
        return [str(lost).encode()]
    return []


class Service:
    """An HTTPServer on a port of its own."""

    #: A handshake that asks for ``/``, and its answer.
    HANDSHAKE = (
        b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
    )
    SWITCHED = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n"
        b"X-Connection-Id: ----------------------\r\n\r\n"
    )

    def __init__(self, app, host, limits):
        self.log = Log()
        self.server = HTTPServer((host, 0), app, Events.to(self.log), limits=limits)
        self.peers = []

    def connect(self):
        """A Peer that is connected and has sent nothing."""
        sock = gevent_socket.socket(self.server.family)
        self.peers.append(Peer(sock))
        host, port = self.server.address[:2]
        sock.connect(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port))
        return self.peers[-1]

    def open(self, request=HANDSHAKE):
        """A Peer whose opening handshake is done."""
        peer = self.connect()
        peer.send(request)
        assert self.without_id(peer.read(len(self.SWITCHED))) == self.SWITCHED
        return peer

    @staticmethod
    def without_id(data):
        """The bytes with hyphens for the id of a connection, as in SWITCHED."""
        return re.sub(rb"(X-Connection-Id: )[\w-]{22}(?=\r\n)", rb"\1" + 22 * b"-", data)

    def join(self):
        """Wait until no connection is served any more."""
        assert self.server.pool.join(DEADLINE), "a connection is still served"


@pytest.fixture
def service(capfd):
    """``service(application, host)`` starts a server; nothing may be printed but what is read."""
    services = []

    def start(app=application, host="127.0.0.1", **limits):
        services.append(Service(app, host, Limits(**limits)))
        services[-1].server.start()
        return services[-1]

    yield start
    for one in services:
        for peer in one.peers:
            peer.close()
        one.join()
        one.server.stop()
    assert capfd.readouterr() == ("", "")
