"""What the page says when a connection ends: in one sentence, from both sides' view."""

import re
import signal
import time

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import (
    EVENT,
    RECEIVED,
    SENT,
    answer_for_connections,
    expect_state,
    open_page,
    send,
    use_instead_of_server,
)

CLOSED = f"{EVENT}[data-kind=closed]"
ROUND_TRIP = re.compile(r"^\d[\d,.]* ms$")


def test_an_end_is_told_in_one_sentence_from_both_sides(page, echo_server):
    open_page(page, echo_server)
    send(page, "one")
    send(page, "two")
    expect(page.locator(RECEIVED)).to_have_count(2)
    page.locator("#disconnect").click()
    expect(page.locator(f"{CLOSED} .title")).to_have_text(
        re.compile(
            r"^You closed the connection with 1000 \(Normal Closure\); "
            r"the server got the browser.s close frame and answered it, "
            r"after [\d.,]+ m?s with 2 messages in and 2 out\.$"
        )
    )


def test_what_the_visitor_closes_with_is_told(page, echo_server):
    open_page(page, echo_server)
    use_code(page, "4002", "see you")
    expect(page.locator(CLOSED)).to_have_attribute("data-code", "4002")
    expect(page.locator(f"{CLOSED} .title")).to_contain_text("You closed the connection with 4002")
    expect_state(page, "disconnected")
    expect(page.locator(f"{CLOSED} .explanation")).to_have_text(re.compile("^You chose this code"))


@pytest.fixture
def hung(page, complaints, start_server):
    """The page, connected to a server that does nothing any more."""
    complaints.failed_connections_expected = True
    server = start_server()
    open_page(page, server)
    server.process.send_signal(signal.SIGSTOP)
    yield page
    server.process.send_signal(signal.SIGCONT)


def test_a_close_that_the_server_does_not_answer_is_given_up_after_a_while(hung):
    hung.locator("#disconnect").click()
    expect(hung.locator("#disconnect")).to_have_text("Give up")
    expect_state(hung, "disconnected")
    expect(hung.locator(f"{CLOSED} .title")).to_contain_text("and got no answer in time")


def test_a_close_that_the_server_does_not_answer_can_be_given_up_at_once(hung):
    hung.clock.install()
    hung.clock.pause_at(time.time() + 60)
    hung.locator("#disconnect").click()
    expect_state(hung, "disconnecting")
    hung.locator("#disconnect").click()
    expect_state(hung, "disconnected")
    hung.clock.resume()
    expect(hung.locator(CLOSED)).to_have_count(1)


def use_code(page, code, reason):
    """Close with the composer's form."""
    page.get_by_role("button", name="Close…").click()
    page.locator("#closing input").nth(0).fill(code)
    page.locator("#closing input").nth(1).fill(reason)
    page.locator("#closing input").nth(1).press("Enter")


def test_too_big_a_message_is_explained_by_both_sides(page, start_server):
    server = start_server("--max-message-size", "1000")
    open_page(page, server)
    send(page, "x" * 100_000)
    closed = page.locator(f"{EVENT}[data-code='1009']")
    expect(closed).to_contain_text("The server closed the connection with 1009 (Message Too Big)")
    expect(closed).to_contain_text("the server says that one of its limits was reached")
    expect(closed).to_contain_text("--max-message-size")
    expect(page.locator(f"{SENT} .rtt")).to_have_text("no answer")
    expect_state(page, "connected")  # again, by itself


def test_a_server_that_stops_and_comes_back_is_reconnected_to(page, server, complaints):
    complaints.failed_connections_expected = True
    open_page(page, server)
    server.stop()
    expect_state(page, "reconnecting")
    expect(page.locator("#state-detail")).to_have_text(re.compile(r"in \d+ s \(attempt \d+\)"))
    expect(page.locator("#connect")).to_have_text("Connect now")
    closed = page.locator(f"{EVENT}[data-code='1001']")
    expect(closed).to_contain_text("The server closed the connection with 1001 (Going Away)")
    failed = page.locator(f"{EVENT}[data-kind=failed]")
    expect(failed).to_contain_text("Could not connect, 2 attempts so far")
    expect(failed).to_contain_text("The server does not answer at all")
    expect(failed).to_have_count(1)
    server.start()
    expect_state(page, "connected")
    send(page, "back again")
    expect(page.locator(f"{RECEIVED} .payload")).to_have_text("back again")


def test_a_server_that_is_killed_is_asked_again_once_it_is_back(page, server, complaints):
    complaints.failed_connections_expected = True
    open_page(page, server)
    server._end(signal.SIGKILL)
    closed = page.locator(CLOSED)
    expect(closed).to_contain_text("The connection was lost without a closing handshake (1006)")
    expect(closed).to_contain_text("the server could not be asked what it saw")
    server.start()
    expect_state(page, "connected")
    expect(closed).to_contain_text("the server no longer knows this connection")


def test_a_slow_server_is_waited_for_and_can_be_given_up(page, server, complaints):
    complaints.failed_connections_expected = True
    open_page(page, server)
    server.process.send_signal(signal.SIGSTOP)
    try:
        send(page, "take your time")
        expect(page.locator(SENT)).to_have_count(1)
        expect(page.locator(RECEIVED)).to_have_count(0)
        page.locator("#connect").click()  # reconnect: the old connection does not answer
        expect_state(page, "connecting")
        page.locator("#disconnect").click()
        expect_state(page, "disconnected")
        cancelled = page.locator(f"{EVENT}[data-kind=cancelled]")
        expect(cancelled).to_contain_text("You cancelled the attempt to connect")
    finally:
        server.process.send_signal(signal.SIGCONT)
    page.locator("#connect").click()
    expect_state(page, "connected")
    send(page, "awake?")
    expect(page.locator(f"{RECEIVED} .payload").last).to_have_text("awake?")


def test_the_server_is_asked_with_the_id_that_the_page_shows(page, echo_server):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, echo_server)
    shown = page.locator("#connection-id").text_content()
    page.locator("#disconnect").click()
    expect(page.locator(f"{CLOSED} .title")).to_contain_text("; the server got")
    assert asked[-1] == f"{echo_server.url}/ws/connections/{shown}"
    expect(page.locator("#connection-id")).to_have_text(shown)


def test_a_close_with_a_reason_is_explained(page, echo_server):
    use_instead_of_server(
        page, lambda connection, _message: connection.close(code=4321, reason="<i>\u202ewhy")
    )
    answer_for_connections(page, {"state": "closed", "cause": "<b>new</b>"})
    open_page(page, echo_server)
    send(page, "anyone there?")
    closed = page.locator(f"{EVENT}[data-code='4321']")
    expect(closed).to_contain_text("with 4321; the server saw it end.")
    expect(closed).to_contain_text("no public meaning")
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
