"""The list of the log, module by module: ten thousand entries, of which few are drawn."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import RECEIVED, expect_rows_in_place, open_without_application, run

ROWS = "#log > li"

#: A log of at most ``limit`` entries in ``window.log`` and its list on the page.
SHOW = """({ Log }, { VirtualList }, { messagesView }, { TEXTS }, limit) => {
    window.log = new Log(limit);
    const element = document.querySelector("#log");
    element.dataset.view = "messages";
    const list = new VirtualList(log, document.querySelector("#log-view"), element, () => {});
    list.show(messagesView.shows, (entry) => messagesView.draw(entry, TEXTS.en), 43);
    window.add = (number, lines = 1) => log.add({
        at: "2020-01-01T12:00:00.000Z", type: "message", direction: "received", state: "echo",
        kind: "text", text: `message ${number}\\n`.repeat(lines), bytes: 7, omitted: 0,
    });
}"""


@pytest.fixture
def listed(page, echo_server):
    """The page, not started, with an empty list."""
    open_without_application(page, echo_server)
    modules = "log/log.js log/virtual_list.js log/messages_view.js i18n/texts.js"
    run(page, modules, SHOW, 10_000)
    return page


def pour(page, count, lines="1"):
    """Add so many entries of so many lines, which may depend on the number n."""
    page.evaluate(f"count => {{ for (let n = 0; n < count; n += 1) add(n, {lines}); }}", count)


def test_of_ten_thousand_entries_the_newest_are_kept_and_few_are_drawn(listed):
    page = listed
    pour(page, 10_500)
    expect(page.locator(f"{RECEIVED} .body").last).to_have_text("message 10499")
    assert page.evaluate("log.dropped") == 500
    expect(page.locator(ROWS).last).to_have_attribute("aria-posinset", "10000")
    expect(page.locator(ROWS).last).to_have_attribute("aria-setsize", "10000")
    assert page.locator(ROWS).count() < 60

    view = page.locator("#log-view")
    view.evaluate("view => { view.scrollTop = 0 }")
    expect(page.locator(f"{RECEIVED} .body").first).to_have_text("message 500")
    assert page.locator(ROWS).count() < 60
    view.evaluate("view => { view.scrollTop = view.scrollHeight / 2 }")
    expect(page.locator(ROWS).first).to_have_attribute("aria-posinset", re.compile(r"^[45]\d{3}$"))
    expect_rows_in_place(page)


def test_ten_thousand_entries_scroll_smoothly(listed):
    page = listed
    pour(page, 10_000)
    expect(page.locator("#log")).to_have_attribute("data-length", "10000")
    slowest = page.locator("#log-view").evaluate(
        """async (view) => {
            const draw = () => new Promise((done) => requestAnimationFrame(done));
            let slowest = 0;
            for (let step = 0; step < 60; step += 1) {
                await draw();
                view.scrollTop -= 700;
                view.dispatchEvent(new Event("scroll"));
                const before = performance.now();
                await draw();
                await Promise.resolve();
                slowest = Math.max(slowest, performance.now() - before);
            }
            return slowest;
        }"""
    )
    assert (
        slowest < 3000
    )  # milliseconds; to draw all of them would take longer, even on a fast machine
    expect_rows_in_place(page)


#: The position in the list of the row in the middle of the view, and where it is.
MIDDLE = """() => {
    const view = document.querySelector("#log-view").getBoundingClientRect();
    const y = view.top + view.height / 2;
    const row = document.elementFromPoint(view.left + 50, y).closest("#log > li");
    return [row.getAttribute("aria-posinset"), row.getBoundingClientRect().top];
}"""

MOVED = """([position, top, distance]) => {
    const row = document.querySelector(`#log > [aria-posinset="${position}"]`);
    return row && Math.abs(row.getBoundingClientRect().top - top - distance) < 1;
}"""


def test_what_is_looked_at_stays_in_place_while_heights_become_known(listed):
    page = listed
    pour(page, 300, "1 + n % 9")
    expect(page.locator("#log")).to_have_attribute("data-length", "300")
    expect(page.locator(f"{RECEIVED} .body").last).to_contain_text("message 299")
    page.locator("#log-view").hover()
    for _ in range(12):
        # A row in view goes down by as much as the wheel is turned, whatever is drawn above it.
        middle = page.evaluate(MIDDLE)
        page.mouse.wheel(0, -200)
        page.wait_for_function(MOVED, arg=[*middle, 200])
        expect_rows_in_place(page)


def test_home_and_end_lead_to_the_ends(listed):
    page = listed
    pour(page, 300, "5")
    expect(page.locator("#log")).to_have_attribute("data-length", "300")
    page.locator("#log-view").focus()
    page.keyboard.press("Home")
    expect(page.locator(RECEIVED).first).to_contain_text("message 0")
    expect(page.locator(RECEIVED).first).to_be_in_viewport(ratio=1)
    page.keyboard.press("End")
    expect(page.locator(RECEIVED).last).to_contain_text("message 299")
    expect(page.locator(RECEIVED).last).to_be_in_viewport()


def test_an_entry_that_another_replaces_leaves_no_gap(listed):
    page = listed
    pour(page, 30)
    page.evaluate("log.remove(log.entries[28])")
    expect(page.locator("#log")).to_have_attribute("data-length", "29")
    expect(page.locator(f"{RECEIVED} .body").last).to_have_text("message 29")
    expect_rows_in_place(page)
