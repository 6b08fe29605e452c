"""What ``python server.py`` refuses: one line that names the option, an exit code, no traceback."""

import sys
from pathlib import Path

import pytest

from tests.e2e.server_process import reserve_port, run_command

pytestmark = pytest.mark.no_cover


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


BAD_VALUES = {
    "--host": ["192.0.2.1", "256.1.1.1", "127.0.0.1:80", "[::1]", "a..b", "x" * 70, "*", "a b", ""],
    "--port": ["-1", "65536", "http", "80.5", "0x50", ""],
    "--max-message-size": ["0", "-1", "1k", "1.5", "1e6", str(2**63), ""],
    "--subprotocol": ["a b", "a/b", "a,b", '"a"', "é", "a\nb", "\x1b[31m", ""],
    "--allow-origin": [
        "example.com",
        "//example.com",
        "https://",
        "https://example.com/",
        "https://example.com/page",
        "https://example.com https://example.org",
        "https://user@example.com",
        "https://example.com:port",
        "https://example.com:65536",
        "http://[::1",
        "ftp://example.com",
        "null",
        "**",
        "https://a\nb",
        "\x1b[31m",
        "",
    ],
}


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option, values in BAD_VALUES.items() for value in values],
)
def test_a_bad_value_of_an_option(option, value):
    code, line = refusal("--port=0", f"{option}={value}")
    assert code == 2
    assert option in line


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("ECHO_HOST", "192.0.2.1", "--host"),
        ("PORT", "65536", "--port"),
        ("PORT", "http", "--port"),
        ("ECHO_MAX_MESSAGE_SIZE", "0", "--max-message-size"),
        ("ECHO_MAX_MESSAGE_SIZE", "16M", "--max-message-size"),
        ("ECHO_SUBPROTOCOL", "chat, superchat", "--subprotocol"),
        ("ECHO_ALLOW_ORIGIN", "https://example.com example.org", "--allow-origin"),
        ("ECHO_QUIET", "maybe", "--quiet"),
    ],
)
def test_a_bad_value_in_the_environment(name, value, option):
    code, line = refusal(environment={name: value})
    assert code == 2
    assert option in line
    assert name in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port"], "--port"),
        (["--prot", "80"], "--prot"),
        (["--quiet=yes"], "--quiet"),
        (["8000"], "8000"),
    ],
    ids=str,
)
def test_a_command_line_that_is_none(arguments, named):
    code, line = refusal(*arguments)
    assert code == 2
    assert named in line


def test_no_option_is_tried_out_before_all_are_good():
    """A bad value is refused though the port could not be had either."""
    with reserve_port() as taken:
        taken.listen()
        code, line = refusal("--port", str(taken.getsockname()[1]), "--subprotocol", "a b")
    assert code == 2
    assert "--subprotocol" in line
