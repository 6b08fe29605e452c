"""``python server.py`` as a command: its options and the environment."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from echo.settings import options
from tests.e2e.server_process import (
    DEADLINE,
    ROOT,
    clean_environment,
    reserve_port,
    run_command,
)

#: Options with their environment name, and how the help tells their default and their unit.
OPTIONS = {
    "--host": ("ECHO_HOST", r"default: \(?127\.0\.0\.1\b", "[Aa]ddress"),
    "--port": ("ECHO_PORT", r"default: \(?8000\b", "TCP port"),
    "--max-message-size": ("ECHO_MAX_MESSAGE_SIZE", r"default: \(?16777216\b", "in bytes"),
    "--subprotocol": ("ECHO_SUBPROTOCOL", "default", "repeatable"),
    "--allow-origin": ("ECHO_ALLOW_ORIGIN", "default", "repeatable"),
    "--quiet": ("ECHO_QUIET", "default", "messages"),
}


def help_texts():
    """What the help says of each option, by the option's name."""
    result = run_command("--help", environment={"COLUMNS": "80"})
    assert (result.returncode, result.stderr) == (0, "")
    _, _, options = result.stdout.partition("Options:\n")
    entries = re.split(r"^  (?=-)", options, flags=re.MULTILINE)[1:]
    return {re.search(r"--[\w-]+", entry)[0]: " ".join(entry.split()) for entry in entries}


def test_the_help_lists_every_option():
    texts = help_texts()
    assert list(texts) == [*(option.opts[0] for option in options()), "--help"]
    assert set(OPTIONS) <= set(texts)
    for option in options():
        text = texts[option.opts[0]]
        assert " ".join(option.help.split()) in text
        assert f"env var: {option.envvar[0]}" in text
        if not (option.multiple or option.is_flag or option.default is None):
            assert re.search(rf"default: \(?{re.escape(str(option.default))}\b", text)
    for name, (environment, default, unit) in OPTIONS.items():
        assert f"env var: {environment}" in texts[name]
        assert re.search(unit, texts[name])
        assert re.search(default, texts[name])


def test_the_short_name_of_help():
    assert run_command("-h").stdout == run_command("--help").stdout


# ---- Host and port


def listening_addresses(port):
    """The IPv4 addresses on which somebody listens on a port."""
    addresses = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, _, local_port = local.partition(":")
        if state == "0A" and int(local_port, 16) == port:
            addresses.add(".".join(str(byte) for byte in reversed(bytes.fromhex(address))))
    return addresses


@pytest.fixture
def free_port():
    """A port that is kept for this test."""
    with reserve_port() as reservation:
        yield reservation.getsockname()[1]


def test_without_options_it_is_port_8000_of_this_machine_alone():
    """Somebody else may have the port; then the refusal names it."""
    with subprocess.Popen(
        [sys.executable, "server.py"],
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            page = process.stdout.readline()
            if page:
                assert page == "Page:      http://127.0.0.1:8000/ws/echo_display\n"
                assert process.stdout.readline() == "WebSocket: ws://127.0.0.1:8000/ws/echo\n"
                assert listening_addresses(8000) == {"127.0.0.1"}
            else:
                assert re.search(r"--port\b.* 8000\b.*in use", process.stderr.read())
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE)
    assert process.returncode == (0 if page else 1)


def test_the_option_port(start_server, free_port):
    server = start_server(port=free_port)
    assert server.port == free_port
    assert listening_addresses(free_port) == {"127.0.0.1"}


def test_port_0_is_any_that_is_free(start_server):
    servers = [start_server(port=0), start_server(port=0)]
    ports = {server.port for server in servers}
    assert len(ports) == 2
    for server in servers:
        assert listening_addresses(server.port) == {"127.0.0.1"}
        assert server.stdout.lines[0] == f"Page:      {server.url}/ws/echo_display"


def test_port_in_the_environment_is_open_to_all(start_server, free_port):
    server = start_server(environment={"PORT": str(free_port)})
    assert server.port == free_port
    assert listening_addresses(free_port) == {"0.0.0.0"}
    assert server.stdout.lines == [
        f"Page:      http://127.0.0.1:{free_port}/ws/echo_display",
        f"WebSocket: ws://127.0.0.1:{free_port}/ws/echo",
    ]


@pytest.mark.parametrize(
    ("options", "environment", "address"),
    [
        ([], {"PORT": "PORT", "HOST": "127.0.0.2"}, "127.0.0.2"),
        (["--host", "127.0.0.2"], {"PORT": "PORT", "HOST": "127.0.0.3"}, "127.0.0.2"),
        (["--port", "PORT"], {"PORT": "1"}, "0.0.0.0"),
    ],
    ids=str,
)
def test_an_option_beats_the_environment(start_server, free_port, options, environment, address):
    """PORT among the values stands for a free port."""
    port = str(free_port)
    server = start_with(
        start_server,
        [option.replace("PORT", port) for option in options],
        {name: value.replace("PORT", port) for name, value in environment.items()},
    )
    assert listening_addresses(free_port) == {address}
    shown = address.replace("0.0.0.0", "127.0.0.1")
    assert server.stdout.lines[1] == f"WebSocket: ws://{shown}:{port}/ws/echo"


def start_with(start_server, options, environment):
    """Start a server with no option but these, even none for the port."""
    if "PORT" in environment:
        return start_server(*options, environment=environment)
    port = options.pop(options.index("--port") + 1)
    options.remove("--port")
    return start_server(*options, port=int(port), environment=environment)
