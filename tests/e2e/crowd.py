"""A thousand peers of one server in one thread: sockets that do not block, and a selector."""

import resource
import selectors
import socket
import time

from tests.e2e.raw_client import ACCEPT, upgrade_request
from tests.e2e.server_process import DEADLINE


class Peer:
    """A connection of a Crowd.

    Attributes:
        sock: the socket; closed as soon as its stream has ended.
        received: what has come and was not taken away.
        ended: None while the connection is there, then how it ended: "end" of stream or "reset".
    """

    def __init__(self, sock):
        self.sock = sock
        self.received = bytearray()
        self.ended = None

    def send(self, data):
        """Send a little, which the kernel takes at once."""
        sent = self.sock.send(data)
        assert sent == len(data)


class Crowd:
    """Many peers; a context manager that in the end closes those that are left.

    Attributes:
        peers: all of them.
    """

    def __init__(self, server):
        self.peers = []
        self._server = server
        self._selector = selectors.DefaultSelector()
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)

    def __enter__(self):
        # Many systems let a process have 1,024 descriptors unless it asks for more.
        _, hard = self._limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return self

    def __exit__(self, *_):
        for peer in self.peers:
            peer.sock.close()
        self._selector.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)

    def join(self, count, data=b"", *, receive_buffer=None):
        """So many more peers, each of which sends ``data``.

        ``receive_buffer``: bytes that the kernel may keep for each to read.
        """
        peers = []
        for _ in range(count):
            sock = socket.socket()
            peer = Peer(sock)
            self.peers.append(peer)
            peers.append(peer)
            sock.settimeout(DEADLINE)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect((self._server.host, self._server.port))
            sock.sendall(data)
            sock.setblocking(False)
        self.start_reading(peers)
        return peers

    def join_websockets(self, count, **options):
        """So many more peers whose opening handshake is done; the options are those of ``join``."""
        peers = self.join(count, upgrade_request(self._server.port), **options)
        self.wait_until(lambda peer: b"\r\n\r\n" in peer.received, peers)
        for peer in peers:
            head = bytes(peer.received)
            assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"), head
            assert head.endswith(b"\r\n\r\n"), head
            assert f"\r\nSec-WebSocket-Accept: {ACCEPT}\r\n".encode() in head
            peer.received.clear()
        return peers

    def start_reading(self, peers):
        """From now on ``receive`` reads from these peers, as it does from the start."""
        for peer in peers:
            self._selector.register(peer.sock, selectors.EVENT_READ, peer)

    def stop_reading(self, peers):
        """From now on ``receive`` leaves these peers alone."""
        for peer in peers:
            self._selector.unregister(peer.sock)

    def receive(self, timeout):
        """Take what has come; wait for it, at most ``timeout`` seconds."""
        for key, _ in self._selector.select(timeout):
            peer = key.data
            try:
                data = peer.sock.recv(1 << 20)
            except ConnectionResetError:
                peer.ended = "reset"
            else:
                peer.received += data
                if data:
                    continue
                peer.ended = "end"
            self._selector.unregister(peer.sock)
            peer.sock.close()

    def wait_until(self, condition, peers=None):
        """Receive until ``condition(peer)`` holds for each of the peers, by default for all."""
        deadline = time.monotonic() + DEADLINE
        left = self.peers if peers is None else peers
        while left := [peer for peer in left if not condition(peer)]:
            assert time.monotonic() < deadline, f"{len(left)} are waited for, {vars(left[0])}"
            self.receive(0.1)
