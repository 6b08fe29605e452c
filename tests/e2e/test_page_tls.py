"""The page over https, in a real browser: it connects by wss."""

import shutil

from playwright.sync_api import expect, sync_playwright

DEADLINE = 30_000  # milliseconds


def test_the_page_that_came_by_https_connects_by_wss(start_tls):
    server = start_tls("--workers", "2")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_context(ignore_https_errors=True).new_page()
        page.set_default_timeout(DEADLINE)
        with page.expect_websocket() as opened:
            page.goto(f"{server.url}/ws/echo_display")
        assert opened.value.url.startswith(f"wss://127.0.0.1:{server.port}/ws/echo")
        state = page.locator("#state")
        expect(state).to_have_attribute("data-state", "connected", timeout=DEADLINE)
        chromium.close()
