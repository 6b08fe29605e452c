"""Workers that cannot start or hang, and what gunicorn's master then does for the others."""

import os
import shutil
import signal
import sys
import time

import pytest

from tests.e2e.raw_client import Frame, open_websocket
from tests.e2e.server_process import DEADLINE, ROOT, child_ids, run_command
from tests.wire import TEXT, close_frame, frame

NOT_STARTED = r"^gunicorn: a worker could not start: (.+); trying again in ([\d.]+) s$"


@pytest.fixture
def trouble(tmp_path):
    """The file that says what trouble new workers have; see inside/."""
    return tmp_path / "trouble"


@pytest.fixture
def troubled(trouble):
    """The environment in which the file is heeded."""
    folder = ROOT / "tests" / "e2e" / "inside" / "troubled_workers"
    return {"PYTHONPATH": str(folder), "TROUBLE": str(trouble)}


def assert_echoes(server):
    with open_websocket(server) as client:
        client.send(frame(TEXT, "hello"))
        assert client.read_frame() == Frame(TEXT, b"hello")
        client.send(close_frame(1000))
        assert client.read_close() == 1000


# ---- A worker that cannot start


def test_a_worker_that_cannot_start_is_tried_again_after_growing_pauses(
    start_server, trouble, troubled
):
    server = start_server("--workers", "2", environment=troubled)
    workers = server.wait_for_workers(2)
    trouble.write_text("memory")
    os.kill(min(workers), signal.SIGKILL)
    server.stderr.wait_for_lines(NOT_STARTED, 5)
    assert_echoes(server)
    trouble.unlink()
    server.wait_for_workers(2, besides={min(workers)})
    pauses = [float(line.split()[-2]) for line in server.stderr.matching(NOT_STARTED)]
    assert pauses[:5] == [0.5, 0.5, 1, 1, 2]
    # The next time it begins with short pauses.
    trouble.write_text("memory")
    before = server.stderr.position
    os.kill(max(workers), signal.SIGKILL)
    assert server.stderr.wait_for_line(NOT_STARTED, after=before)[2] == "0.5"
    trouble.unlink()
    server.wait_for_workers(2, besides={max(workers)})


@pytest.mark.parametrize(
    ("kind", "reason"), [("memory", "thread|memory"), ("kill", "it ended before it served")]
)
def test_the_service_ends_with_the_reason_when_no_worker_can_start(
    start_server, trouble, troubled, kind, reason
):
    server = start_server("--workers", "1", environment=troubled)
    (worker,) = server.wait_for_workers(1)
    assert_echoes(server)
    trouble.write_text(kind)
    os.kill(worker, signal.SIGKILL)
    server.stderr.wait_for_line(f"^gunicorn: no worker can start: .*({reason})")
    with pytest.raises(AssertionError, match="exit code 3"):
        server.stop(number=0)
    pauses = [float(line.split()[-2]) for line in server.stderr.matching(NOT_STARTED)]
    assert pauses == [0.5, 1, 2, 4]
    server.check()
    trouble.unlink()
    server.start()  # for the fixture, which ends a server in good order


def test_a_service_whose_workers_cannot_start_ends_at_once_with_one_line(trouble, troubled):
    trouble.write_text("memory")
    result = run_command("--workers", "2", "--port", "0", environment=troubled)
    assert result.returncode == 3
    (line,) = (line for line in result.stderr.splitlines() if "has trouble" not in line)
    assert line.startswith("gunicorn: no worker can start: ")


def test_a_master_without_its_temporary_folder_goes_on(start_server, tmp_path):
    """A file is made there for each worker, before there is a process."""
    folder = tmp_path / "folder"
    folder.mkdir()
    server = start_server("--workers", "2", environment={"TMPDIR": str(folder)})
    workers = server.wait_for_workers(2)
    shutil.rmtree(folder)
    os.kill(min(workers), signal.SIGKILL)
    server.stderr.wait_for_lines(NOT_STARTED, 2)
    assert_echoes(server)
    folder.mkdir()
    server.wait_for_workers(2, besides={min(workers)})


#: Runs a command so that it can start no thread: none has room for so large a stack.
WITHOUT_THREADS = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_STACK, (1 << 47, resource.RLIM_INFINITY))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize(("options", "status"), [((), 1), (("--workers", "2"), 3)])
def test_no_threads_at_the_start_are_one_line(options, status):
    wrapper = [sys.executable, "-c", WITHOUT_THREADS]
    result = run_command(*options, "--port", "0", wrapper=wrapper)
    assert result.returncode == status
    (line,) = result.stderr.splitlines()
    assert "thread" in line


# ---- A worker that hangs


def test_a_worker_that_hangs_before_its_first_sign_of_life_is_replaced(
    start_server, trouble, troubled
):
    trouble.write_text("stop")
    arguments = {"GUNICORN_CMD_ARGS": "--timeout 3"}
    server = start_server("--workers", "1", environment=troubled | arguments)
    stopped = int(server.stderr.wait_for_line(r"^(\d+) has trouble: stop$")[1])
    server.wait_for_workers(1, besides={stopped})
    assert_echoes(server)


# ---- A new master, a new configuration


@pytest.mark.parametrize("flags", [(), ("-X", "dev")])
def test_a_new_master_takes_over_at_sigusr2(start_server, flags):
    server = start_server("--workers", "2", command=[sys.executable, *flags, "server.py"])
    old = server.wait_for_workers(2)
    announced = server.stdout.position
    server.process.send_signal(signal.SIGUSR2)
    server.stdout.wait_for_line("^WebSocket:", after=announced)
    (master,) = server.worker_ids() - old
    try:
        deadline = time.monotonic() + DEADLINE
        while len(child_ids(master)) < 2:
            assert time.monotonic() < deadline, "the new master has no workers"
            time.sleep(0.01)
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(DEADLINE) == 0
        assert_echoes(server)
    finally:
        os.kill(master, signal.SIGTERM)
    server.stop(number=0)
    assert server.stderr.matching("^gunicorn:") == []


def test_a_hangup_with_a_bad_configuration_changes_nothing(start_server, tmp_path):
    configuration = tmp_path / "gunicorn.conf.py"
    good = (ROOT / "gunicorn.conf.py").read_text()
    configuration.write_text(good)
    arguments = {"GUNICORN_CMD_ARGS": f"--config {configuration}"}
    server = start_server("--workers", "2", environment=arguments)
    workers = server.wait_for_workers(2)
    bad = {
        "environment": good.replace('"""\n', '"""\nimport os\nos.environ["ECHO_QUIET"] = "x"\n', 1),
        "syntax": f"{good}\n)",
        "value": f"{good}\ntimeout = 'soon'",
        "setting": f"{good}\nreuse_port = True",
    }
    for text in (*bad.values(), None):
        if text is None:
            configuration.unlink()
        else:
            configuration.write_text(text)
        before = server.stderr.position
        server.process.send_signal(signal.SIGHUP)
        server.stderr.wait_for_line("^gunicorn: not reloaded, .+: .", after=before)
        assert_echoes(server)
        assert server.worker_ids() == workers
    assert len(server.stderr.matching("not reloaded")) == len(bad) + 1
    configuration.write_text(
        good.replace('"""\n', '"""\nimport os\nos.environ["ECHO_QUIET"] = "0"\n', 1)
    )
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_workers(2, besides=workers)


def test_a_new_master_that_cannot_be_started_leaves_the_old_one_at_work(start_server, tmp_path):
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    server = start_server(
        *("--workers", "1"),
        command=(str(python), "server.py"),
        environment={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    workers = server.wait_for_workers(1)
    python.unlink()
    server.process.send_signal(signal.SIGUSR2)
    server.stderr.wait_for_line("^gunicorn: the new master could not start: ")
    with open_websocket(server) as client:
        client.send(frame(TEXT, "still here"))
        assert client.read_frame() == Frame(TEXT, b"still here")
    assert workers <= server.worker_ids()
