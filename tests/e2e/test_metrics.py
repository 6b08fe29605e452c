"""/metrics: real server processes, and what they count of real connections."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from echo import metrics_files
from tests.e2e.raw_client import Frame, RawClient, http_request, open_websocket, upgrade_request
from tests.e2e.server_process import DEADLINE, ROOT, run_command
from tests.wire import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame

ON = ("--metrics", "on")

NO_METRICS = "serving without metrics, which cannot be shared"


@pytest.fixture
def server(start_server):
    return start_server(*ON)


def figures(server):
    """The samples of /metrics: ``name{label=value,...}`` with sorted labels, and the value."""
    with urlopen(f"{server.url}/metrics", timeout=DEADLINE) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = list(text_string_to_metric_families(response.read().decode()))
    return {name(sample): sample.value for family in families for sample in family.samples}


def name(sample):
    labels = ",".join(f"{label}={value}" for label, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def wait_for(server, what, value):
    """Ask until a figure has a value; gives all of them."""
    for _ in range(1000):
        shown = figures(server)
        if shown.get(what) == value:
            return shown
    pytest.fail(f"{what} is {shown.get(what)} and not {value}: {shown}")


def metrics_status(server):
    """The status of /metrics."""
    try:
        with urlopen(f"{server.url}/metrics", timeout=DEADLINE) as response:
            return response.status
    except HTTPError as error:
        return error.code


def echo(client, opcode, payload):
    client.send(frame(opcode, payload))
    assert client.read_frame().opcode == opcode


def closed(code, ended_by, cause):
    return f"echo_connections_closed_total{{cause={cause},code={code},ended_by={ended_by}}}"


def test_there_is_no_such_page_by_default(start_server):
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{start_server().url}/metrics", timeout=DEADLINE)


def test_messages_by_kind_and_size(server):
    with open_websocket(server) as client:
        for size in (0, 1, 64, 65, 125, 126, 65_535):
            echo(client, TEXT, "x" * size)
        for size in (65_536, 70_000, 1 << 18):
            echo(client, BINARY, bytes(size))
        client.send(frame(BINARY, bytes(100), fin=False), frame(CONTINUATION, bytes(50)))
        assert client.read_frame().opcode == BINARY
        shown = figures(server)
    text, binary = 0 + 1 + 64 + 65 + 125 + 126 + 65_535, 65_536 + 70_000 + (1 << 18) + 150
    for direction in ("in", "out"):
        assert shown[f"echo_messages_total{{direction={direction},kind=text}}"] == 7
        assert shown[f"echo_messages_total{{direction={direction},kind=binary}}"] == 4
        assert shown[f"echo_message_bytes_total{{direction={direction},kind=text}}"] == text
        assert shown[f"echo_message_bytes_total{{direction={direction},kind=binary}}"] == binary
    sizes = {
        (kind, le): shown[f"echo_message_size_bytes_bucket{{kind={kind},le={le}}}"]
        for kind in ("text", "binary")
        for le in ("64.0", "256.0", "65536.0", "262144.0", "+Inf")
    }
    assert sizes == {
        ("text", "64.0"): 3,
        ("text", "256.0"): 6,
        ("text", "65536.0"): 7,
        ("text", "262144.0"): 7,
        ("text", "+Inf"): 7,
        ("binary", "64.0"): 0,
        ("binary", "256.0"): 1,
        ("binary", "65536.0"): 2,
        ("binary", "262144.0"): 4,
        ("binary", "+Inf"): 4,
    }


def test_kinds_that_take_turns_in_one_receive(server):
    with open_websocket(server) as client:
        client.send(*(frame((TEXT, BINARY)[n % 2], b"x" * n) for n in range(100)))
        for n in range(100):
            assert client.read_frame() == Frame((TEXT, BINARY)[n % 2], b"x" * n)
        shown = figures(server)
    for direction in ("in", "out"):
        for kind, first in (("text", 0), ("binary", 1)):
            labels = f"{{direction={direction},kind={kind}}}"
            assert shown[f"echo_messages_total{labels}"] == 50
            assert shown[f"echo_message_bytes_total{labels}"] == sum(range(first, 100, 2))


def test_compressed_messages_count_as_they_are_inflated(server):
    with RawClient(server) as client:
        client.upgrade(sec_websocket_extensions="permessage-deflate")
        echo(client, TEXT, "x" * 10_000)
        shown = figures(server)
    for direction in ("in", "out"):
        labels = f"{{direction={direction},kind=text}}"
        assert shown[f"echo_message_bytes_total{labels}"] == 10_000


def test_connections_by_how_they_ended(server):
    with open_websocket(server) as one:
        assert figures(server)["echo_connections_open"] == 1
        one.send(close_frame(1000))
        assert one.read_close() == 1000
    with open_websocket(server) as violator:
        violator.send(frame(TEXT, b"\xff"))
        assert violator.read_close() == 1007
    with open_websocket(server) as gone:
        gone.send_end()
        gone.read_end()
    shown = wait_for(server, "echo_connections_open", 0)
    assert shown["echo_connections_total"] == 3
    assert shown[closed(1000, "peer", "peer-close")] == 1
    assert shown[closed(1007, "server", "violation")] == 1
    assert shown[closed(1006, "peer", "end-of-stream")] == 1


def test_codes_that_peers_make_up_are_one_label(server):
    for code in (3000, 3999, 4000, 4999):
        with open_websocket(server) as client:
            client.send(close_frame(code))
            assert client.read_close() == code
    shown = wait_for(server, closed("other", "peer", "peer-close"), 4)
    assert sum(name.startswith("echo_connections_closed_total") for name in shown) == 1


def test_refusals_by_their_reason(server):
    host = f"127.0.0.1:{server.port}"
    requests = {
        "UpgradeRequired": http_request(path="/ws/echo", headers=[("Host", host)]),
        "ForbiddenOrigin": upgrade_request(server.port, origin="http://evil.example"),
        "MalformedRequest": b"NONSENSE\r\n\r\n",
        "404": http_request(path="/made-up-by-a-peer", headers=[("Host", host)]),
    }
    for request in requests.values():
        with RawClient(server) as client:
            client.send(request)
            assert client.read_response().status >= 400
    for reason in requests:
        wait_for(server, f"echo_refused_total{{reason={reason}}}", 1)


def test_a_connection_too_many_is_counted(start_server):
    server = start_server(*ON, "--max-connections", "1")
    with RawClient(server) as first:
        with RawClient(server) as second:
            assert second.read_response().status == 503
        request = http_request(path="/metrics", headers=[("Host", "x")])
        first.send(request)
        page = first.read_response().text
    assert 'echo_refused_total{reason="TooManyConnections"} 1.0' in page


def test_round_trips_of_pings_and_the_delay_of_the_loop(start_server):
    server = start_server(*ON, "--ping-interval", "0.1")
    with open_websocket(server) as client:
        ping = client.read_frame()
        assert ping.opcode == PING
        client.send(frame(PONG, ping.payload))
        wait_for(server, "echo_ping_round_trip_seconds_count", 1)
    for _ in range(1000):
        shown = figures(server)
        if shown["echo_event_loop_delay_seconds_count"]:
            break
    assert shown["echo_event_loop_delay_seconds_count"] > 0


def test_dropped_log_lines_are_counted(server):
    server.stdout.pause()
    with open_websocket(server) as client:
        for _ in range(30):
            client.send(*(frame(TEXT, "x" * 90) for _ in range(1000)))
            for _ in range(1000):
                client.read_frame()
    assert figures(server)["echo_log_lines_dropped_total"] > 0
    server.stdout.resume()


# ---- Several processes that share a directory


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """The environment of processes that share their figures; this one starts them."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}


def test_each_process_shows_the_figures_of_all(start_server, shared):
    one, other = (start_server(*ON, environment=shared) for _ in range(2))
    with open_websocket(one) as first, open_websocket(other) as second:
        echo(first, TEXT, "one")
        echo(second, BINARY, b"other")
        for server in (one, other):
            wait_for(server, "echo_connections_open", 2)
            wait_for(server, "echo_messages_total{direction=out,kind=text}", 1)
            wait_for(server, "echo_message_bytes_total{direction=in,kind=binary}", 5)
            wait_for(server, "echo_message_size_bytes_bucket{kind=binary,le=64.0}", 1)


def test_a_process_that_was_killed_is_forgotten_and_what_it_counted_stays(start_server, shared):
    one = start_server(*ON, environment=shared)
    process = subprocess.Popen(
        [sys.executable, "server.py", "--port", "0", *ON],
        cwd=ROOT,
        env=os.environ | shared,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        process.stdout.readline()
        port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        victim = type(
            "Victim", (), {"host": "127.0.0.1", "port": port, "stderr": one.stderr, "tls": None}
        )
        with open_websocket(victim):
            wait_for(one, "echo_connections_open", 1)
            process.kill()
    metrics_files.forget(process.pid)
    shown = wait_for(one, "echo_connections_open", 0)
    assert shown["echo_connections_total"] == 1


def test_the_directory_is_made_and_emptied(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(path))
    metrics_files.prepare()
    (path / "counter_1.db").write_bytes(b"old")
    (path / "other").write_bytes(b"not its own")
    metrics_files.prepare()
    assert (path / "counter_1.db").exists()
    metrics_files.clear()
    assert [file.name for file in path.iterdir()] == ["other"]


def test_without_a_name_for_it_a_directory_is_made(tmp_path, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # Set and deleted by the test, so that it is gone afterwards.
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    metrics_files.prepare()
    path = metrics_files.directory()
    assert path.parent == tmp_path
    metrics_files.prepare()
    assert metrics_files.directory() == path
    path.rmdir()
    metrics_files.prepare()
    assert metrics_files.directory().is_dir()
    assert metrics_files.directory() != path


def test_nothing_is_forgotten_where_nothing_is_shared(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics_files.forget(1)


# ---- gunicorn's workers


def workers(start_server, environment=None):
    server = start_server("--workers", "2", *ON, environment=environment)
    return server, server.wait_for_workers(2)


def test_each_worker_shows_the_figures_of_all(start_server, tmp_path):
    (tmp_path / "counter_1.db").write_bytes(b"of a former life, and not even a proper file")
    server, _ = workers(start_server, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)})
    with ExitStack() as stack:
        for _ in range(20):
            echo(stack.enter_context(open_websocket(server)), TEXT, "x")
        wait_for(server, "echo_connections_open", 20)
        shown = wait_for(server, "echo_messages_total{direction=in,kind=text}", 20)
        assert shown["echo_connections_total"] == 20
    wait_for(server, "echo_connections_open", 0)
    assert len(list(tmp_path.glob("gauge_livesum_*.db"))) == 2


def test_a_worker_that_was_killed_has_no_open_connections_and_its_counts_stay(start_server):
    server, pids = workers(start_server)
    victim = min(pids)
    with ExitStack() as stack:
        clients = [stack.enter_context(open_websocket(server)) for _ in range(20)]
        wait_for(server, "echo_connections_open", 20)
        os.kill(victim, signal.SIGKILL)
        server.wait_for_workers(2, besides={victim})
        living = 0
        for client in clients:
            with suppress(ConnectionError, AssertionError):
                echo(client, TEXT, "x")
                living += 1
        shown = wait_for(server, "echo_connections_open", living)
        assert shown["echo_connections_total"] == 20
    old = server.worker_ids()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_workers(2, besides=old)
    assert wait_for(server, "echo_connections_open", 0)["echo_connections_total"] == 20


def test_the_directory_of_its_own_goes_with_it(start_server, tmp_path):
    server, _ = workers(start_server, {"TMPDIR": str(tmp_path)})
    (directory,) = tmp_path.glob("echo-metrics-*")
    assert list(directory.glob("*.db"))
    server.stop()
    assert not directory.exists()


def test_a_gunicorn_that_takes_over_gets_a_directory_of_its_own():
    own = {"PROMETHEUS_MULTIPROC_DIR": "/tmp/echo-metrics-abc", "PORT": "1"}
    metrics_files.leave_out(own)
    assert own == {"PORT": "1"}
    named = {"PROMETHEUS_MULTIPROC_DIR": "/srv/metrics"}
    metrics_files.leave_out(named)
    assert named == {"PROMETHEUS_MULTIPROC_DIR": "/srv/metrics"}


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
@pytest.mark.parametrize("path", ["/dev/null", "/proc/nowhere"])
def test_metrics_that_cannot_be_shared_cost_the_metrics_alone(start_server, options, path):
    server = start_server(*options, *ON, environment={"PROMETHEUS_MULTIPROC_DIR": path})
    processes = server.wait_for_workers(2) if options else {server.process.pid}
    server.stderr.wait_for_lines(f"{NO_METRICS}.*{path}", len(processes))
    assert metrics_status(server) == 404
    with open_websocket(server) as client:
        echo(client, TEXT, "x")


def test_a_worker_that_finds_no_directory_serves_without_metrics(start_server, tmp_path):
    server, old = workers(start_server, {"TMPDIR": str(tmp_path)})
    (directory,) = tmp_path.glob("echo-metrics-*")
    shutil.rmtree(directory)
    for worker in old:
        os.kill(worker, signal.SIGKILL)
    server.wait_for_workers(2, besides=old)
    server.stderr.wait_for_lines(NO_METRICS, 2)
    assert metrics_status(server) == 404
    with open_websocket(server) as client:
        echo(client, TEXT, "x")


def test_a_hangup_makes_the_directory_again(start_server, tmp_path):
    server, old = workers(start_server, {"TMPDIR": str(tmp_path)})
    (directory,) = tmp_path.glob("echo-metrics-*")
    shutil.rmtree(directory)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_workers(2, besides=old)
    with open_websocket(server) as client:
        echo(client, TEXT, "x")
        wait_for(server, "echo_connections_open", 1)
    server.stop()
    assert not list(tmp_path.glob("echo-metrics-*"))


@pytest.mark.parametrize("take", [shutil.rmtree, lambda path: [f.unlink() for f in path.iterdir()]])
def test_a_process_whose_files_are_gone_does_not_show_an_empty_page(start_server, shared, take):
    server = start_server(*ON, environment=shared)
    assert metrics_status(server) == 200
    take(Path(shared["PROMETHEUS_MULTIPROC_DIR"]))
    assert metrics_status(server) == 500
    server.stderr.wait_for_line("/metrics .* 500 .*removed or emptied")


def test_a_second_service_on_a_taken_port_leaves_the_directory_alone(start_server, tmp_path):
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    server, _ = workers(start_server, shared)
    run_command("--workers", "2", "--port", str(server.port), *ON, environment=shared)
    with open_websocket(server) as client:
        echo(client, TEXT, "x")
        wait_for(server, "echo_connections_open", 1)
