"""What a connection costs a server besides its messages: memory while idle, time to open and close.

    idle.py memory PORT PID N        N connections that do nothing
    idle.py handshakes PORT PID N    N times, one after the other: connect, upgrade, close

Loopback only; Linux. Prints one line of JSON. The close is WebSocket's closing handshake, with a
close frame each way, or with the word ``handshakes-cut`` instead of ``handshakes`` just the end of
the TCP connection.
"""

import json
import socket
import sys
import time
from pathlib import Path

REQUEST = (
    "GET /ws/echo HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n{}\r\n"
)

#: "hello" in a masked frame and in its echo; a close frame with code 1000, masked.
HELLO, HELLO_ECHO = b"\x82\x85\0\0\0\0hello", b"\x82\x05hello"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"

#: How a close frame begins; not all servers answer with the code.
CLOSE_ECHO = b"\x88"

#: Connections that are opened before anything is measured.
WARM_UP = 200

#: Seconds in which the server comes to rest after the last event.
SETTLE = 0.5


def processor_ns(pid: int) -> int:
    """User and system time of a process with all its threads, in nanoseconds (Linux's clock id)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def ask(sock: socket.socket, frame: bytes, answer: bytes) -> None:
    """Send a frame; what comes must begin with the answer."""
    sock.sendall(frame)
    got = b""
    while len(got) < len(answer) and (data := sock.recv(4096)):
        got += data
    if not got.startswith(answer):
        raise SystemExit(f"idle.py: expected {answer!r}, got {got!r}")


def connect(port: int, extensions: str | None = None) -> tuple[socket.socket, str]:
    """A WebSocket whose opening handshake is done, with the head of the answer to it."""
    offer = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(REQUEST.format(port, offer).encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n") and (data := sock.recv(4096)):
        reply += data
    if b" 101 " not in reply:
        raise SystemExit(f"idle.py: the upgrade was answered with {reply!r}")
    return sock, reply.decode()


def used_once(port: int) -> socket.socket:
    """A WebSocket on which one message was echoed."""
    sock, _ = connect(port)
    ask(sock, HELLO, HELLO_ECHO)
    return sock


def is_open(sock: socket.socket) -> bool:
    """Whether the server has not ended the connection."""
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True


def memory(port: int, pid: int, count: int) -> dict[str, float]:
    """KiB that a connection adds to a server that has up to ``count``, after one message on each.

    The first WARM_UP connections do not count: with them comes what a server makes only once.
    """
    sockets = [used_once(port) for _ in range(WARM_UP)]
    time.sleep(SETTLE)
    before = resident_kib(pid)
    sockets += [used_once(port) for _ in range(count - WARM_UP)]
    time.sleep(SETTLE)
    after = resident_kib(pid)
    if not all(map(is_open, sockets)):
        raise SystemExit("idle.py: the server closed idle connections")
    return {"connections": count, "kib": (after - before) / (count - WARM_UP)}


def cycle(port: int, *, cut: bool) -> None:
    with connect(port)[0] as sock:
        if not cut:
            ask(sock, CLOSE, CLOSE_ECHO)


def handshakes(port: int, pid: int, count: int, *, cut: bool) -> dict[str, float]:
    """The server's processor microseconds per cycle, and cycles a second."""
    for _ in range(WARM_UP):
        cycle(port, cut=cut)
    time.sleep(SETTLE)
    used, begin = processor_ns(pid), time.perf_counter()
    for _ in range(count):
        cycle(port, cut=cut)
    seconds = time.perf_counter() - begin
    time.sleep(SETTLE)  # what the server does after the client's last step counts too
    used = processor_ns(pid) - used
    return {"messages": count, "rate": count / seconds, "server_us": used / count / 1e3}


def main() -> None:
    what, *numbers = sys.argv[1:]
    port, pid, count = map(int, numbers)
    if what == "memory":
        result = memory(port, pid, count)
    else:
        result = handshakes(port, pid, count, cut=what == "handshakes-cut")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
