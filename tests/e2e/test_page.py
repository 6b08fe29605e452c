"""The page in a real browser, against the real server."""

import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

DEADLINE = 30_000  # milliseconds
LATER = 3_600_000  # on the page's clock that starts at 0: surely after the page has loaded

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]

SENT = '#log > [data-direction="sent"]'
RECEIVED = '#log > [data-direction="received"]'
EVENT = '#log > [data-direction="event"]'
ROUND_TRIP = re.compile(r"^\d[\d,.]* ms$")


# Not for the whole session: an event loop of Playwright's runs in the main thread for as long, and
# no other test could start its own.
@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=DEADLINE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


class Complaints(list):
    """What the browser reports as wrong: script errors, refusals by the CSP, missing files."""

    failed_connections_expected = False

    def of_console(self, message):
        if message.type not in {"error", "warning"}:
            return
        if self.failed_connections_expected and message.text.startswith("WebSocket connection to"):
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


def open_page(page, server):
    response = page.goto(f"{server.url}/ws/echo_display")
    expect_state(page, "connected")
    return response


def expect_state(page, state):
    expect(page.locator("#state")).to_have_attribute("data-state", state)
    expect(page.locator("#state")).to_have_text(state.capitalize())


def choose(page, kind):
    page.locator("label", has=page.locator(f"input[name=kind][value={kind}]")).click()
    expect(page.locator(f"input[name=kind][value={kind}]")).to_be_checked()


def send(page, text):
    page.locator("#message").fill(text)
    page.locator("#message").press("Enter")


def tab_to(page, selector, key="Tab"):
    """Move the focus with the keyboard, as far as once around the page."""
    for _ in range(20):
        page.keyboard.press(key)
        if page.locator(selector).evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{key} does not lead to {selector}")


def use_instead_of_server(page, on_message, on_open=lambda _connection: None):
    """Answer the page's WebSockets in the test, for what the server would never do."""
    connections = []

    def accept(connection):
        connections.append(connection)
        connection.on_message(lambda message: on_message(connection, message))
        on_open(connection)

    page.route_web_socket(re.compile("/ws/echo$"), accept)
    return connections


# ---- Sending and receiving


def test_enter_sends_and_the_echo_is_listed_with_size_and_round_trip(page, echo_server):
    open_page(page, echo_server)
    send(page, "Grüße")
    echo = page.locator(RECEIVED)
    expect(echo.locator(".payload")).to_have_text("Grüße")
    expect(echo.locator(".size")).to_have_text("7 bytes")
    expect(echo.locator(".rtt")).to_have_text(ROUND_TRIP)
    expect(echo.locator(".direction")).to_contain_text("Received")
    expect(echo).to_have_attribute("data-kind", "text")
    expect(page.locator(f"{SENT} .payload")).to_have_text("Grüße")
    expect(page.locator("#message")).to_have_value("")
    expect(page.locator("#message")).to_be_focused()


def test_times_are_shown_to_the_millisecond_and_marked_up_for_machines(page, echo_server):
    open_page(page, echo_server)
    time = page.locator(f"{EVENT} time")
    expect(time).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    expect(time).to_have_attribute("datetime", re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z$"))


def test_the_button_sends(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").fill("by button")
    page.locator("#send").click()
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("by button")


def test_shift_enter_starts_a_line_and_control_enter_sends(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").press_sequentially("one")
    page.locator("#message").press("Shift+Enter")
    page.locator("#message").press_sequentially("two")
    page.locator("#message").press("Control+Enter")
    expect(page.locator(f"{RECEIVED} .size")).to_have_text("7 bytes")
    assert page.locator(f"{RECEIVED} .body").text_content() == "one\ntwo"


def test_enter_that_ends_a_composition_does_not_send(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").fill("half")
    page.locator("#message").dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    send(page, "whole")
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("whole")
    expect(page.locator(SENT)).to_have_count(1)


def test_an_empty_message_can_be_sent(page, echo_server):
    open_page(page, echo_server)
    send(page, "")
    expect(page.locator(f"{RECEIVED} .size")).to_have_text("0 bytes")
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("(empty message)")


def test_binary_is_typed_and_shown_as_hex(page, echo_server):
    open_page(page, echo_server)
    choose(page, "binary")
    send(page, "de:ad BE ef\n0x00ff 0XFE")
    echo = page.locator(RECEIVED)
    expect(echo).to_have_attribute("data-kind", "binary")
    expect(echo.locator(".body")).to_have_text("de ad be ef 00 ff fe")
    expect(echo.locator(".size")).to_have_text("7 bytes")
    expect(echo.locator(".rtt")).to_have_text(ROUND_TRIP)


def test_a_long_binary_message_is_cut_with_the_number_of_bytes_left_out(page, echo_server):
    open_page(page, echo_server)
    choose(page, "binary")
    send(page, "00" * 379)
    expect(page.locator(f"{RECEIVED} .note")).to_have_text("… 123 more bytes")


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("48 65 6g", "“g” at position 8"),
        ("48\u202e", "U+202E at position 3"),
        ("\U0001f600", "“\U0001f600” at position 1"),
        ("0x", "“x” at position 2"),
        ("48 abc", "odd number of hex digits (3) at position 4"),
    ],
)
def test_bad_hex_is_explained_and_nothing_sent(page, echo_server, typed, complaint):
    open_page(page, echo_server)
    choose(page, "binary")
    send(page, typed)
    expect(page.locator("#error")).to_contain_text(complaint)
    expect(page.locator("#message")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#message")).to_have_value(typed)
    expect(page.locator(SENT)).to_have_count(0)
    choose(page, "text")
    expect(page.locator("#error")).to_be_empty()


def test_half_a_surrogate_pair_counts_as_what_was_sent(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").evaluate("field => { field.value = 'a\\ud800b' }")
    page.locator("#send").click()
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("a\ufffdb")
    expect(page.locator(f"{SENT} .size")).to_have_text("5 bytes")


def test_an_echo_that_differs_is_marked(page, echo_server):
    use_instead_of_server(page, lambda connection, message: connection.send(message.upper()))
    open_page(page, echo_server)
    send(page, "quiet")
    expect(page.locator(RECEIVED)).to_have_attribute("data-level", "bad")
    expect(page.locator(f"{RECEIVED} .problem")).to_contain_text("not what was sent")


def test_a_message_that_answers_nothing_is_marked(page, echo_server):
    use_instead_of_server(
        page, lambda *_: None, on_open=lambda connection: connection.send("surprise")
    )
    open_page(page, echo_server)
    expect(page.locator(f"{RECEIVED} .problem")).to_contain_text("no echo")
    expect(page.locator(f"{RECEIVED} .rtt")).to_be_empty()


# ---- Hostile messages


def test_markup_stays_text(page, echo_server):
    open_page(page, echo_server)
    markup = "<img src=/x onerror='window.hacked=1'><script>window.hacked=1</script><b>bold</b>"
    send(page, markup)
    expect(page.locator(f"{RECEIVED} .body")).to_have_text(markup)
    expect(page.locator("#log").locator("img, script, b")).to_have_count(0)
    assert page.evaluate("window.hacked") is None


def test_control_and_direction_characters_are_spelled_out(page, echo_server):
    open_page(page, echo_server)
    send(page, "a\u202egnp.exe\u2066\x1b[31m\u200b")
    unseen = page.locator(f"{RECEIVED} .unseen")
    expect(unseen).to_have_text(["U+202E", "U+2066", "U+001B", "U+200B"])
    text = page.locator(f"{RECEIVED} .payload").text_content()
    assert not set("\u202e\u2066\x1b\u200b") & set(text)
    direction = "element => getComputedStyle(element).unicodeBidi"
    assert page.locator(f"{RECEIVED} .body").evaluate(direction) == "isolate"


def test_emoji_stay_whole(page, echo_server):
    open_page(page, echo_server)
    family = "\U0001f469\u200d\U0001f467 \u2764\ufe0f"
    send(page, family)
    expect(page.locator(f"{RECEIVED} .body")).to_have_text(family)
    expect(page.locator(f"{RECEIVED} .unseen")).to_have_count(0)


def test_a_line_of_a_mebibyte_is_cut_with_the_number_of_characters_left_out(page, echo_server):
    open_page(page, echo_server)
    send(page, "\U0001f600" * 4 + "x" * (1024 * 1024 - 16))
    echo = page.locator(RECEIVED)
    expect(echo.locator(".size")).to_have_text("1,048,576 bytes")
    expect(echo.locator(".note")).to_have_text(
        "… first 1,000 characters shown, 1,047,564 more left out"
    )
    assert len(echo.locator(".body").text_content()) == 1000


def test_many_lines_are_cut(page, echo_server):
    open_page(page, echo_server)
    send(page, "\n" * 500)
    expect(page.locator(f"{RECEIVED} .note")).to_contain_text("481 more left out")


# ---- The list


def test_the_list_keeps_the_newest_500_entries_and_says_so(page, echo_server):
    open_page(page, echo_server)
    page.evaluate(
        """() => {
            for (let i = 0; i < 260; i += 1) {
                document.querySelector("#message").value = `message ${i}`;
                document.querySelector("#composer").requestSubmit();
            }
        }"""
    )
    expect(page.locator("#dropped")).to_have_text("21 older entries dropped")
    expect(page.locator("#log > li")).to_have_count(500)
    expect(page.locator(f"{RECEIVED} .payload").last).to_have_text("message 259")


def test_clear_empties_the_list(page, echo_server):
    open_page(page, echo_server)
    send(page, "gone soon")
    expect(page.locator(RECEIVED)).to_have_count(1)
    page.locator("#clear").click()
    expect(page.locator("#log > li")).to_have_count(0)
    expect(page.get_by_text("Nothing here yet")).to_be_visible()


def test_the_list_follows_the_newest_entry_until_scrolled_up(page, echo_server):
    connections = use_instead_of_server(page, lambda connection, message: connection.send(message))
    open_page(page, echo_server)
    to_end = "view => Math.round(view.scrollHeight - view.scrollTop - view.clientHeight)"
    view = page.locator("#log-view")
    for number in range(12):
        send(page, f"{number}")
    expect(page.locator(RECEIVED)).to_have_count(12)
    assert view.evaluate(to_end) <= 1

    view.evaluate("view => { view.scrollTop = 0 }")
    expect(page.locator("#follow")).to_be_visible()
    connections[0].send("while reading above")
    expect(page.locator(RECEIVED)).to_have_count(13)
    assert view.evaluate("view => view.scrollTop") == 0

    page.locator("#follow").click()
    expect(page.locator("#follow")).to_be_hidden()
    assert view.evaluate(to_end) <= 1


# ---- The connection


def test_the_address_of_the_websocket_is_shown(page, echo_server):
    open_page(page, echo_server)
    expect(page.locator("#address")).to_have_text(f"ws://127.0.0.1:{echo_server.port}/ws/echo")


def test_everything_works_with_the_keyboard_alone(page, echo_server):
    open_page(page, echo_server)
    tab_to(page, "#disconnect")
    page.keyboard.press("Enter")
    expect_state(page, "disconnected")
    expect(page.locator("#disconnect")).to_be_focused()
    closed = page.locator(f"{EVENT}[data-kind=closed]")
    expect(closed).to_contain_text("You closed the connection")
    expect(closed).to_have_attribute("data-code", "1000")

    tab_to(page, "#connect", "Shift+Tab")
    page.keyboard.press("Space")
    expect_state(page, "connected")

    tab_to(page, "input[name=kind]:checked")
    page.keyboard.press("ArrowRight")
    tab_to(page, "#message")
    page.keyboard.type("cafe")
    tab_to(page, "#send")
    page.keyboard.press("Enter")
    expect(page.locator(f"{RECEIVED} .body")).to_have_text("ca fe")


def test_without_a_connection_nothing_is_sent_and_the_text_is_kept(page, echo_server):
    open_page(page, echo_server)
    page.locator("#disconnect").click()
    expect_state(page, "disconnected")
    expect(page.locator("#send")).to_be_disabled()
    send(page, "too late")
    expect(page.locator("#error")).to_contain_text("there is no connection")
    expect(page.locator("#message")).to_have_value("too late")
    expect(page.locator(SENT)).to_have_count(0)
    page.locator("#connect").click()
    expect_state(page, "connected")
    expect(page.locator("#error")).to_be_empty()


def test_a_server_that_stops_and_comes_back_is_reconnected_to(page, server, complaints):
    complaints.failed_connections_expected = True
    open_page(page, server)
    server.stop()
    expect_state(page, "reconnecting")
    expect(page.locator("#state-detail")).to_have_text(re.compile(r"in \d+ s \(attempt \d+\)"))
    expect(page.locator("#connect")).to_have_text("Connect now")
    failed = page.locator(f"{EVENT}[data-kind=failed]")
    expect(failed).to_contain_text("Could not connect, 2 attempts so far")
    expect(failed).to_contain_text("did not answer or refused the handshake")
    expect(failed).to_have_count(1)
    server.start()
    expect_state(page, "connected")
    send(page, "back again")
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("back again")


def test_pauses_grow_to_half_a_minute_and_end_at_once_when_the_network_is_back(
    page, server, complaints
):
    complaints.failed_connections_expected = True
    page.clock.install(time=0)
    open_page(page, server)
    page.clock.pause_at(LATER)
    server.stop()
    detail = page.locator("#state-detail")
    for attempt, seconds in enumerate(["1", "2", "4", "[78]", "1[3-6]", "(2[4-9]|30)"], start=1):
        expect(detail).to_have_text(re.compile(rf"^in {seconds} s \(attempt {attempt}\)$"))
        page.clock.run_for(30_000)
    expect(detail).to_have_text(re.compile(r"^in (2[4-9]|30) s \(attempt 7\)$"))
    server.start()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect_state(page, "connected")
    expect(page.locator(f"{EVENT}[data-kind=failed]")).to_have_count(1)


def test_who_disconnects_is_not_reconnected(page, echo_server):
    sockets = []

    def note(socket):
        sockets.append(socket)

    page.on("websocket", note)
    page.clock.install(time=0)
    open_page(page, echo_server)
    page.locator("#disconnect").click()
    expect_state(page, "disconnected")
    page.clock.run_for(120_000)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect_state(page, "disconnected")
    assert len(sockets) == 1


def test_reconnecting_can_be_stopped(page, echo_server):
    page.clock.install(time=0)
    connections = use_instead_of_server(page, lambda *_: None)
    open_page(page, echo_server)
    page.clock.pause_at(LATER)
    connections[0].close(code=1012)
    expect_state(page, "reconnecting")
    expect(page.locator("#disconnect")).to_have_text("Stop")
    page.locator("#disconnect").click()
    expect_state(page, "disconnected")
    page.clock.run_for(120_000)
    expect_state(page, "disconnected")
    assert len(connections) == 1


def test_connect_now_opens_one_connection_however_often_it_is_asked_for(page, echo_server):
    page.clock.install(time=0)
    connections = use_instead_of_server(page, lambda *_: None)
    open_page(page, echo_server)
    page.clock.pause_at(LATER)
    connections[0].close(code=1012)
    expect_state(page, "reconnecting")
    page.evaluate(
        """() => {
            document.querySelector("#connect").click();
            window.dispatchEvent(new Event("online"));
            document.querySelector("#connect").click();
        }"""
    )
    expect_state(page, "connected")
    page.clock.run_for(60_000)
    expect_state(page, "connected")
    assert len(connections) == 2


# ---- What a close means


def test_too_big_a_message_is_explained(page, start_server):
    server = start_server("--max-message-size", "1000")
    open_page(page, server)
    send(page, "x" * 1001)
    closed = page.locator(f"{EVENT}[data-code='1009']")
    expect(closed).to_contain_text("The server closed the connection")
    expect(closed).to_contain_text("1009 Message Too Big")
    expect(closed).to_contain_text("larger than the server takes")
    expect(closed).to_contain_text("--max-message-size")
    expect(page.locator(f"{SENT} .rtt")).to_have_text("no answer")
    expect_state(page, "connected")  # again, by itself


@pytest.mark.parametrize(
    ("code", "name", "meaning"),
    [
        (1000, "Normal Closure", "ended in order"),
        (1001, "Going Away", "shutting down"),
        (1008, "Policy Violation", "has a rule against"),
        (1011, "Internal Error", "went wrong inside the server"),
        (1013, "Try Again Later", "too much to do"),
        (3999, "Registered Code", "library or framework"),
        (4321, "Private Code", "no public meaning"),
    ],
)
def test_a_close_is_named_and_explained(page, echo_server, code, name, meaning):
    use_instead_of_server(
        page, lambda connection, _message: connection.close(code=code, reason="<i>\u202ewhy")
    )
    open_page(page, echo_server)
    send(page, "anyone there?")
    closed = page.locator(f"{EVENT}[data-code='{code}']")
    expect(closed).to_contain_text(f"{code} {name}")
    expect(closed).to_contain_text(meaning)
    expect(closed.locator(".reason")).to_have_text("Reason given: <i>U+202Ewhy")
    expect(page.locator(f"{SENT} .rtt")).to_have_text("no answer")


def test_an_answer_to_the_previous_connection_is_not_taken_for_one_on_the_next(page, echo_server):
    """What is still unanswered when a connection ends is forgotten with it."""
    answers = []

    def close_first_echo_then(connection, message):
        answers.append(message)
        if len(answers) == 1:
            connection.close(code=1012)
        else:
            connection.send(message)

    use_instead_of_server(page, close_first_echo_then)
    open_page(page, echo_server)
    send(page, "lost")
    expect(page.locator(SENT)).to_have_attribute("data-level", "bad")
    expect(page.locator(f"{EVENT}[data-kind=opened]")).to_have_count(2)
    send(page, "kept")
    expect(page.locator(f"{RECEIVED} .rtt")).to_have_text(ROUND_TRIP)
    expect(page.locator(f"{RECEIVED} .problem")).to_have_count(0)


# ---- How it looks and who can use it


@pytest.mark.parametrize("width", [320, 390])
def test_at_phone_width_nothing_scrolls_sideways(page, echo_server, width):
    page.set_viewport_size({"width": width, "height": 844})
    open_page(page, echo_server)
    send(page, "x" * 5000)
    choose(page, "binary")
    send(page, "00" * 300)
    send(page, "not hex")
    expect(page.locator("#error")).not_to_be_empty()
    expect(page.locator(RECEIVED)).to_have_count(2)
    overflowing = page.evaluate(
        """() => [...document.querySelectorAll("html, body, #log-view, #log, #log *")]
            .filter((element) => element.scrollWidth > Math.max(element.clientWidth, 1) + 1)
            .filter((element) => getComputedStyle(element).display !== "inline")
            .map((element) => element.outerHTML.slice(0, 100))"""
    )
    assert overflowing == []
    expect(page.locator("#send")).to_be_in_viewport(ratio=1)


def test_light_and_dark_differ_and_neither_violates_a_rule_of_axe(page, server, complaints):
    complaints.failed_connections_expected = True
    open_page(page, server)
    send(page, "\u202ehello")
    choose(page, "binary")
    send(page, "zz")
    expect(page.locator("#error")).not_to_be_empty()
    expect(page.locator(RECEIVED)).to_have_count(1)
    connected = look(page)
    server.stop()
    expect(page.locator(f"{EVENT}[data-kind=failed]")).to_be_visible()
    disconnected = look(page)
    assert connected["light"] != connected["dark"]
    assert disconnected["light"] != disconnected["dark"]


def look(page):
    """The colours of the page in both schemes, once axe has looked at it in each."""
    colours = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        colours[scheme] = page.evaluate(
            "[document.body, document.querySelector('#state')]"
            ".map((e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor])"
        )
    return colours


def test_motion_is_reduced_on_request(page, echo_server):
    page.emulate_media(reduced_motion="reduce")
    open_page(page, echo_server)
    page.locator("#state").evaluate("state => { state.dataset.state = 'reconnecting' }")
    animation = "state => getComputedStyle(state, '::before').animationName"
    assert page.locator("#state").evaluate(animation) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert page.locator("#state").evaluate(animation) == "breathe"


def test_state_and_messages_are_announced_politely_and_the_countdown_is_not(page, echo_server):
    open_page(page, echo_server)
    expect(page.get_by_role("status")).to_have_id("state")
    expect(page.get_by_role("log", name="Messages")).to_have_id("log-view")
    expect(page.get_by_role("alert")).to_have_id("error")
    live = "[role=status], [role=log], [role=alert], [aria-live]"
    assert page.locator("#state-detail").evaluate("(e, live) => e.closest(live)", live) is None


def test_the_page_is_its_own_under_a_strict_policy(page, echo_server):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    response = open_page(page, echo_server)
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"

    html = response.text()
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", html) == []
    assert [url for url in requests if not url.startswith(f"{echo_server.url}/")] == []
