"""The page's connection, module by module: when it connects, and whom it asks about an end."""

import re

import pytest

from tests.e2e.browser import open_without_application, run

#: A Client in ``window.client``; what it tells is in ``window.told``.
MAKE = """({ Client, makeId }, address) => {
    window.told = [];
    window.links = 0;
    window.client = new Client({
        plan: () => (
            { target: "echo", protocols: [], id: makeId(), address: (links += 1, address) }),
        state: (name, detail) => told.push([name, detail]),
        opened: () => told.push(["opened"]),
        message: (link, payload) => told.push(["message", payload, link.waiting.length]),
        closed: (link, { code }, attempts) => told.push(["closed", code, attempts]),
        stopped: () => told.push(["stopped"]),
    });
}"""


def make_client(page, address):
    run(page, "connection/client.js", MAKE, address)


def wait_for(page, name, count=1):
    page.wait_for_function(
        "([name, count]) => told.filter(([what]) => what === name).length >= count",
        arg=[name, count],
    )


def told(page):
    return [what for what, *_ in page.evaluate("told")]


@pytest.fixture
def echo_client(page, echo_server):
    """The page with a Client that was asked to connect, and has."""
    open_without_application(page, echo_server)
    make_client(page, f"ws://127.0.0.1:{echo_server.port}/ws/echo")
    page.evaluate("client.connect()")
    wait_for(page, "connected")
    return page


def test_a_client_connects_sends_and_closes(echo_client):
    page = echo_client
    assert page.evaluate("[client.send('one', 1), client.isOpen]") == [True, True]
    wait_for(page, "message")
    assert page.evaluate("client.close(4000, 'done')") is None
    assert page.evaluate("[client.send('two', 2), client.isOpen]") == [False, False]
    wait_for(page, "disconnected")
    assert page.evaluate("told") == [
        ["connecting", None],
        ["opened"],
        ["connected", None],
        ["message", "one", 1],
        ["disconnecting", None],
        ["closed", 4000, 0],
        ["disconnected", None],
    ]


def test_a_client_has_one_connection_however_often_it_is_asked(echo_client):
    page = echo_client
    page.evaluate("client.connect(); client.connect(); client.retryAtOnce()")
    assert page.evaluate("links") == 1
    page.evaluate("client.connectByHand(); client.reconnect(); client.connectByHand()")
    wait_for(page, "connected", 2)
    assert page.evaluate("links") == 2
    assert told(page)[3:] == ["disconnecting", "closed", "connecting", "opened", "connected"]


def test_what_may_not_be_sent_in_a_close_changes_nothing(echo_client):
    page = echo_client
    assert page.evaluate(
        "(() => { try { client.close(1001) } catch (e) { return e.name } })()"
    ) == ("InvalidAccessError")
    assert page.evaluate("client.isOpen")


@pytest.fixture
def refused_client(page, echo_server, complaints):
    """The page with a Client whose handshakes are refused, on a clock of the test's own."""
    complaints.failed_connections_expected = True
    page.clock.install(time=0)
    open_without_application(page, echo_server)
    make_client(page, f"ws://127.0.0.1:{echo_server.port}/ws/nothing")
    return page


@pytest.mark.parametrize("random", [0, 1])
def test_pauses_grow_to_half_a_minute_and_are_a_little_random(refused_client, random):
    page = refused_client
    page.evaluate(f"Math.random = () => {random}")
    page.clock.pause_at(3_600_000)
    page.evaluate("client.connect()")
    for attempt, longest in enumerate([1, 2, 4, 8, 16, 30, 30], start=1):
        wait_for(page, "closed", attempt)
        pause = round(longest * 1000 * (0.8 + 0.2 * random))
        seconds = -(-pause // 1000)
        state = ["reconnecting", {"seconds": seconds, "attempt": attempt + 1}]
        assert page.evaluate("told.at(-1)") == state
        page.clock.run_for(pause - 10)
        assert page.evaluate("links") == attempt
        page.clock.run_for(11)
        assert page.evaluate("links") == attempt + 1


def test_a_pause_ends_at_once_on_request_and_can_be_stopped(refused_client):
    page = refused_client
    page.clock.pause_at(3_600_000)
    page.evaluate("client.connect()")
    wait_for(page, "closed")
    page.evaluate("client.retryAtOnce()")
    assert page.evaluate("links") == 2
    wait_for(page, "closed", 2)
    page.evaluate("client.close()")
    assert told(page)[-2:] == ["stopped", "disconnected"]
    page.clock.run_for(120_000)
    page.evaluate("client.retryAtOnce()")
    assert page.evaluate("links") == 2


def test_ids_are_16_random_bytes_in_base64url(module_page):
    make = "(m) => Array.from({ length: 100 }, () => m.makeId())"
    ids = run(module_page, "connection/client.js", make)
    assert len(set(ids)) == 100
    assert all(re.fullmatch("[A-Za-z0-9_-]{22}", made) for made in ids)


# ---- What the server knows of a connection

ASK = """({ askServer }) => askServer("/ws/connections/x", 500)"""


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        ({"json": {"state": "open"}}, {"state": "open"}),
        ({"json": {"state": "closed", "code": 1000}}, {"state": "closed", "code": 1000}),
        ({"json": {"state": "<b>odd</b>"}}, {"state": "unreachable"}),
        ({"json": None}, {"state": "unreachable"}),
        ({"json": {"state": "refused", "status": 403}}, {"state": "refused", "status": 403}),
        ({"body": "no JSON"}, {"state": "unreachable"}),
        (None, {"state": "unreachable"}),  # no answer at all
    ],
)
def test_what_the_server_answers_about_a_connection_is_checked(module_page, answer, known):
    asked = "**/ws/connections/x"
    module_page.route(asked, lambda route: answer and route.fulfill(**answer))
    try:
        assert run(module_page, "connection/client.js", ASK) == known
    finally:
        module_page.unroute(asked)


def test_another_answer_is_told_with_its_status_and_its_reason(page, echo_server, complaints):
    complaints.failed_connections_expected = True  # a 503, which Chromium reports
    open_without_application(page, echo_server)
    full = {"status": 503, "body": f"full{'!' * 1000}\n"}
    page.route("**/ws/connections/x", lambda route: route.fulfill(**full))
    known = run(page, "connection/client.js", ASK)
    assert known == {"state": "unreachable", "status": 503, "reason": f"full{'!' * 496}"}


def test_a_connection_that_the_server_does_not_know_is_unknown(page, echo_server, complaints):
    complaints.failed_connections_expected = True  # a 404, which Chromium reports
    open_without_application(page, echo_server)
    assert run(page, "connection/client.js", ASK) == {"state": "unknown"}
