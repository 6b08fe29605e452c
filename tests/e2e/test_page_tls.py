"""The page over https, in a real browser: it connects by wss."""

from contextlib import closing

from tests.e2e.browser import open_page, sockets_of


def test_the_page_that_came_by_https_connects_by_wss(browser, start_tls):
    server = start_tls("--workers", "2")
    with closing(browser.new_context(ignore_https_errors=True)) as context:
        page = context.new_page()
        sockets = sockets_of(page)
        open_page(page, server)
    (socket,) = sockets
    assert socket.url.startswith(f"wss://127.0.0.1:{server.port}/ws/echo?")
