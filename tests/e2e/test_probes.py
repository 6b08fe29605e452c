"""/healthz and /readyz: what an orchestrator and a load balancer ask."""

import signal
from contextlib import ExitStack, suppress

import pytest

from tests.e2e.raw_client import RawClient, http_request, open_websocket


def probe(client, path):
    """The answer to a request; the connection is kept."""
    client.send(http_request(path=path, headers=[("Host", "probe")]))
    return client.read_response()


@pytest.mark.parametrize(("path", "text"), [("/healthz", "alive\n"), ("/readyz", "ready\n")])
def test_a_server_is_alive_and_ready(echo_server, path, text):
    with RawClient(echo_server) as client:
        response = probe(client, path)
        assert (response.status, response.text) == (200, text)
        client.send(http_request("HEAD", path, headers=[("Host", "probe")]))
        assert client.read_response(to_head=True).status == 200
        client.send(http_request("OPTIONS", path, headers=[("Host", "probe")]))
        assert client.read_response().status == 200
        client.send(http_request("DELETE", path, headers=[("Host", "probe")]))
        assert client.read_response().status == 405


def test_at_capacity_it_is_alive_but_not_ready(start_server):
    server = start_server("--max-connections", "3")
    with ExitStack() as stack:
        kept = stack.enter_context(RawClient(server))
        assert probe(kept, "/readyz").status == 200
        with ExitStack() as full:
            for _ in range(2):
                full.enter_context(open_websocket(server))
            response = probe(kept, "/readyz")
            assert response.status == 503
            assert response.text == "This server takes no further connections for now.\n"
            assert probe(kept, "/healthz").status == 200
            with RawClient(server) as new:
                assert new.read_response().status == 503
        server.stderr.wait_for_line(r" closed: ")
        server.stderr.wait_for_line(r" closed: ", after=server.stderr.position - 1)
        assert probe(kept, "/readyz").status == 200


def test_a_stopping_server_is_not_ready(start_server):
    """Asked behind requests that are still answered, on a connection from before the signal."""
    server = start_server("--shutdown-timeout", "1000")
    with RawClient(server, receive_buffer=4096) as client:
        page = http_request(path="/static/js/app/main.js", headers=[("Host", "probe")])
        asked = 400  # more than the kernel keeps for who does not read
        client.send(
            page * asked,
            *(
                http_request(path=path, headers=[("Host", "probe")])
                for path in ("/healthz", "/readyz")
            ),
        )
        assert client.read_response().status == 200
        server.process.send_signal(signal.SIGTERM)
        with suppress(ConnectionRefusedError):
            while True:
                with RawClient(server) as other, suppress(OSError):
                    other.read_end()
        assert server.process.poll() is None
        for _ in range(asked - 1):
            assert client.read_response().status == 200
        assert client.read_response().text == "alive\n"
        assert client.read_response().status == 503
        client.read_end()
    server.stop(number=0)
