"""What ``python server.py`` refuses: one line that names the option, an exit code, no traceback."""

import sys
from pathlib import Path

import pytest

from tests.e2e.server_process import reserve_port, run_command


def refusal(*arguments, environment=None, wrapper=()):
    """The exit code and the one line that says why the command did not serve."""
    result = run_command(*arguments, environment=environment, wrapper=wrapper)
    assert result.stdout == ""
    assert result.stderr.endswith("\n")
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    return result.returncode, line


def test_a_port_in_use():
    with reserve_port() as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        code, line = refusal("--port", port)
        from_environment = refusal("--host", "127.0.0.1", environment={"PORT": port})
    assert code == 1
    assert "--port" in line
    assert port in line
    assert "in use" in line
    assert from_environment == (code, line)


def test_a_port_that_another_service_has(server):
    code, line = refusal("--port", str(server.port))
    assert code == 1
    assert "--port" in line


#: Starts a command without the right to listen on low ports, which root has too.
UNPRIVILEGED = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE = 24, 10
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_port_without_permission():
    threshold = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    assert threshold > 1, "this system lets everybody listen on every port: nothing to refuse"
    wrapper = [sys.executable, "-c", UNPRIVILEGED]
    code, line = refusal("--host", "127.0.0.1", "--port", "1", wrapper=wrapper)
    assert code == 1
    assert "--port" in line
    assert "ermission denied" in line
    environment = {"ECHO_HOST": "127.0.0.1", "PORT": "1"}
    assert refusal(environment=environment, wrapper=wrapper) == (code, line)


@pytest.mark.parametrize("host", ["192.0.2.1", "256.1.1.1", "127.0.0.1:80", "a..b", "x" * 70, ""])
def test_a_host_that_cannot_be_listened_on(host):
    code, line = refusal("--port=0", f"--host={host}")
    assert code == 2
    assert "--host" in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "65536"),
        ("--subprotocol", "é"),
        ("--subprotocol", "\x1b[31m"),
        ("--allow-origin", "https://a\nb"),
    ],
)
def test_a_bad_value_of_an_option(option, value):
    code, line = refusal("--port=0", f"{option}={value}")
    assert code == 2
    assert option in line


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [("ECHO_HOST", "192.0.2.1", "--host"), ("ECHO_QUIET", "maybe", "--quiet")],
)
def test_a_bad_value_in_the_environment(name, value, option):
    code, line = refusal(environment={name: value})
    assert code == 2
    assert option in line
    assert name in line


def test_a_command_line_that_is_none():
    code, line = refusal("--prot", "80")
    assert code == 2
    assert "--prot" in line


def test_no_option_is_tried_out_before_all_are_good():
    """A bad value is refused though the port could not be had either."""
    with reserve_port() as taken:
        taken.listen()
        code, line = refusal("--port", str(taken.getsockname()[1]), "--subprotocol", "a b")
    assert code == 2
    assert "--subprotocol" in line
