"""The load of the page in a real browser, on a WebSocket of its own."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import RECEIVED, expect_no_violation, open_page

ROOT = "#load-root"
OUTCOME = f"{ROOT} .outcome"


def start(page, messages=100, size=64, window=16):
    page.locator("#load-messages").fill(str(messages))
    page.locator("#load-size").fill(str(size))
    page.locator("#load-window").fill(str(window))
    page.locator("#load-start").click()


def statistic(page, name):
    return page.locator(f"{ROOT} [data-name={name}]")


def use_for_load(page, on_message, on_open=lambda _connection: None):
    """Answer the load's WebSocket in the test: its address is without the id of the page's own."""
    connections = []

    def accept(connection):
        connections.append(connection)
        connection.on_message(lambda message: on_message(connection, message))
        on_open(connection)

    page.route_web_socket(re.compile("/ws/echo$"), accept)
    return connections


def test_the_messages_come_back_and_are_measured(page, echo_server):
    open_page(page, echo_server)
    start(page, 500, 1000, 20)
    expect(page.locator(OUTCOME)).to_have_text(
        re.compile(r"^Done: all 500 messages came back unchanged in \d+\.\d\d s\.$")
    )
    expect(statistic(page, "messages")).to_have_text(re.compile(r"^[\d,.]+$"))
    expect(statistic(page, "bytes")).to_have_text(re.compile(r"^[\d.]+ [kMG]?B/s$"))
    for name in ("min", "median", "p95", "p99", "max"):
        expect(statistic(page, name)).to_have_text(re.compile(r"^[\d,.]+ ms$"))
    times = [
        float(statistic(page, name).text_content().split()[0].replace(",", ""))
        for name in ("min", "median", "p95", "p99", "max")
    ]
    assert times == sorted(times)
    counts = page.locator(f"{ROOT} .count").all_text_contents()
    assert sum(int(count.replace(",", "")) for count in counts) == 500
    expect(page.locator("#load-start")).to_have_text("Start")
    expect(page.locator(RECEIVED)).to_have_count(0)  # it is no part of the conversation


def test_the_bounds_work(page, echo_server):
    open_page(page, echo_server)
    for messages, size, window in [(1, 0, 1), (3, 1, 1000), (4, 1024 * 1024, 2), (3000, 7, 1000)]:
        start(page, messages, size, window)
        counted = f"all {messages:,} messages" if messages > 1 else "the message"
        expect(page.locator(OUTCOME)).to_contain_text(f"Done: {counted} came back unchanged")


def test_the_histogram_is_a_table_with_a_bar_for_each_bucket(page, echo_server):
    open_page(page, echo_server)
    start(page, 200, 10, 5)
    expect(page.locator(OUTCOME)).to_contain_text("Done")
    table = page.get_by_role("table", name="Round-trip times")
    expect(table).to_be_visible()
    expect(table.get_by_role("rowheader").first).to_have_text(
        re.compile(r"^(under [\d.]+ ms|[\d.,]+\u2013[\d.,]+ ms)$")
    )
    widths = table.locator(".bar-of-count").evaluate_all("bars => bars.map((b) => b.offsetWidth)")
    counts = [int(text.replace(",", "")) for text in table.locator(".count").all_text_contents()]
    assert widths.index(max(widths)) == counts.index(max(counts))


def test_no_more_than_the_window_is_in_flight(page, echo_server):
    waiting = []
    most = []

    def answer(connection, message):
        waiting.append(message)
        most.append(len(waiting))
        if len(waiting) == 7 or len(most) > 93:
            for held in waiting:
                connection.send(held)
            waiting.clear()

    use_for_load(page, answer)
    open_page(page, echo_server)
    start(page, 100, 10, 7)
    expect(page.locator(OUTCOME)).to_contain_text("Done: all 100 messages")
    assert max(most) == 7
    assert len(most) == 100


def test_it_can_be_stopped_and_started_again(page, echo_server):
    received = []

    def answer_ten(connection, message):
        received.append(message)
        if len(received) <= 10:
            connection.send(message)

    use_for_load(page, answer_ten)
    open_page(page, echo_server)
    start(page, 1000, 10, 5)
    expect(page.locator(f"{ROOT} .progress")).to_have_text("10 of 1,000 messages came back")
    expect(page.get_by_role("progressbar", name="Load")).to_have_attribute("value", "10")
    expect(page.locator("#load-start")).to_have_text("Stop")
    page.locator("#load-start").click()
    expect(page.locator(OUTCOME)).to_have_text(
        "Stopped: 10 of 1,000 messages came back, unchanged."
    )
    expect(page.locator("#load-start")).to_have_text("Start")
    received.clear()
    start(page, 10, 10, 5)
    expect(page.locator(OUTCOME)).to_contain_text("Done: all 10 messages")


def test_it_can_be_stopped_before_the_connection_is_open(page, echo_server, complaints):
    complaints.failed_connections_expected = True
    open_page(page, echo_server)
    page.evaluate(
        """() => {
            document.querySelector("#load-start").click();
            document.querySelector("#load-start").click();
        }"""
    )
    expect(page.locator(OUTCOME)).to_contain_text("Stopped: 0 of 1,000 messages")
    page.locator("#load-start").click()
    expect(page.locator(OUTCOME)).to_contain_text("Done")


def changed(message):
    return message[:5] + bytes([message[5] ^ 1]) + message[6:]


def test_every_byte_is_checked(page, echo_server):
    received = []
    answers = []

    def answer_third_differently(connection, message):
        received.append(message)
        connection.send(answers[-1](message) if len(received) == 3 else message)

    use_for_load(page, answer_third_differently)
    open_page(page, echo_server)
    for answer, says in [
        (changed, r"message 3 came back changed: its byte 6 is (\w\w) in place of (?!\1)"),
        (lambda message: message[:-1], "message 3 came back with 9 bytes in place of 10."),
        (lambda message: message + b"x", "message 3 came back with 11 bytes in place of 10."),
        (lambda _: "x" * 10, "message 3 came back as text, and not as the bytes"),
    ]:
        received.clear()
        answers.append(answer)
        start(page, 100, 10, 1)
        expect(page.locator(OUTCOME)).to_have_text(re.compile(f"^Stopped: {says}"))
        expect(page.locator(OUTCOME)).to_have_attribute("data-level", "bad")
        assert len(received) == 3


def test_echoes_in_another_order_are_noticed(page, echo_server):
    waiting = []

    def swap(connection, message):
        waiting.append(message)
        if len(waiting) == 2:
            connection.send(waiting[1])
            connection.send(waiting[0])

    use_for_load(page, swap)
    open_page(page, echo_server)
    start(page, 2, 100, 2)
    expect(page.locator(OUTCOME)).to_contain_text("Stopped: message 1 came back changed")


def test_a_message_that_was_not_sent_is_noticed(page, echo_server):
    def answer_twice(connection, message):
        connection.send(message)
        connection.send(message)

    use_for_load(page, answer_twice)
    open_page(page, echo_server)
    start(page, 5, 10, 1)
    expect(page.locator(OUTCOME)).to_contain_text(
        re.compile("a message came back that was not sent|message 2 came back changed")
    )


def test_a_connection_that_ends_early_is_told_with_its_code_and_reason(page, echo_server):
    received = []

    def answer_four(connection, message):
        received.append(message)
        if len(received) <= 4:
            connection.send(message)
        else:
            connection.close(code=4001, reason="<b>\u202eenough")

    use_for_load(page, answer_four)
    open_page(page, echo_server)
    start(page, 50, 10, 1)
    expect(page.locator(OUTCOME)).to_have_text(
        "The connection ended early, with code 4001 (<b>U+202Eenough): 4 of 50 messages came back."
    )
    expect(page.locator(f"{OUTCOME} b")).to_have_count(0)
    expect(page.locator(f"{ROOT} .count").first).to_be_visible()  # what was measured stays


def test_a_message_too_big_for_the_server_ends_it(page, start_server):
    server = start_server("--max-message-size", "1000")
    open_page(page, server)
    start(page, 5, 1001, 1)
    expect(page.locator(OUTCOME)).to_contain_text("ended early, with code 1009")


def test_without_a_server_it_says_so(page, server, complaints):
    complaints.failed_connections_expected = True
    open_page(page, server)
    server.stop()
    start(page)
    expect(page.locator(OUTCOME)).to_have_text(
        "No connection came about. Is the server running, and does it accept one more connection?"
    )


@pytest.mark.parametrize(
    ("values", "field", "complaint"),
    [
        ({"messages": 100_001}, "messages", "Messages: a whole number from 1 to 100,000, please."),
        ({"size": ""}, "size", "Bytes each: a whole number from 0 to 1,048,576, please."),
        ({"window": -1}, "window", "In flight: a whole number from 1 to 1,000, please."),
        (
            {"messages": 1000, "size": "1,048,576", "window": 65},
            "size",
            re.compile("^68,157,440 bytes would be in flight at once, .* Take fewer or smaller"),
        ),
    ],
)
def test_inputs_are_bounded(page, echo_server, values, field, complaint):
    open_page(page, echo_server)
    start(page, **values)
    expect(page.locator(f"{ROOT} [role=alert]")).to_have_text(complaint)
    expect(page.locator(f"#load-{field}")).to_be_focused()
    expect(page.locator(f"#load-{field}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#load-{field}")).to_have_accessible_description(complaint)
    expect(page.locator("#load-start")).to_have_text("Start")
    page.locator(f"#load-{field}").fill("10")
    expect(page.locator(f"{ROOT} [role=alert]")).to_be_empty()


def test_the_page_stays_alive_under_load(page, echo_server):
    """While it goes on the page draws, its timers come, and its own connection echoes."""
    open_page(page, echo_server)
    for name, value in (("messages", 10_000), ("size", 16), ("window", 1000)):
        page.locator(f"#load-{name}").fill(str(value))
    signs = page.evaluate(
        """() => new Promise((resolve) => {
            const $ = (selector) => document.querySelector(selector);
            const signs = { frames: 0, timers: 0, longest: 0, echo: false };
            let last = performance.now();
            const frame = () => { signs.frames += 1; requestAnimationFrame(frame); };
            const timer = () => {
                signs.timers += 1;
                signs.longest = Math.max(signs.longest, performance.now() - last);
                last = performance.now();
                if (signs.timers === 10) {
                    $("#message").value = "in between";
                    $("#composer").requestSubmit();
                }
                if ($("#load-root .outcome").textContent) return resolve(signs);
                signs.echo ||= $('#log > [data-direction="received"]') !== null;
                setTimeout(timer, 0);
            };
            $("#load-start").click();
            frame();
            timer();
        })"""
    )
    expect(page.locator(OUTCOME)).to_contain_text("Done: all 10,000 messages")
    assert signs["echo"], "the echo of the page's own connection came only after the load"
    assert signs["frames"] > 10
    assert signs["timers"] > 10
    assert signs["longest"] < 3000  # milliseconds, on a machine that may have other work


def test_it_works_with_the_keyboard_and_speaks_both_languages(page, echo_server):
    open_page(page, echo_server)
    page.locator("#load-messages").fill("20")
    page.locator("#load-messages").press("Enter")
    expect(page.locator(OUTCOME)).to_contain_text("Done: all 20 messages")
    expect(page.locator(OUTCOME)).to_have_attribute("aria-live", "polite")
    page.locator("#language").click()
    expect(page.locator(OUTCOME)).to_contain_text("20 条消息全部原样返回")
    expect(page.get_by_label("消息数")).to_have_value("20")
    expect(page.get_by_role("table", name="往返时间分布")).to_be_visible()
    page.get_by_label("消息数").fill("x")
    page.locator("#load-start").click()
    expect(page.locator(f"{ROOT} [role=alert]")).to_have_text(
        re.compile("消息数.请输入 1 到 100,000 之间的整数。")
    )


def test_no_state_of_the_load_violates_a_rule_of_axe(page, echo_server):
    use_for_load(page, lambda *_: None)
    open_page(page, echo_server)
    start(page)
    expect(page.locator(f"{ROOT} .progress")).to_contain_text("0 of 100 messages came back")
    expect_no_violation(page, ROOT)
    page.locator("#load-start").click()
    start(page, messages="many")
    expect_no_violation(page, ROOT)


def test_the_result_violates_no_rule_of_axe_and_fits_a_phone(page, echo_server):
    page.set_viewport_size({"width": 320, "height": 844})
    open_page(page, echo_server)
    start(page, 300)
    expect(page.locator(OUTCOME)).to_contain_text("Done")
    expect_no_violation(page, ROOT)
    root = page.locator(ROOT).bounding_box()
    for element in page.locator(f"{ROOT} :is(dd, dt, input, button, td, caption, p)").all():
        box = element.bounding_box()
        assert box is None or box["x"] + box["width"] <= root["x"] + root["width"]
