"""Many connections at once, each with blocking calls in an operating-system thread of its own."""

import random
import re
from contextlib import ExitStack
from threading import Barrier, Thread

import pytest
import websocket
from websockets.sync.client import connect

from tests.wire import BINARY, CLOSE, TEXT

THREADS = 200

#: Seconds for any one call: only a hang takes so long, with hundreds of threads on one processor.
PATIENCE = 120

#: Every thread sends each of these once, and small ones besides; every tenth a large one too.
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537]
LARGE = 1 << 20
SMALL_MESSAGES = 50

TEXTS = "".join(
    random.Random(0).choices("aZ 0\n\0é\u07ff\u20ac\uffff\U0001f600", k=1 << 20)
).encode()


class WebSocketClient:
    """A connection of websocket-client; a context manager."""

    def __init__(self, url):
        # Its own check of UTF-8 takes a second for a mebibyte; the comparison sees the same.
        self._websocket = websocket.create_connection(
            url, timeout=PATIENCE, skip_utf8_validation=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._websocket.shutdown()

    def send(self, opcode, payload):
        self._websocket.send(payload, opcode)

    def receive(self):
        return self._websocket.recv_data()

    def close(self):
        """Close with 4321; give the code of the answer."""
        self._websocket.send_close(4321)
        opcode, payload = self._websocket.recv_data(control_frame=True)
        assert opcode == CLOSE
        return int.from_bytes(payload[:2])


class WebsocketsClient:
    """A connection of websockets' threading client; a context manager."""

    def __init__(self, url):
        self._connecting = connect(
            url,
            compression=None,
            max_size=None,
            open_timeout=PATIENCE,
            ping_interval=None,
            close_timeout=PATIENCE,
            proxy=None,
        )

    def __enter__(self):
        self._connection = self._connecting.__enter__()
        return self

    def __exit__(self, *error):
        self._connecting.__exit__(*error)

    def send(self, opcode, payload):
        self._connection.send(payload, text=opcode == TEXT)

    def receive(self):
        message = self._connection.recv(timeout=PATIENCE)
        if isinstance(message, str):
            return TEXT, message.encode()
        return BINARY, message

    def close(self):
        """Close with 4321; give the code of the answer."""
        self._connection.close(4321)
        return self._connection.protocol.close_rcvd.code


clients = pytest.mark.parametrize("client_class", [WebSocketClient, WebsocketsClient])


def random_message(rng, size):
    """An opcode and a payload of so many bytes."""
    if rng.random() < 0.5:
        return BINARY, rng.randbytes(size)
    start = rng.randrange(len(TEXTS) - size + 1)
    text = TEXTS[start : start + size].decode("utf-8", "ignore").encode()
    return TEXT, text + b"x" * (size - len(text))


def random_messages(rng, number):
    sizes = SIZES + [LARGE] * (number % 10 == 0)
    sizes += [
        rng.randrange(rng.choices([200, 4000, 40_000], [90, 9, 1])[0])
        for _ in range(SMALL_MESSAGES)
    ]
    rng.shuffle(sizes)
    return (random_message(rng, size) for size in sizes)


class Threads:
    """Threads that start together; whatever one raises is collected."""

    def __init__(self, number):
        self.failures = []
        self._barrier = Barrier(number, timeout=PATIENCE)
        self._threads = []

    def start(self, target, *arguments):
        thread = Thread(target=self._run, args=(target, *arguments))
        self._threads.append(thread)
        thread.start()

    def wait_for_all(self):
        """Called by each thread when it is ready to go."""
        self._barrier.wait()

    def join(self):
        for thread in self._threads:
            thread.join()

    def _run(self, target, *arguments):
        try:
            target(*arguments)
        except BaseException as error:  # noqa: BLE001
            self.failures.append(f"{arguments}: {error!r}")
            self._barrier.abort()


@clients
def test_a_thread_for_each_connection(start_server, client_class):
    server = start_server()
    seed = random.randrange(1 << 32)
    threads = Threads(THREADS)
    echoed = []

    def converse(number):
        rng = random.Random(seed + number)
        with client_class(server.websocket_url) as client:
            threads.wait_for_all()
            for count, (opcode, payload) in enumerate(random_messages(rng, number)):
                client.send(opcode, payload)
                echo_opcode, echo = client.receive()
                if (echo_opcode, echo) != (opcode, payload):
                    raise AssertionError(
                        f"message {count}, opcode {opcode}, {len(payload)} bytes, came back "
                        f"with opcode {echo_opcode}, {len(echo)} bytes"
                    )
                echoed.append(len(payload))
            assert client.close() == 4321

    for number in range(THREADS):
        threads.start(converse, number)
    threads.join()

    assert not threads.failures, f"seed {seed}: {threads.failures}"
    assert len(echoed) == THREADS * (len(SIZES) + SMALL_MESSAGES) + THREADS // 10
    for size in SIZES:
        assert echoed.count(size) >= THREADS
    assert echoed.count(LARGE) == THREADS // 10
    check_logs(server, messages=len(echoed))


def check_logs(server, messages):
    """Each message is on stdout or counted as dropped; each connection has its line on stderr."""
    server.stop()
    logged = len(server.stdout.matching(r"^127\.0\.0\.1:\d+ sent: "))
    dropped = [re.search(r"\((\d+) log lines dropped", line) for line in server.stdout.lines]
    assert logged + sum(int(match[1]) for match in dropped if match) == messages
    closed = r"^127\.0\.0\.1:\d+ closed: 4321, ended by the peer, "
    assert len(server.stderr.matching(closed)) == THREADS
    assert server.stderr.position == THREADS


@clients
def test_one_thread_sends_while_another_reads(echo_server, client_class):
    """Pipelined: the sender does not wait for echoes, and they come in order."""
    seed = random.randrange(1 << 32)
    threads = Threads(4)

    def messages(number):
        rng = random.Random(seed + number)
        return (random_message(rng, rng.choice([0, 5, 125, 126, 3000])) for _ in range(2000))

    def send(number, client):
        threads.wait_for_all()
        for message in messages(number):
            client.send(*message)

    def read(number, client):
        threads.wait_for_all()
        for count, message in enumerate(messages(number)):
            if client.receive() != message:
                raise AssertionError(f"message {count} did not come back")

    with ExitStack() as stack:
        connections = [
            stack.enter_context(client_class(echo_server.websocket_url)) for _ in range(2)
        ]
        for number, client in enumerate(connections):
            threads.start(send, number, client)
            threads.start(read, number, client)
        threads.join()
        assert not threads.failures, f"seed {seed}: {threads.failures}"
        assert [client.close() for client in connections] == [4321, 4321]
