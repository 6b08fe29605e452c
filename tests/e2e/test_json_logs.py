"""``--log-format json``: each line of standard output and standard error is one JSON object."""

import json
from datetime import datetime

import pytest

from echo.log_formats import FORMATS
from echo.logs import Logs
from tests.e2e.raw_client import RawClient, http_request, open_websocket, upgrade_request
from tests.pipes import DEADLINE, Pipe
from tests.wire import BINARY, TEXT, close_frame, frame

JSON = ("--log-format", "json")


@pytest.fixture
def server(start_server):
    return start_server(*JSON)


def entries(output, after=0):
    """The objects of an output's lines; each has the common fields."""
    found = [json.loads(line) for line in output.lines[after:]]
    for entry in found:
        assert datetime.fromisoformat(entry["at"]).utcoffset().total_seconds() == 0
        assert isinstance(entry["pid"], int)
    return found


def wait_for_entry(output, event):
    """The first entry of an event."""
    output.wait_for_line(f'"event": "{event}"')
    return next(entry for entry in entries(output) if entry["event"] == event)


def test_start_and_stop(server):
    server.stop()
    start, stop = entries(server.stdout)
    assert start["event"] == "start"
    assert start["page"] == f"{server.url}/ws/echo_display"
    assert start["websocket"] == server.websocket_url
    assert start["pid"] == server.process.pid
    assert stop["event"] == "stop"
    assert server.stderr.lines == []


def test_the_end_of_a_connection_has_its_id(server):
    chosen = "an-id-that-the-test-has-chosen"
    with RawClient(server) as client:
        client.send(upgrade_request(server.port, path=f"/ws/echo?echo-id={chosen}"))
        assert client.read_response().status == 101
        client.send(frame(TEXT, "hello"), close_frame(1000, b"bye"))
        assert client.read_frame().payload == b"hello"
        assert client.read_close() == 1000
    closed = wait_for_entry(server.stderr, "closed")
    expected = {
        "id": chosen,
        "peer": client.address,
        "path": "/ws/echo",
        "code": 1000,
        "cause": "peer-close",
        "ended_by": "peer",
        "reason": "bye",
        "messages_in": 1,
        "messages_out": 1,
    }
    assert {name: closed[name] for name in expected} == expected
    assert len(server.stderr.lines) == 1


def test_refusals_and_other_answers(server):
    with RawClient(server) as client:
        host = [("Host", f"127.0.0.1:{server.port}")]
        client.send(http_request(path="/ws/echo", headers=host))
        assert client.read_response().status == 426
        client.send(http_request(path="/ws/echo_display", headers=host))
        assert client.read_response().status == 200
        client.send(b"NONSENSE\x1b[m\r\n\r\n")
        assert client.read_response().status == 400
        client.send_end()
        client.read_end()
    wait_for_logs_in_json(server)
    first, second, third, *_ = entries(server.stderr)
    assert (first["event"], first["status"]) == ("refused", 426)
    assert first["request"] == "GET /ws/echo HTTP/1.1"
    assert "Upgrade" in first["reason"]
    assert (second["event"], second["status"], second["reason"]) == ("answered", 200, "")
    assert (third["event"], third["status"]) == ("refused", 400)
    assert {entry["peer"] for entry in (first, second, third)} == {client.address}


def wait_for_logs_in_json(server):
    with RawClient(server) as client:
        client.send(http_request(path="/fence", headers=[("Host", "x")]))
        assert client.read_response().status == 404
    server.stderr.wait_for_line("/fence")


def test_messages(server):
    text = 'Grüße "\\" \n{"event": "start"}\x1b[2J\u202e\U0001f600'
    with open_websocket(server) as client:
        for opcode, payload in (
            (TEXT, text),
            (TEXT, "é" * 513),
            (BINARY, b"\x00\xff"),
            (BINARY, bytes(70_000)),
        ):
            client.send(frame(opcode, payload))
            client.read_frame()
    server.stop()
    _, *messages, _ = entries(server.stdout)
    assert {message["event"] for message in messages} == {"message"}
    assert {message["peer"] for message in messages} == {client.address}
    kinds = [(message["kind"], message["bytes"], message["omitted"]) for message in messages]
    assert kinds == [
        ("text", len(text.encode()), 0),
        ("text", 1026, 2),
        ("binary", 2, 0),
        ("binary", 70_000, 69_968),
    ]
    assert messages[0]["text"] == text
    assert messages[1]["text"] == "é" * 512
    assert messages[2]["hex"] == "00ff"
    assert messages[3]["hex"] == "00" * 32
    for line in server.stdout.lines:
        assert line.isascii()
        assert line.isprintable()


def test_quiet_leaves_the_messages_out(start_server):
    server = start_server(*JSON, "--quiet")
    with open_websocket(server) as client:
        client.send(frame(TEXT, "hello"))
        client.read_frame()
    server.stop()
    assert [entry["event"] for entry in entries(server.stdout)] == ["start", "stop"]


def test_dropped_lines_are_an_object_too(server):
    server.stdout.pause()
    with open_websocket(server) as client:
        for _ in range(30):
            client.send(*(frame(TEXT, "x" * 50) for _ in range(1000)))
            for _ in range(1000):
                client.read_frame()
        server.stdout.resume()
        server.stdout.wait_for_line('"event": "dropped"')
        client.send(frame(TEXT, "the end"))
        server.stdout.wait_for_line("the end")
    server.stop()
    found = entries(server.stdout)
    dropped = sum(entry["lines"] for entry in found if entry["event"] == "dropped")
    assert dropped > 0
    assert sum(entry["event"] == "message" for entry in found) + dropped == 30_001


def test_a_fault_is_one_object_for_each_line_of_its_traceback():
    pipe = Pipe()
    logs = Logs(pipe.stream, pipe.stream, FORMATS["json"], quiet=True)
    logs.fault("Traceback:\n  here\n\nValueError: x\n")
    found = [json.loads(line) for line in pipe.lines(3)]
    logs.close(DEADLINE)
    assert pipe.rest() == b""
    assert [(entry["event"], entry["text"]) for entry in found] == [
        ("error", "Traceback:"),
        ("error", "  here"),
        ("error", "ValueError: x"),
    ]


def test_the_environment_can_ask_for_it(start_server):
    server = start_server(environment={"ECHO_LOG_FORMAT": "json"})
    server.stop()
    assert entries(server.stdout)[0]["event"] == "start"


def test_text_has_one_line_for_each_refusal_when_there_are_more_than_are_answered(start_server):
    """Whoever comes above the capacity is a line, told so or just closed."""
    server = start_server("--max-connections", "1")
    with RawClient(server):
        clients = [RawClient(server) for _ in range(100)]
        for client in clients:
            client.sock.recv(1)
        for client in clients:
            server.stderr.wait_for_line(f'^{client.address} "" 503 ')
            client.sock.close()
    server.stop()
    assert len(server.stderr.matching('"" 503 ')) == len(clients)
