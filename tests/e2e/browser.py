"""A real browser for the tests of the page: its fixtures, and what the tests do with the page."""

import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from tests.e2e.server_process import ROOT

DEADLINE = 30_000  # milliseconds

#: The same engine without windows and what belongs to them, a fifth of the work; or all of it.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    # Tests have contexts of their own, which need no processes of their own.
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
]

#: The page's modules: where they are on disk, and below which path they are served.
MODULES = ROOT / "static" / "js"
MODULES_PATH = "/static/js"

#: The module that starts the page, which is all that it does.
MAIN = "app/main.js"

SENT = '#log > [data-direction="sent"]'
RECEIVED = '#log > [data-direction="received"]'
EVENT = '#log > [data-direction="event"]'

#: What Chromium says of a WebSocket or a request that does not reach its server, or one that has
#: been started anew and knows nothing of the past.
FAILED_CONNECTIONS = (
    "WebSocket connection to",
    "Failed to load resource: net::ERR_",
    "Failed to load resource: the server responded with a status of",
)


# Not for the whole session: an event loop of Playwright's runs in the main thread for as long, and
# no other test could start its own.
@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=DEADLINE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


class Complaints(list):
    """What the browser reports as wrong: script errors, refusals by the CSP, missing files."""

    failed_connections_expected = False

    def of_console(self, message):
        if message.type not in {"error", "warning"}:
            return
        if self.failed_connections_expected and message.text.startswith(FAILED_CONNECTIONS):
            return
        self.append(message.text)


@pytest.fixture
def complaints():
    return Complaints()


@pytest.fixture
def page(browser, complaints, start_server):
    """An empty page. The test fails when the browser has had something to complain about.

    It goes before the servers of ``start_server`` do, or it would complain about their going.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(DEADLINE)
    page = context.new_page()
    page.on("console", complaints.of_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def open_page(page, server, fragment=""):
    response = page.goto(f"{server.url}/ws/echo_display{fragment}")
    expect_state(page, "connected")
    return response


def open_without_application(page, server):
    """The page as the server sends it, under its own policy, but with nothing that starts it."""
    page.route(
        f"**{MODULES_PATH}/{MAIN}",
        lambda route: route.fulfill(content_type="text/javascript", body=""),
    )
    page.goto(f"{server.url}/ws/echo_display")


@pytest.fixture(scope="module")
def module_page(browser, shared_server):
    """The page before it is started, shared by the tests of a file that import single modules."""
    complaints = Complaints()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(DEADLINE)
    page = context.new_page()
    page.on("console", complaints.of_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    open_without_application(page, shared_server)
    yield page
    context.close()
    assert complaints == []


def run(page, paths, function, *arguments):
    """What a JavaScript function returns that gets the modules at the paths and the arguments.

    ``paths``: one, or several with spaces between, such as ``"app/state.js i18n/texts.js"``.
    """
    return page.evaluate(
        f"""async ([paths, given]) => {{
            const modules = await Promise.all(paths.map((path) => import(path)));
            return await ({function})(...modules, ...given);
        }}""",
        [[f"{MODULES_PATH}/{path}" for path in paths.split()], arguments],
    )


def expect_no_violation(page, context=None):
    """Fail where axe finds something, in light, or with the colours in dark."""
    for scheme, options in (("light", None), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        results = Axe().run(page, context=context, options=options)
        assert results.violations_count == 0, results.generate_report()


def expect_state(page, state):
    expect(page.locator("#state")).to_have_attribute("data-state", state)
    expect(page.locator("#state")).to_have_text(state.capitalize())


def sockets_of(page):
    """The WebSockets that the page opens from now on."""
    sockets = []

    def note(socket):
        sockets.append(socket)

    page.on("websocket", note)
    return sockets


def use_instead_of_server(page, on_message, on_open=lambda _connection: None):
    """Answer the page's WebSockets in the test, for what the server would never do.

    The server knows none of them: what the page asks about them is answered here as well.
    """
    connections = []

    def accept(connection):
        connections.append(connection)
        connection.on_message(lambda message: on_message(connection, message))
        on_open(connection)

    page.route_web_socket(re.compile(r"/ws/(echo|inspect)\?echo-id="), accept)
    answer_for_connections(page, {"state": "closed"})
    return connections


def answer_for_connections(page, answer):
    """Answer what the page asks the server about an ended connection."""
    page.route(re.compile("/ws/connections/"), lambda route: route.fulfill(json=answer))


def choose(page, kind):
    page.locator("label", has=page.locator(f"input[name=kind][value={kind}]")).click()
    expect(page.locator(f"input[name=kind][value={kind}]")).to_be_checked()


def send(page, text):
    page.locator("#message").fill(text)
    page.locator("#message").press("Enter")


def expect_rows_in_place(page):
    """Fails unless each row in view begins where the one before it ends, without a gap."""
    page.wait_for_function(
        """() => {
            const rows = [...document.querySelectorAll("#log > li")]
                .map((row) => row.getBoundingClientRect());
            const view = document.querySelector("#log-view").getBoundingClientRect();
            return rows.every((row, i) => !i || Math.abs(row.top - rows[i - 1].bottom) < 1)
                && rows[0].top <= view.top + 1 && rows.at(-1).bottom >= view.bottom - 1;
        }"""
    )


def tab_to(page, selector, key="Tab"):
    """Move the focus with the keyboard, as far as once around the page."""
    for _ in range(40):
        page.keyboard.press(key)
        if page.locator(selector).evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{key} does not lead to {selector}")
