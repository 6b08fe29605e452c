"""--redis-url: any process tells of the connections of all; and Redis disturbs no echo."""

import json
import signal
import socket
from contextlib import ExitStack
from time import monotonic, sleep

import pytest
from redis import Redis

from echo.redis_records import EXPIRY, PREFIX
from tests.e2e.programs import RedisServer
from tests.e2e.raw_client import Frame, RawClient, http_request, open_websocket, upgrade_request
from tests.e2e.server_process import DEADLINE
from tests.wire import CLOSE, TEXT, close_frame, frame

DROPPED = "records of connections dropped, as Redis took none: "


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path) as redis:
        yield redis


@pytest.fixture
def nodes(start_server, redis):
    """Two servers that share a Redis."""
    return [start_server("--redis-url", redis.url) for _ in range(2)]


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(scope="module")
def shared_nodes(module_servers, shared_redis):
    """Two servers that share a Redis, for tests that leave all three as they are."""
    return [module_servers("--redis-url", shared_redis.url) for _ in range(2)]


def connection_id(number):
    return f"connection-of-a-test-{number}"


def ask(server, number):
    """The answer to who asks for a connection."""
    with RawClient(server) as client:
        headers = [("Host", "x"), ("Connection", "close")]
        path = f"/ws/connections/{connection_id(number)}"
        client.send(http_request(path=path, headers=headers))
        return client.read_response()


def wait_for(server, number, state="closed"):
    """The record of a connection, once it is in this state."""
    deadline = monotonic() + DEADLINE
    while True:
        response = ask(server, number)
        if response.status == 200 and (record := json.loads(response.body))["state"] == state:
            return record
        assert monotonic() < deadline, response
        sleep(0.02)


def echo(client, text="still here"):
    client.send(frame(TEXT, text))
    assert client.read_frame() == Frame(TEXT, text.encode())


def open_with_id(server, stack, number):
    client = stack.enter_context(RawClient(server))
    client.upgrade(path=f"/ws/echo?echo-id={connection_id(number)}")
    return client


def close(client, code=1000):
    client.send(close_frame(code))
    assert client.read_close() == code


def test_any_process_tells_how_a_connection_ended(shared_nodes):
    with ExitStack() as stack:
        client = open_with_id(shared_nodes[0], stack, 1)
        echo(client)
        close(client, 4321)
    own, other = (wait_for(node, 1) for node in shared_nodes)
    assert own == other
    assert (other["peer"], other["code"], other["cause"]) == (client.address, 4321, "peer-close")
    assert (other["messages_in"], other["messages_out"]) == (1, 1)


def test_any_process_tells_why_a_handshake_was_refused(shared_nodes):
    with RawClient(shared_nodes[0]) as client:
        path = f"/ws/echo?echo-id={connection_id(6)}"
        client.send(upgrade_request(shared_nodes[0].port, path=path, origin="https://a.example"))
        assert client.read_response().status == 403
    own, other = (wait_for(node, 6, "refused") for node in shared_nodes)
    assert own == other
    assert (other["peer"], other["status"]) == (client.address, 403)
    assert ["Origin", "https://a.example"] in other["headers"]


def test_any_process_tells_of_an_open_connection_as_it_began(shared_nodes):
    with ExitStack() as stack:
        client = open_with_id(shared_nodes[0], stack, 2)
        echo(client)
        assert wait_for(shared_nodes[0], 2, "open")["messages_in"] == 1
        other = wait_for(shared_nodes[1], 2, "open")
        assert (other["peer"], other["messages_in"]) == (client.address, 0)
        close(client)


def test_records_expire(shared_nodes, shared_redis):
    with ExitStack() as stack:
        close(open_with_id(shared_nodes[0], stack, 3))
    wait_for(shared_nodes[1], 3)
    with Redis.from_url(shared_redis.url) as client:
        assert EXPIRY - DEADLINE < client.ttl(PREFIX + connection_id(3)) <= EXPIRY


def test_what_nobody_knows_is_404(shared_nodes, echo_server):
    shared, alone = ask(shared_nodes[0], 4), ask(echo_server, 4)
    assert (shared.status, alone.status) == (404, 404)
    assert "No process knows a connection of that id" in shared.text
    assert "another one may" in alone.text


def test_a_server_that_stops_leaves_the_records_of_all_its_connections(nodes):
    many = 200
    with ExitStack() as stack:
        clients = [open_with_id(nodes[0], stack, number) for number in range(many)]
        nodes[0].process.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.read_frame() == Frame(CLOSE, b"\x03\xe9going away")
            client.send(close_frame(1001))
            client.read_end()
            client.sock.close()
        nodes[0].stop(number=0)
    for number in range(many):
        record = json.loads(ask(nodes[1], number).body)
        assert (record["cause"], record["code"]) == ("shutdown", 1001)


def stop(redis):
    redis.stop()


def suspend(redis):
    redis.process.send_signal(signal.SIGSTOP)


def restart(redis):
    redis.start()


def resume(redis):
    redis.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(("take", "give_back"), [(stop, restart), (suspend, resume)])
def test_echoing_goes_on_without_redis(nodes, redis, take, give_back):
    with ExitStack() as stack:
        steady = [stack.enter_context(open_websocket(node)) for node in nodes]
        close(open_with_id(nodes[0], stack, 1))
        wait_for(nodes[1], 1)
        take(redis)
        for number in range(2, 12):
            client = open_with_id(nodes[0], stack, number)
            for one in (client, *steady):
                echo(one)
            close(client)
        assert wait_for(nodes[0], 2)["code"] == 1000
        response = ask(nodes[1], 2)
        assert response.status == 503
        assert "Records of other processes are unavailable now" in response.text
        # Where Redis is and what ails it is for the log alone.
        assert "127.0.0.1" not in response.text
        assert "Redis" not in response.text
        nodes[1].stderr.wait_for_line("^cannot look up records of connections in Redis: .+")
        nodes[0].stderr.wait_for_line(DROPPED)
        for client in steady:
            echo(client)
        give_back(redis)
        number = 12
        while ask(nodes[1], number - 1).status != 200:
            close(open_with_id(nodes[0], stack, number))
            number += 1
            sleep(0.05)
        for client in steady:
            echo(client)
            close(client)
    assert len(nodes[0].stderr.matching(DROPPED)) == 1


def test_it_starts_and_stops_without_redis(start_server, redis):
    redis.stop()
    server = start_server("--redis-url", redis.url)
    with ExitStack() as stack:
        client = open_with_id(server, stack, 1)
        echo(client)
        close(client)
    server.stop()
    assert server.stderr.matching(rf"{DROPPED}\d.*Connection refused")


def test_lookups_in_a_suspended_redis_hold_nobody_up(nodes, redis):
    """More of them than there are threads to wait."""
    redis.process.send_signal(signal.SIGSTOP)
    with ExitStack() as stack:
        askers = [stack.enter_context(RawClient(nodes[0])) for _ in range(50)]
        request = http_request(path=f"/ws/connections/{connection_id(1)}", headers=[("Host", "x")])
        for client in askers:
            client.send(request)
        with open_websocket(nodes[0]) as client:
            for _ in range(100):
                echo(client)
            close(client)
        for client in askers:
            assert client.read_response().status == 503
    redis.process.send_signal(signal.SIGCONT)


def lists(redis):
    """Something else has our key."""
    with Redis.from_url(redis.url) as client:
        client.delete(PREFIX + connection_id(5))
        client.rpush(PREFIX + connection_id(5), "a list")


def other_json(redis):
    with Redis.from_url(redis.url) as client:
        client.set(PREFIX + connection_id(5), '{"colour": "red"}')


def no_json(redis):
    with Redis.from_url(redis.url) as client:
        client.set(PREFIX + connection_id(5), b"\xff")


@pytest.mark.parametrize("spoil", [lists, other_json, no_json])
def test_what_is_no_record_is_none(shared_nodes, shared_redis, spoil):
    spoil(shared_redis)
    assert ask(shared_nodes[0], 5).status == 503


def assert_undisturbed(server, reason):
    with ExitStack() as stack:
        client = open_with_id(server, stack, 1)
        echo(client)
        close(client)
    server.stderr.wait_for_line(rf"{DROPPED}\d+: .*{reason}")
    assert ask(server, 2).status == 503


def test_a_redis_that_asks_for_a_password(start_server, tmp_path):
    with RedisServer(tmp_path, "--requirepass", "right-password") as redis:
        url = redis.url.replace("//", "//:wrong-password@")
        server = start_server("--redis-url", url)
        assert_undisturbed(server, "invalid username-password pair")
        assert not server.stderr.matching("wrong-password")


def test_a_redis_without_memory(start_server, tmp_path):
    with RedisServer(tmp_path, "--maxmemory", "1") as redis:
        server = start_server("--redis-url", redis.url)
        with ExitStack() as stack:
            close(open_with_id(server, stack, 1))
        server.stderr.wait_for_line(rf"{DROPPED}\d+: .*used memory > 'maxmemory'")


def test_another_service_in_the_place_of_redis(start_server, echo_server):
    server = start_server("--redis-url", f"redis://127.0.0.1:{echo_server.port}")
    assert_undisturbed(server, "")


def test_a_listener_that_never_answers(start_server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        server = start_server("--redis-url", url)
        assert_undisturbed(server, "Timeout")
        server.stop()
