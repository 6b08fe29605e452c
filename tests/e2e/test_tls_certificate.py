"""The certificate: one that serves, one that does not, and a new one while the service runs."""

import os
import signal
import socket
import ssl

import pytest

from tests.e2e.raw_client import Frame, RawClient, open_websocket
from tests.e2e.server_process import DEADLINE, run_command
from tests.wire import CLOSE, TEXT, close_frame, frame

GOING_AWAY = Frame(CLOSE, b"\x03\xe9going away")

#: How the service runs.
MODES = {"alone": (), "workers": ("--workers", "2")}


def plain_socket(server):
    return socket.create_connection((server.host, server.port), timeout=DEADLINE)


def assert_echoes(client, text):
    client.send(frame(TEXT, text))
    assert client.read_frame() == Frame(TEXT, text.encode())


def served_certificate(server):
    with RawClient(server) as client:
        return client.sock.getpeercert(binary_form=True)


def test_hangup_has_the_certificate_read_anew(start_tls, authority):
    server = start_tls()
    before = served_certificate(server)
    with open_websocket(server) as client:
        new = authority.issue()
        server.process.send_signal(signal.SIGHUP)
        server.stderr.wait_for_line("^the certificate is a new one$")
        assert served_certificate(server) == new != before
        assert_echoes(client, "x")


def test_a_bad_new_certificate_is_not_taken(start_tls, authority):
    server = start_tls()
    before = served_certificate(server)
    authority.certfile.write_text("rubbish")
    server.process.send_signal(signal.SIGHUP)
    server.stderr.wait_for_line("^the new certificate is not taken: .")
    assert served_certificate(server) == before


def test_the_workers_take_a_new_certificate_and_leave_connections_alone(start_tls, authority):
    server = start_tls(*MODES["workers"])
    workers = server.wait_for_workers(2)
    with open_websocket(server) as client:
        new = authority.issue()
        server.process.send_signal(signal.SIGUSR1)
        server.stderr.wait_for_lines("^the certificate is a new one$", 2)
        assert {served_certificate(server) for _ in range(10)} == {new}
        assert_echoes(client, "x")
    assert server.worker_ids() == workers
    os.kill(min(workers), signal.SIGKILL)
    server.wait_for_workers(2, besides=workers - {max(workers)})
    assert {served_certificate(server) for _ in range(20)} == {new}


def test_new_workers_have_the_new_certificate(start_tls, authority):
    server = start_tls(*MODES["workers"])
    old = server.wait_for_workers(2)
    new = authority.issue()
    with open_websocket(server) as client:
        server.process.send_signal(signal.SIGHUP)
        assert client.read_frame() == GOING_AWAY
        client.send(close_frame(1001))
    server.wait_for_workers(2, besides=old)
    assert {served_certificate(server) for _ in range(10)} == {new}


def remove(path):
    path.unlink()


def make_a_directory(path):
    path.unlink()
    path.mkdir()


def make_a_loop(path):
    path.unlink()
    path.symlink_to(path)


def write_rubbish(path):
    path.write_text("rubbish")


def empty(path):
    path.write_text("")


def test_a_hangup_with_a_bad_certificate_or_key_changes_nothing(start_server, authority, tmp_path):
    keyfile = tmp_path / "key.pem"
    good = authority.certfile.read_bytes()
    keyfile.write_bytes(good)
    server = start_server(
        *authority.options, "--keyfile", str(keyfile), *MODES["workers"], tls=authority.context
    )
    workers = server.wait_for_workers(2)
    before = served_certificate(server)
    with open_websocket(server) as client:
        for path in (authority.certfile, keyfile):
            for spoil in (remove, make_a_directory, make_a_loop, write_rubbish, empty):
                position = server.stderr.position
                spoil(path)
                server.process.send_signal(signal.SIGHUP)
                server.stderr.wait_for_line("^gunicorn: not reloaded, .+: .", after=position)
                assert_echoes(client, spoil.__name__)
                assert {served_certificate(server) for _ in range(5)} == {before}
                assert server.worker_ids() == workers
                if path.is_dir():
                    path.rmdir()
                path.unlink(missing_ok=True)
                path.write_bytes(good)
        client.send(close_frame(1000))
        client.read_close()
    assert len(server.stderr.matching("^gunicorn:")) == 10


def test_a_hangup_takes_the_certificate_when_it_is_there_again(start_tls, authority):
    server = start_tls(*MODES["workers"])
    old = server.wait_for_workers(2)
    authority.certfile.unlink()
    server.process.send_signal(signal.SIGHUP)
    server.stderr.wait_for_line("^gunicorn: not reloaded")
    new = authority.issue()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_workers(2, besides=old)
    assert {served_certificate(server) for _ in range(10)} == {new}


def test_a_worker_that_is_replaced_has_the_certificate_of_the_others(start_tls, authority):
    server = start_tls(*MODES["workers"])
    workers = server.wait_for_workers(2)
    before = served_certificate(server)
    authority.issue()
    os.kill(min(workers), signal.SIGKILL)
    server.wait_for_workers(2, besides={min(workers)})
    assert {served_certificate(server) for _ in range(20)} == {before}


def test_a_session_of_one_worker_is_resumed_by_another(start_tls, authority):
    server = start_tls("--workers", "3")
    authority.context.maximum_version = ssl.TLSVersion.TLSv1_2
    with RawClient(server) as client:
        session = client.sock.session
    for _ in range(20):
        with (
            plain_socket(server) as sock,
            authority.context.wrap_socket(
                sock, server_hostname=server.host, session=session
            ) as tls,
        ):
            assert tls.session_reused


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("content", ["rubbish", ""])
def test_a_certificate_that_is_none_is_refused(authority, mode, content):
    authority.certfile.write_text(content)
    result = run_command(*MODES[mode], "--port", "0", *authority.options)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "--certfile" in line
    assert "ECHO_CERTFILE" in line


@pytest.mark.parametrize("mode", MODES)
def test_a_key_without_a_certificate_is_refused(authority, mode):
    result = run_command(*MODES[mode], "--port", "0", "--keyfile", str(authority.certfile))
    assert result.returncode == 2
    assert "--certfile" in result.stderr
