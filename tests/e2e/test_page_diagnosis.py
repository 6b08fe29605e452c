"""The page says why its handshake failed, behind the real nginx and without it."""

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import EVENT, expect_no_violation
from tests.e2e.programs import Nginx

FAILED = f"{EVENT}[data-kind=failed]"

#: What keeps an upgrade.
UPGRADE = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $http_connection;
"""


@pytest.fixture
def nginx_with(tmp_path, start_server):
    """Starts nginx in front of a server: a function that takes lines of its configuration."""
    running = []

    def start(lines, *options):
        server = start_server(*options)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)

        def configuration(port):
            return f"""
                pid {tmp_path}/nginx.pid;
                error_log {tmp_path}/error.log;
                events {{}}
                http {{
                    {temporary}
                    access_log off;
                    server {{
                        listen 127.0.0.1:{port};
                        location / {{
                            proxy_pass http://127.0.0.1:{server.port};
                            {lines}
                        }}
                    }}
                }}
            """

        nginx = Nginx(tmp_path, configuration)
        running.append(nginx)
        nginx.__enter__()
        return nginx

    yield start
    for nginx in running:
        nginx.__exit__(None, None, None)


def open_and_fail(page, complaints, server, fragment=""):
    """Open the page, whose handshake fails; gives the row of the log that says so."""
    complaints.failed_connections_expected = True
    page.goto(f"http://127.0.0.1:{server.port}/ws/echo_display{fragment}")
    row = page.locator(FAILED)
    expect(row).to_have_count(1)
    return row


def test_a_proxy_that_drops_the_upgrade_is_named_with_the_lines_that_keep_it(
    page, complaints, nginx_with
):
    row = open_and_fail(page, complaints, nginx_with("proxy_set_header Host $http_host;"))
    expect(row).to_contain_text("The server refused the handshake with 426:")
    expect(row).to_contain_text("A proxy on the way has dropped it, to judge by HTTP/1.0")
    expect(row.locator(".cures code").first).to_contain_text("nginx: proxy_http_version 1.1;")
    expect_no_violation(page, FAILED)


def test_a_proxy_that_changes_the_host_is_told_what_it_lacks(page, complaints, nginx_with):
    lines = f"{UPGRADE} proxy_set_header Host echo.internal;"
    row = open_and_fail(page, complaints, nginx_with(lines, "--trust-proxy", "1"))
    expect(row).to_contain_text("The server refused the handshake with 403:")
    expect(row).to_contain_text("--allow-origin http://127.0.0.1:")


def test_a_handshake_that_something_in_between_stops_did_not_reach_the_server(
    page, complaints, nginx_with
):
    server = nginx_with(f"if ($http_upgrade) {{ return 502; }} {UPGRADE}")
    row = open_and_fail(page, complaints, server)
    expect(row).to_contain_text("The handshake did not reach the server")


def test_an_answer_that_the_browser_does_not_take_is_told(page, complaints, start_server):
    server = start_server("--subprotocol", "chat")
    row = open_and_fail(page, complaints, server, "#protocols=news")
    expect(row).to_contain_text("accepted the handshake, but the browser did not take its answer")


def test_a_handshake_that_is_too_large_is_told_so(page, complaints, start_server):
    server = start_server()
    row = open_and_fail(page, complaints, server, "#protocols=" + "a" * 40_000)
    expect(row).to_contain_text("431")
