"""Two nodes behind the real nginx, by the configuration that is deploy/nginx.conf."""

import asyncio
import json
import re

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.programs import Nginx
from tests.e2e.raw_client import RawClient, http_request, upgrade_request
from tests.e2e.server_process import DEADLINE, ROOT

#: Clients at one time.
MANY = 500

#: Clients of a rolling restart.
ROLLING = 50

#: Echoes that each client gets before and after one of the nodes stops.
ROUNDS = 5


def substitute(text, replacements):
    """``text`` with each of the given pieces replaced; each must be there, and once."""
    for old, new in replacements.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def nodes(start_server):
    options = ("--trust-proxy", "1", "--shutdown-timeout", str(DEADLINE))
    return [start_server(*options) for _ in range(2)]


def nginx_in_front_of(nodes, folder):
    """Nginx in front of two nodes; ``url`` and the others are as those of a ServerProcess."""

    def configuration(port):
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        return substitute(
            (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8"),
            {
                "pid /run/nginx.pid;": f"pid {folder}/nginx.pid;",
                "error_log /var/log/nginx/error.log;": f"error_log {folder}/error.log;",
                "access_log /var/log/nginx/access.log;": f"{temporary}access_log off;",
                "listen 8080;": f"listen 127.0.0.1:{port};",
                "127.0.0.1:8001": f"127.0.0.1:{nodes[0].port}",
                "127.0.0.1:8002": f"127.0.0.1:{nodes[1].port}",
            },
        )

    return Nginx(folder, configuration)


@pytest.fixture
def nginx(nodes, tmp_path):
    with nginx_in_front_of(nodes, tmp_path) as nginx:
        yield nginx


class Client:
    """Sends numbered messages, one after the other, and connects anew when it is told 1001.

    Attributes:
        echoed: the numbers that came back, in their order.
        codes: with which close codes the server has ended connections.
        warm: set when there have been some echoes.
    """

    def __init__(self, url, name):
        self._url = url
        self._name = name
        self._websocket = None
        self.echoed = []
        self.codes = []
        self.warm = asyncio.Event()

    async def open(self):
        self._websocket = await connect(
            self._url, proxy=None, compression=None, open_timeout=2 * DEADLINE, ping_interval=None
        )

    async def echo(self):
        """Send the next number until it comes back."""
        number = len(self.echoed)
        while len(self.echoed) == number:
            try:
                await self._websocket.send(f"{self._name} {number}")
                name, echoed = (await self._websocket.recv()).split()
            except ConnectionClosed as closed:
                self.codes.append(closed.rcvd and closed.rcvd.code)
                await self.open()
            else:
                assert name == self._name
                self.echoed.append(int(echoed))
        if len(self.echoed) == ROUNDS:
            self.warm.set()

    async def echo_until(self, done):
        """Go on until ``done`` is set, then for some rounds more."""
        rounds = 0
        while rounds < ROUNDS:
            await self.echo()
            rounds += done.is_set()

    async def close(self):
        """Close; nothing more may have come."""
        await self._websocket.close()
        assert [message async for message in self._websocket] == []


async def stop_under_load(url, nodes):
    """500 clients echo without a pause while the first node stops; gives the clients."""
    clients = [Client(url, f"client-{number}") for number in range(MANY)]
    for client in clients:
        await client.open()
    stopped = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.echo_until(stopped))
        for client in clients:
            await client.warm.wait()
        await asyncio.to_thread(nodes[0].stop)
        stopped.set()
    for client in clients:
        await client.close()
    return clients


def test_a_node_stops_under_load_and_no_echo_is_lost_or_doubled(nodes, nginx):
    clients = asyncio.run(stop_under_load(f"ws://127.0.0.1:{nginx.port}/ws/echo", nodes))
    for client in clients:
        assert client.echoed == list(range(len(client.echoed)))
    assert {tuple(client.codes) for client in clients} == {(), (1001,)}
    moved = sum(len(client.codes) for client in clients)
    # Spread evenly: what nginx takes for a node's load may lag behind by a few.
    assert abs(moved - MANY // 2) <= MANY // 10
    (first, second) = nodes
    assert len(first.stderr.matching(r" closed: 1001 \(going away\), ended by the server")) == moved
    second.stop()
    assert len(second.stderr.matching(r" closed: 1000, ended by the peer")) == MANY
    # Each message that a node has read was echoed, and each echo has arrived.
    counts = [
        re.search(r"received (\d+) messages? .*sent (\d+) message", line).groups()
        for line in first.stderr.matching(" closed: ") + second.stderr.matching(" closed: ")
    ]
    echoed = sum(len(client.echoed) for client in clients)
    assert [sum(map(int, column)) for column in zip(*counts, strict=True)] == [echoed, echoed]


def test_nodes_know_the_client_and_the_page_may_connect(nodes, nginx):
    nginx.host, nginx.stderr = "127.0.0.1", nodes[0].stderr
    origin = f"http://127.0.0.1:{nginx.port}"
    with RawClient(nginx) as client:
        client.send(
            upgrade_request(
                nginx.port,
                path="/ws/inspect",
                origin=origin,
                x_forwarded_for="203.0.113.7",
                x_forwarded_host="evil.example",
                x_forwarded_proto="gopher",
            )
        )
        assert client.read_response().status == 101
        report = json.loads(client.read_frame().payload)
    assert report["peer"] == "127.0.0.1"
    assert report["forwarded"] == [
        ["X-Forwarded-For", "203.0.113.7, 127.0.0.1"],
        ["X-Forwarded-Proto", "http"],
        ["X-Forwarded-Host", f"127.0.0.1:{nginx.port}"],
    ]
    with RawClient(nginx) as client:
        client.send(
            upgrade_request(
                nginx.port, origin="http://evil.example", x_forwarded_host="evil.example"
            )
        )
        assert client.read_response().status == 403
    with RawClient(nginx) as client:
        client.send(http_request(headers=[("Host", f"127.0.0.1:{nginx.port}")]))
        assert f"open {origin}/ws/echo_display" in client.read_response().text


# ---- A rolling restart


async def roll(url, nodes):
    """Clients echo without a pause while one node after the other is started again.

    After each start every client gets an echo again. Gives the clients.
    """
    clients = [Client(url, f"client-{number}") for number in range(ROLLING)]
    for client in clients:
        await client.open()
    async with asyncio.TaskGroup() as group:
        over = asyncio.Event()
        for client in clients:
            group.create_task(client.echo_until(over))
        for client in clients:
            await client.warm.wait()
        for node in nodes:
            await asyncio.to_thread(node.stop)
            await asyncio.to_thread(node.start)
            before = [len(client.echoed) for client in clients]
            async with asyncio.timeout(DEADLINE):
                while any(len(c.echoed) == n for c, n in zip(clients, before, strict=True)):
                    await asyncio.sleep(0.01)
        over.set()
    for client in clients:
        await client.close()
    return clients


def test_a_rolling_restart_leaves_every_client_with_a_node(nodes, nginx):
    """Connecting raises for any status but 101, so there is no 502 at any time."""
    clients = asyncio.run(roll(f"ws://127.0.0.1:{nginx.port}/ws/echo", nodes))
    for client in clients:
        assert client.echoed == list(range(len(client.echoed)))
        assert set(client.codes) == {1001}


@pytest.mark.parametrize(
    "path", ["/metrics", "/%6detrics", "/./metrics", "//metrics", "/metrics?x"]
)
def test_metrics_are_not_handed_on(start_server, tmp_path, path):
    node = start_server("--metrics", "on", "--trust-proxy", "1")
    with nginx_in_front_of([node, node], tmp_path) as nginx:
        nginx.host, nginx.stderr = "127.0.0.1", node.stderr
        with RawClient(nginx) as client:
            client.send(http_request(path=path, headers=[("Host", "x"), ("Connection", "close")]))
            assert client.read_response().status == 404
