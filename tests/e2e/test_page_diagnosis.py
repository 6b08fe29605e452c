"""The page says why its handshake failed, behind the real nginx and without it."""

from playwright.sync_api import expect

from tests.e2e.browser import EVENT, expect_no_violation
from tests.e2e.programs import UPGRADE

FAILED = f"{EVENT}[data-kind=failed]"


def open_and_fail(page, complaints, server, fragment=""):
    """Open the page, whose handshake fails; gives the row of the log that says so."""
    complaints.failed_connections_expected = True
    page.goto(f"http://127.0.0.1:{server.port}/ws/echo_display{fragment}")
    row = page.locator(FAILED)
    expect(row).to_have_count(1)
    return row


def test_a_proxy_that_drops_the_upgrade_is_named_with_the_lines_that_keep_it(
    page, complaints, start_server, nginx_with
):
    row = open_and_fail(
        page, complaints, nginx_with(start_server(), "proxy_set_header Host $http_host;")
    )
    expect(row).to_contain_text("The server refused the handshake with 426:")
    expect(row).to_contain_text("A proxy on the way has dropped it, to judge by HTTP/1.0")
    expect(row.locator(".cures code").first).to_contain_text("nginx: proxy_http_version 1.1;")
    expect_no_violation(page, "#log")  # its row is drawn anew at each attempt


def test_a_proxy_that_changes_the_host_is_told_what_it_lacks(
    page, complaints, start_server, nginx_with
):
    lines = f"{UPGRADE} proxy_set_header Host echo.internal;"
    row = open_and_fail(page, complaints, nginx_with(start_server("--trust-proxy", "1"), lines))
    expect(row).to_contain_text("The server refused the handshake with 403:")
    expect(row).to_contain_text("--allow-origin http://127.0.0.1:")


def test_a_handshake_that_something_in_between_stops_did_not_reach_the_server(
    page, complaints, start_server, nginx_with
):
    server = nginx_with(start_server(), f"if ($http_upgrade) {{ return 502; }} {UPGRADE}")
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
