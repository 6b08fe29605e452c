"""/ws/connections/<id>: what is known of a connection while it lives and after its end."""

import json
import re
from contextlib import contextmanager

import pytest

from tests.e2e.raw_client import RawClient, http_request, upgrade_request
from tests.wire import PONG, TEXT, close_frame, frame, frame_header

CHOSEN = "an-id_0123456789ABCDEF"


def get(server, connection_id):
    with RawClient(server) as client:
        path = f"/ws/connections/{connection_id}"
        client.send(http_request(path=path, headers=[("Host", "x"), ("Connection", "close")]))
        return client.read_response()


def known(server, connection_id):
    response = get(server, connection_id)
    assert (response.status, response.header("Content-Type")) == (200, "application/json")
    return json.loads(response.text)


@contextmanager
def opened(server, **changes):
    with RawClient(server) as client:
        yield client, client.upgrade(**changes).header("X-Connection-Id")


def after(server, client, connection_id):
    """The post-mortem, once the log has told of the end, for which the server waits for ours."""
    client.sock.close()
    client.log_line()
    record = known(server, connection_id)
    assert record["state"] == "closed"
    return record


def end_of(record):
    return record["ended_by"], record["cause"], record["code"], record["code_name"]


def test_an_open_connection(echo_server):
    with opened(echo_server) as (client, one):
        client.send(frame(TEXT, b"hello"))
        client.read_frame()
        record = known(echo_server, one)
        assert record["id"] == one
        assert (record["state"], record["peer"], record["path"]) == (
            "open",
            client.address,
            "/ws/echo",
        )
        assert end_of(record) == (None, None, None, None)
        assert (record["messages_in"], record["messages_out"]) == (1, 1)
        assert (record["bytes_in"], record["bytes_out"]) == (11, 7)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["began"])
        assert record["duration_ms"] > 0


def test_a_close_of_the_peer(echo_server):
    with opened(echo_server) as (client, one):
        client.send(close_frame(4001, b"enough"))
        assert client.read_close() == 4001
        record = after(echo_server, client, one)
        assert end_of(record) == ("peer", "peer-close", 4001, None)
        assert record["reason"] == "enough"


def test_an_end_of_the_stream(echo_server):
    with opened(echo_server) as (client, one):
        client.send_end()
        client.read_end()
        record = after(echo_server, client, one)
        assert end_of(record) == ("peer", "end-of-stream", 1006, "ABNORMAL_CLOSURE")


def test_a_reset(echo_server):
    with opened(echo_server) as (client, one):
        client.reset()
        assert end_of(after(echo_server, client, one))[:3] == ("peer", "reset", 1006)


@pytest.mark.parametrize(
    ("sent", "cause", "code"),
    [
        (frame(TEXT, b"x", key=b""), "violation", 1002),
        (frame(TEXT, b"\xff"), "violation", 1007),
        (frame_header(TEXT, 1 << 40), "limit", 1009),
    ],
)
def test_a_broken_rule(echo_server, sent, cause, code):
    with opened(echo_server) as (client, one):
        client.send(sent)
        assert client.read_close() == code
        record = after(echo_server, client, one)
        assert end_of(record)[:3] == ("server", cause, code)
        assert record["reason"]


def test_a_ping_without_an_answer_and_one_with(start_server):
    server = start_server("--ping-interval", "0.2", "--ping-timeout", "1")
    with opened(server) as (client, one):
        assert client.read_frame().opcode == 9
        client.send(frame(PONG))
        assert client.read_frame().opcode == 9
        assert known(server, one)["last_round_trip_ms"] > 0
        assert client.read_close() == 1011
        record = after(server, client, one)
        assert end_of(record) == ("server", "ping-timeout", 1011, "INTERNAL_ERROR")


def test_a_client_may_choose_the_id(echo_server):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(echo_server.port, path=f"/ws/echo?echo-id={CHOSEN}"))
        assert client.read_response().header("X-Connection-Id") == CHOSEN
        assert known(echo_server, CHOSEN)["peer"] == client.address
        with RawClient(echo_server) as other:
            other.send(upgrade_request(echo_server.port, path=f"/ws/inspect?echo-id={CHOSEN}"))
            response = other.read_response()
            assert response.status == 400
            assert "names a connection that is open: choose another" in response.text
    client.log_line()
    assert known(echo_server, CHOSEN)["state"] == "closed"


def test_a_thousand_connections_of_another_client_hide_no_post_mortem(start_server):
    server = start_server("--trust-proxy", "1")
    with RawClient(server) as client:
        client.upgrade(path=f"/ws/echo?echo-id={CHOSEN}", x_forwarded_for="192.0.2.1")
        client.send(close_frame(4001))
        assert client.read_close() == 4001
    for _ in range(1001):
        with opened(server, x_forwarded_for="192.0.2.2") as (other, _):
            other.reset()
    server.stderr.wait_for_lines(r"^192\.0\.2\.2 closed: ", 1001)
    record = known(server, CHOSEN)
    assert (record["peer"], record["code"]) == ("192.0.2.1", 4001)


@pytest.mark.parametrize("chosen", ["", "short", "a" * 21, "a" * 65, "a" * 21 + ".", "%00" * 22])
def test_an_id_that_could_be_guessed_or_is_none_is_refused(echo_server, chosen):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(echo_server.port, path=f"/ws/echo?echo-id={chosen}"))
        response = client.read_response()
        assert response.status == 400
        assert "22 to 64" in response.text


@pytest.mark.parametrize("unknown", ["x" * 22, "short", "%0d%0aX:%20y", "a" * 5000])
def test_an_unknown_id_is_not_found(echo_server, unknown):
    response = get(echo_server, unknown)
    assert (response.status, response.header("Content-Type")) == (404, "text/plain; charset=utf-8")


def test_ids_do_not_repeat_and_are_long(echo_server):
    ids = set()
    for _ in range(50):
        with opened(echo_server) as (_, one):
            ids.add(one)
    assert len(ids) == 50
    assert all(len(one) == 22 for one in ids)
