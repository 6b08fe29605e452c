"""The page in a real browser, against the real server: messages, and the connection."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import (
    EVENT,
    RECEIVED,
    SENT,
    expect_state,
    open_page,
    send,
    sockets_of,
    tab_to,
    use_instead_of_server,
)

LATER = 3_600_000  # on the page's clock that starts at 0: surely after the page has loaded
ROUND_TRIP = re.compile(r"^\d[\d,.]* ms$")


# ---- Sending and receiving


def test_what_is_sent_is_listed_with_its_echo_its_size_and_the_round_trip(page, echo_server):
    open_page(page, echo_server)
    send(page, "Grüße")
    echo = page.locator(RECEIVED)
    expect(echo.locator(".payload")).to_have_text("Grüße")
    expect(echo.locator(".size")).to_have_text("7 bytes")
    expect(echo.locator(".rtt")).to_have_text(ROUND_TRIP)
    expect(echo.locator(".direction")).to_contain_text("Received")
    expect(echo).to_have_attribute("data-kind", "text")
    expect(page.locator(f"{SENT} .payload")).to_have_text("Grüße")


def test_times_are_shown_to_the_millisecond_and_marked_up_for_machines(page, echo_server):
    open_page(page, echo_server)
    time = page.locator(f"{EVENT} time")
    expect(time).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    expect(time).to_have_attribute("datetime", re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z$"))


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


@pytest.mark.parametrize("fragment", ["", "#view=wire&target=inspect"])
def test_markup_stays_text(page, echo_server, fragment):
    open_page(page, echo_server, fragment)
    markup = "<img src=/x onerror='window.hacked=1'><script>window.hacked=1</script><b>bold</b>"
    send(page, markup)
    expect(page.locator("#log .body").get_by_text(markup).first).to_be_visible()
    expect(page.locator("#log").locator("img, script, b")).to_have_count(0)
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("fragment", ["", "#view=wire&target=inspect"])
def test_control_and_direction_characters_are_spelled_out(page, echo_server, fragment):
    open_page(page, echo_server, fragment)
    hostile = "a\u202egnp.exe\u2066\x1b[31m\u200b"
    page.evaluate("text => { document.querySelector('#message').value = text }", hostile)
    page.locator("#send").click()
    shown = page.locator("#log > li", has=page.locator(".unseen")).last
    expect(shown.locator(".unseen")).to_have_text(["U+202E", "U+2066", "U+001B", "U+200B"])
    assert not set("\u202e\u2066\x1b\u200b") & set(page.locator("#log").text_content())
    expect(shown.locator(".body")).to_have_css("unicode-bidi", "isolate")


def test_half_a_surrogate_pair_counts_as_what_was_sent(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").evaluate("field => { field.value = 'a\\ud800b' }")
    page.locator("#send").click()
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("a\ufffdb")
    expect(page.locator(f"{SENT} .size")).to_have_text("5 bytes")


# ---- The connection


def test_address_id_subprotocol_and_extensions_are_shown(page, echo_server):
    sockets = sockets_of(page)
    open_page(page, echo_server, "#protocols=chat,superchat")
    address = f"ws://127.0.0.1:{echo_server.port}/ws/echo"
    expect(page.locator("#address")).to_have_text(address)
    expect(page.locator("#connection-id")).to_have_text(re.compile("^[A-Za-z0-9_-]{22}$"))
    assert sockets[0].url == f"{address}?echo-id={page.locator('#connection-id').text_content()}"
    expect(page.locator("#protocol")).to_have_text("chat")
    expect(page.locator("#extensions")).to_contain_text("permessage-deflate")


def test_without_extension_and_subprotocol_the_page_says_so(page, start_server):
    open_page(page, start_server("--compression", "off"))
    expect(page.locator("#protocol")).to_have_text("none")
    expect(page.locator("#extensions")).to_have_text("none")


def test_subprotocols_to_offer_are_chosen_and_used_when_connecting_anew(page, echo_server):
    open_page(page, echo_server)
    page.locator("#protocols").fill("soap, v2.chat")
    page.locator("#protocols").press("Enter")
    expect(page.locator("#protocol")).to_have_text("soap")
    expect_state(page, "connected")
    expect(page.locator(f"{EVENT}[data-kind=opened]")).to_have_count(2)


def test_what_is_no_subprotocol_is_explained_and_not_offered(page, echo_server):
    sockets = sockets_of(page)
    open_page(page, echo_server)
    page.locator("#protocols").fill("\u202etahc")
    expect(page.locator("#protocols-error")).to_contain_text("“U+202Etahc” is no token")
    expect(page.locator("#protocols")).to_have_attribute("aria-invalid", "true")
    page.locator("#protocols").press("Enter")
    page.locator("#protocols").fill("chat chat")
    expect(page.locator("#protocols-error")).to_contain_text("“chat” is there twice")
    page.locator("#protocols").fill("")
    expect(page.locator("#protocols-error")).to_be_empty()
    assert len(sockets) == 1


def test_reconnecting_by_hand_closes_in_order_and_opens_anew(page, echo_server):
    open_page(page, echo_server)
    first = page.locator("#connection-id").text_content()
    page.locator("#connect").click()
    expect(page.locator("#connection-id")).not_to_have_text(first)
    expect_state(page, "connected")
    closed = page.locator(f"{EVENT}[data-kind=closed]")
    expect(closed).to_have_attribute("data-code", "1000")
    expect(page.locator(f"{EVENT} .title").last).to_contain_text("Connected")


def test_everything_works_with_the_keyboard_alone(page, echo_server):
    open_page(page, echo_server)
    tab_to(page, "#disconnect")
    page.keyboard.press("Enter")
    expect_state(page, "disconnected")
    expect(page.locator("#disconnect")).to_be_focused()
    tab_to(page, "#connect", "Shift+Tab")
    page.keyboard.press("Space")
    expect_state(page, "connected")

    tab_to(page, "input[name=target]:checked", "Shift+Tab")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#address")).to_have_text(re.compile("/ws/inspect$"))
    expect_state(page, "connected")
    tab_to(page, "input[name=view]:checked")
    page.keyboard.press("ArrowRight")
    tab_to(page, "#message")
    page.keyboard.type("by keys")
    tab_to(page, "#send")
    page.keyboard.press("Enter")
    expect(page.locator("[data-field=opcode]")).to_have_count(1)


def test_the_pause_is_counted_down_and_ends_at_once_when_the_network_is_back(
    page, server, complaints
):
    complaints.failed_connections_expected = True
    page.add_init_script("Math.random = () => 1")
    page.clock.install(time=0)
    open_page(page, server)
    page.clock.pause_at(LATER)
    server.stop()
    detail = page.locator("#state-detail")
    for attempt, pause in enumerate([1, 2], start=1):
        expect(detail).to_have_text(f"in {pause} s (attempt {attempt})")
        # Not longer: the attempt may fail while the clock still runs, and the next pause begin.
        page.clock.run_for(pause * 1000 + 1)
    expect(detail).to_have_text("in 4 s (attempt 3)")
    page.clock.run_for(1000)
    expect(detail).to_have_text("in 3 s (attempt 3)")
    server.start()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect_state(page, "connected")
    page.clock.run_for(1000)
    expect(page.locator(f"{EVENT}[data-kind=failed]")).to_have_count(1)


def test_who_disconnects_is_not_reconnected(page, echo_server):
    sockets = sockets_of(page)
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


# ---- How it looks and who can use it


@pytest.mark.parametrize("view", ["messages", "wire"])
def test_at_phone_width_nothing_scrolls_sideways(page, echo_server, view):
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, echo_server, f"#view={view}&target=inspect")
    send(page, "x" * 5000)
    page.locator("#disconnect").click()
    expect(page.locator(f"{EVENT}[data-kind=closed]")).to_be_visible()
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 844})
        overflowing = page.evaluate(
            """() => [...document.querySelectorAll(
                    "html, body, main, .card, #log-view, #log, #log *")]
                .filter((element) => element.scrollWidth > Math.max(element.clientWidth, 1) + 1)
                .filter((element) => !/inline|none/.test(getComputedStyle(element).display))
                .filter((element) => getComputedStyle(element).textOverflow !== "ellipsis")
                .map((element) => element.outerHTML.slice(0, 100))"""
        )
        assert overflowing == []


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
    expect(page.locator("#state")).to_have_role("status")
    news = page.get_by_role("log")
    expect(news).to_contain_text("Connected to the echo")
    send(page, "hear\u202ethis")
    expect(news).to_have_text("Received: hearU+202Ethis")
    live = "[role=status], [role=log], [role=alert], [aria-live]"
    assert page.locator("#state-detail").evaluate("(e, live) => e.closest(live)", live) is None
    assert page.locator("#log").evaluate("(e, live) => e.closest(live)", live) is None


def test_the_page_is_its_own_under_a_strict_policy(page, echo_server):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    response = open_page(page, echo_server, "#view=wire&target=inspect")
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    host = f"127.0.0.1:{echo_server.port}"
    assert policy["connect-src"] == f"'self' ws://{host} wss://{host}"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"

    html = response.text()
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", html) == []
    assert [url for url in requests if not url.startswith(f"{echo_server.url}/")] == []
