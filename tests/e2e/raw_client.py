"""A WebSocket client on a bare socket: sends any bytes, and takes only what the RFCs allow."""

import re
import socket
import struct
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple

from tests.e2e.server_process import DEADLINE
from tests.wire import CLOSE

KEY = "x3JJHMbDL1EzLkh9GBhXDw=="
ACCEPT = "HSmrc0sMlYUkAGmm5OPpG2HaGWk="


class Response(NamedTuple):
    """An HTTP response; header names are in lower case."""

    status: int
    phrase: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name):
        """The value of a header field that is there once; None for one that is not."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode()


class Frame(NamedTuple):
    """A frame that the server sent."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def http_request(method="GET", path="/ws/echo", *, version="HTTP/1.1", headers=()):
    """The bytes of a request."""
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def upgrade_request(port, method="GET", path="/ws/echo", *, version="HTTP/1.1", **changes):
    """The bytes of a good opening handshake, less what is changed.

    A change's name is the header field's in lower case with ``_`` for ``-``; its value replaces the
    field, or each of a list's is sent in a field of its own; None leaves the field out.
    """
    fields = {
        "host": f"127.0.0.1:{port}",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_key": KEY,
        "sec_websocket_version": "13",
    }
    headers = []
    for name, value in (fields | changes).items():
        values = value if isinstance(value, list) else [value]
        headers += [(name.replace("_", "-").title(), v) for v in values if v is not None]
    return http_request(method, path, version=version, headers=headers)


#: The names of RFC 9110 where Python's are still those of before.
PHRASES = {413: "Content Too Large", 414: "URI Too Long"}


class RawClient:
    """A TCP connection to a ServerProcess; a context manager.

    Attributes:
        sock: the connected socket, with a time-out.
        address: its own ``host:port``, as the server's logs have it.
    """

    def __init__(self, server, timeout=DEADLINE, receive_buffer=None):
        """``receive_buffer``: bytes that the kernel may keep for the client to read."""
        self._server = server
        self._log_position = server.stderr.position
        self._received = bytearray()
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock.connect((server.host, server.port))
            self.address = "{}:{}".format(*self.sock.getsockname())
            if server.tls is not None:
                self.sock = server.tls.wrap_socket(
                    self.sock, server_hostname=server.host, suppress_ragged_eofs=False
                )
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, *pieces):
        """Send bytes, all in one go."""
        self.sock.sendall(b"".join(pieces))

    def send_each_byte(self, data):
        """Send bytes, each in a segment of its own."""
        for position in range(len(data)):
            self.sock.sendall(data[position : position + 1])

    def send_end(self):
        """Send the end of the stream."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Close with a reset instead of an end of the stream."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def upgrade(self, behind=b"", **changes):
        """Send an opening handshake, and bytes behind it; take the 101."""
        self.send(upgrade_request(self._server.port, **changes), behind)
        response = self.read_response()
        assert response.status == 101, response
        assert response.header("Sec-WebSocket-Accept") == ACCEPT
        return response

    def read_response(self, *, to_head=False):
        """Read one HTTP response with a Content-Length, or a 101; ``to_head``: one to HEAD."""
        head = self._read_until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) ([ -~]*)", status_line)
        assert match, status_line
        headers = []
        for line in lines:
            field = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([!-~]([ -~]*[!-~])?)", line)
            assert field, f"{line!r} is not a header field"
            headers.append((field[1].lower(), field[2]))
        response = Response(int(match[1]), match[2], headers, b"")
        assert response.header("Transfer-Encoding") is None
        length = response.header("Content-Length")
        if response.status == 101:
            assert length is None
            return response
        assert length is not None, response
        assert re.fullmatch(r"\d+", length), length
        return response if to_head else response._replace(body=self._read(int(length)))

    def read_refusal(self, request_line, *statuses, to_head=False):
        """Read a refusal and the end of the stream: whole, with a reason, one line in the log."""
        response = self.read_response(to_head=to_head)
        status = response.status
        assert status in statuses, response
        phrase = PHRASES.get(status, HTTPStatus(status).phrase)
        assert response.phrase.lower() == phrase.lower()
        assert response.header("Content-Type") == "text/plain; charset=utf-8"
        self.send_end()
        self.read_end()
        start, _, reason = self.log_line().partition(f" {status} ")
        assert start == f'"{request_line}"'
        assert 10 < len(reason) < 250
        assert to_head or response.text.splitlines()[0] == reason
        return response

    def read_frame(self):
        """Read one frame, which must be unmasked and have its length in the fewest bytes."""
        first, second = self._read(2)
        assert not second & 0x80, "the server masked a frame"
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", self._read(2))
            assert length >= 126
        elif second == 127:
            (length,) = struct.unpack("!Q", self._read(8))
            assert 1 << 16 <= length < 1 << 63
        opcode = first & 0xF
        if opcode & 8:
            assert second <= 125
        return Frame(opcode, self._read(length), bool(first & 0x80), first & 0x70)

    def read_close(self):
        """Read a close frame, then the end of the stream; the code, None without one."""
        opcode, payload, fin, rsv = self.read_frame()
        assert (opcode, fin, rsv) == (CLOSE, True, 0), (opcode, payload)
        self.read_end()
        if not payload:
            return None
        payload[2:].decode()
        return int.from_bytes(payload[:2])

    def read_end(self):
        """Read the end of the stream: nothing may come before it, and no reset."""
        assert not self._received, bytes(self._received)
        rest = self.sock.recv(1 << 16)
        assert rest == b"", rest

    def log_line(self):
        """The one line of the server's log for this connection, less its address and figures."""
        pattern = rf"^{re.escape(self.address)} "
        log = self._server.stderr
        log.wait_for_line(pattern, after=self._log_position)
        wait_for_logs(self._server)
        (line,) = log.matching(pattern, self._log_position)
        return line.removeprefix(f"{self.address} ").split(", after ")[0]

    def _read(self, size):
        """Exactly so many bytes."""
        while len(self._received) < size:
            self._receive()
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _read_until(self, mark):
        while mark not in self._received:
            self._receive()
        data, _, self._received = self._received.partition(mark)
        return bytes(data)

    def _receive(self):
        data = self.sock.recv(1 << 20)
        assert data, f"end of stream after {bytes(self._received[:1000])!r}"
        self._received += data


@contextmanager
def open_websocket(server, behind=b"", **options):
    """A RawClient whose opening handshake is done, with bytes sent in one go behind the request.

    The options are those of RawClient.
    """
    with RawClient(server, **options) as client:
        client.upgrade(behind)
        yield client


def wait_for_logs(server):
    """Wait until whatever the server has logged on stderr by now has arrived."""
    position = server.stderr.position
    with RawClient(server) as client:
        host = f"{server.host}:{server.port}"
        client.send(http_request(path="/fence", headers=[("Host", host), ("Connection", "close")]))
        assert client.read_response().status == 404
        server.stderr.wait_for_line(rf'^{re.escape(client.address)} "GET /fence', after=position)
