"""The composer of the page in a real browser: what can be typed, chosen, repeated and closed."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import (
    RECEIVED,
    SENT,
    choose,
    expect_no_violation,
    expect_state,
    open_page,
    send,
    tab_to,
)

ROOT = "#composer-root"

HOSTILE_NAME = "<img src=x onerror=alert(1)>\u202egnp.exe"


def open_tool(page, panel):
    page.locator(f"[aria-controls={panel}]").click()
    expect(page.locator(f"#{panel}")).to_be_visible()


def choose_file(page, content, name="some.file"):
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator("#file").set_input_files(file)
    expect(page.locator(".file")).to_be_visible()


def drag(page, event, *files, over="#message"):
    """Hold files (names and contents) over an element, or drop them on it."""
    page.locator(over).evaluate(
        """(field, [type, files]) => {
            const dataTransfer = new DataTransfer();
            for (const [name, text] of files) dataTransfer.items.add(new File([text], name));
            const how = { dataTransfer, bubbles: true, cancelable: true };
            field.dispatchEvent(new DragEvent(type, how));
        }""",
        [event, [list(file) for file in files]],
    )


def expect_field(page, text, kind="text"):
    expect(page.locator("#message")).to_have_value(text)
    expect(page.locator(f"input[name=kind][value={kind}]")).to_be_checked()


# ---- JSON


def test_json_is_sent_as_it_was_typed(page, echo_server):
    open_page(page, echo_server)
    choose(page, "json")
    typed = '{"b": 1.0, "a": 12345678901234567890, "a": "\\u00e9"}'
    send(page, typed)
    expect(page.locator(f"{RECEIVED} .body")).to_have_text(typed)
    expect(page.locator(RECEIVED)).to_have_attribute("data-kind", "text")


def test_json_is_checked_as_it_is_typed_with_the_place_of_an_error(page, echo_server):
    open_page(page, echo_server)
    choose(page, "json")
    page.locator("#message").fill('{"a": 1,\n}')
    expect(page.locator("#hint")).to_contain_text("“}” in line 2, column 1. Expected there: a name")
    expect(page.locator("#error")).to_be_empty()  # nobody asked to send it yet
    page.locator("#message").fill('{"a": 1}')
    expect(page.locator("#hint")).to_have_text("This is JSON.")


def test_bad_json_stays_and_the_caret_goes_to_the_error(page, echo_server):
    open_page(page, echo_server)
    choose(page, "json")
    send(page, "[1, x]")
    expect(page.locator("#error")).to_contain_text("Nothing was sent. Not JSON: “x” in line 1")
    expect(page.locator("#message")).to_have_attribute("aria-invalid", "true")
    assert page.locator("#message").evaluate("field => field.selectionStart") == 4
    expect(page.locator(SENT)).to_have_count(0)
    page.locator("#message").press_sequentially("2")
    expect(page.locator("#error")).to_be_empty()
    page.locator("#message").press("Delete")
    expect(page.locator("#hint")).to_have_text("This is JSON.")


def test_json_is_laid_out_on_request(page, echo_server):
    open_page(page, echo_server)
    expect(page.locator("#format")).to_be_hidden()
    choose(page, "json")
    page.locator("#message").fill('{"2":1.0,"1":[]}')
    page.locator("#format").click()
    expect(page.locator("#message")).to_have_value('{\n  "2": 1.0,\n  "1": []\n}')
    expect(page.locator("#message")).to_be_focused()

    page.locator("#message").fill("[")
    page.locator("#format").click()
    expect(page.locator("#error")).to_contain_text("it ends in line 1, column 2")
    expect(page.locator("#message")).to_have_value("[")


# ---- Hex


def test_bad_hex_stays_with_a_reason_that_is_said_in_both_languages(page, echo_server):
    open_page(page, echo_server)
    choose(page, "binary")
    send(page, "48 65 6g")
    expect(page.locator("#error")).to_contain_text("Nothing was sent. “g” at position 8 is not")
    expect(page.locator("#message")).to_have_value("48 65 6g")
    page.locator("#language").click()
    expect(page.locator("#error")).to_contain_text("未发送任何内容")
    expect(page.get_by_role("radio", name="十六进制")).to_be_checked()


# ---- Files


def test_a_file_is_sent_as_one_binary_message(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").fill("a draft")
    choose_file(page, b"\x00\xff\xfe", "three.bin")
    expect(page.locator(".file")).to_contain_text("three.bin")
    expect(page.locator(".file")).to_contain_text("3 bytes.")
    expect(page.locator(".file")).to_contain_text("it is not valid UTF-8")
    expect(page.locator("#file-as-text")).to_be_hidden()
    expect(page.locator("#send")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(f"{RECEIVED} .body")).to_have_text("00 ff fe")
    expect(page.locator(RECEIVED)).to_have_attribute("data-kind", "binary")
    expect(page.locator(".file")).to_be_hidden()
    expect_field(page, "a draft")
    expect(page.locator("#message")).to_be_focused()


def test_a_file_of_utf8_goes_as_text_when_wanted_and_unchanged(page, echo_server):
    open_page(page, echo_server)
    content = "\ufeffGrüße".encode()
    choose_file(page, content)
    expect(page.locator(".file")).to_contain_text("Goes as one binary message.")
    page.get_by_label("Send as text").check()
    expect(page.locator(".file")).to_contain_text("Goes as one text message.")
    page.locator("#send").click()
    expect(page.locator(RECEIVED)).to_have_attribute("data-kind", "text")
    expect(page.locator(f"{RECEIVED} .size")).to_have_text(f"{len(content)} bytes")

    choose_file(page, content)
    page.locator("#send").click()
    expect(page.locator(RECEIVED).nth(1)).to_have_attribute("data-kind", "binary")


def test_a_file_can_be_removed(page, echo_server):
    open_page(page, echo_server)
    choose_file(page, b"secret")
    page.get_by_role("button", name="Remove file").click()
    expect(page.locator(".file")).to_be_hidden()
    expect(page.locator("#message")).to_be_focused()
    send(page, "instead")
    expect(page.locator(f"{RECEIVED} .body")).to_have_text("instead")


def test_the_name_of_a_file_is_never_markup(page, echo_server):
    open_page(page, echo_server)
    drag(page, "drop", (HOSTILE_NAME, "x"))
    expect(page.locator(".file-name")).to_have_text("<img src=x onerror=alert(1)>U+202Egnp.exe")
    expect(page.locator(".file img")).to_have_count(0)


def test_a_file_is_dropped_on_the_field(page, echo_server):
    open_page(page, echo_server)
    drag(page, "dragover", ("a.txt", "dropped"))
    expect(page.locator("#composer-root")).to_contain_class("dropping")
    drag(page, "dragleave", ("a.txt", "dropped"))
    expect(page.locator("#composer-root")).not_to_contain_class("dropping")
    drag(page, "dragover", ("a.txt", "dropped"))
    drag(page, "drop", ("a.txt", "dropped"))
    expect(page.locator("#composer-root")).not_to_contain_class("dropping")
    expect(page.locator(".file-name")).to_have_text("a.txt")
    page.get_by_label("Send as text").check()
    page.locator("#send").click()
    expect(page.locator(f"{RECEIVED} .body")).to_have_text("dropped")


def test_a_file_is_taken_wherever_on_the_page_it_is_dropped(page, echo_server):
    open_page(page, echo_server)
    drag(page, "dragover", ("a.txt", "dropped"), over="#log-view")
    expect(page.locator("#composer-root")).to_contain_class("dropping")
    drag(page, "drop", ("a.txt", "dropped"), over="#log-view")
    expect(page.locator("#composer-root")).not_to_contain_class("dropping")
    expect(page.locator(".file-name")).to_have_text("a.txt")


def test_two_files_are_not_one_message(page, echo_server):
    open_page(page, echo_server)
    drag(page, "drop", ("a", "1"), ("b", "2"))
    expect(page.locator("#error")).to_contain_text("please choose a single one")
    expect(page.locator(".file")).to_be_hidden()


def test_too_large_a_file_is_not_taken(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").evaluate(
        """field => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(2 ** 24 + 1)], "large"));
            field.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    expect(page.locator("#error")).to_have_text(
        "This file was not taken: it has 16,777,217 bytes, "
        "and one message from this page has at most 16,777,216."
    )
    expect(page.locator(".file")).to_be_hidden()
    choose_file(page, b"small")
    expect(page.locator("#error")).to_be_empty()


def test_a_file_that_cannot_be_read_is_explained(page, echo_server):
    open_page(page, echo_server)
    page.evaluate("() => { Blob.prototype.arrayBuffer = () => Promise.reject(new Error('gone')) }")
    drag(page, "drop", ("folder", ""))
    expect(page.locator("#error")).to_contain_text("could not be read. Is it a folder")


# ---- What was sent before


def test_the_arrow_keys_bring_back_what_was_sent(page, echo_server):
    open_page(page, echo_server)
    send(page, "first")
    choose(page, "binary")
    send(page, "ca fe")
    choose(page, "text")
    send(page, "two\nlines")
    send(page, "two\nlines")  # not twice
    field = page.locator("#message")
    field.fill("not sent yet")
    field.press("ArrowUp")
    expect_field(page, "two\nlines")
    field.press("ArrowUp")
    expect_field(page, "ca fe", "binary")
    field.press("ArrowUp")
    expect_field(page, "first")
    field.press("ArrowUp")  # there is none before it
    expect_field(page, "first")
    field.press("ArrowDown")
    expect_field(page, "ca fe", "binary")
    field.press("ArrowDown")
    expect_field(page, "two\nlines")
    field.press("ArrowDown")
    expect_field(page, "not sent yet")
    field.press("ArrowDown")
    expect_field(page, "not sent yet")


def test_the_arrow_keys_move_between_lines_first(page, echo_server):
    open_page(page, echo_server)
    send(page, "sent")
    field = page.locator("#message")
    field.fill("one\ntwo")
    field.press("ArrowUp")  # from the second line to the first
    expect_field(page, "one\ntwo")
    field.press("ArrowDown")  # and back
    expect_field(page, "one\ntwo")
    field.press("ArrowUp")
    field.press("Shift+ArrowUp")  # selects
    expect_field(page, "one\ntwo")
    field.press("ArrowLeft")
    field.press("ArrowUp")
    expect_field(page, "sent")


# ---- Repeating


def test_a_message_is_sent_so_many_times(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").fill("again")
    open_tool(page, "repeat")
    page.get_by_label("Times").fill("3")
    page.get_by_label("Every … ms").fill("10")
    page.get_by_label("Every … ms").press("Enter")
    expect(page.locator("#repeat")).to_contain_text("Done: 3 sent.")
    expect(page.locator(f"{RECEIVED} .body")).to_have_text(["again"] * 3)
    expect_field(page, "again")


def test_repeating_keeps_to_the_interval_tells_its_progress_and_can_be_stopped(page, echo_server):
    page.clock.install()
    open_page(page, echo_server)
    page.locator("#message").fill("tick")
    open_tool(page, "repeat")
    page.get_by_label("Every … ms").fill("60000")
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)
    page.get_by_role("button", name="Start").first.click()
    expect(page.locator("#repeat")).to_contain_text("1 of 10 sent")
    page.clock.run_for(59_000)
    expect(page.locator("#repeat")).to_contain_text("1 of 10 sent")
    page.clock.run_for(1_000)
    expect(page.locator("#repeat")).to_contain_text("2 of 10 sent")
    page.locator("#repeat").get_by_role("button", name="Stop").click()
    expect(page.locator("#repeat")).to_contain_text("Stopped: 2 of 10 sent.")
    page.clock.run_for(120_000)
    expect(page.locator("#repeat")).to_contain_text("Stopped: 2 of 10 sent.")
    expect(page.locator(SENT)).to_have_count(2)


def test_repeating_leaves_the_log_where_it_is_read(page, echo_server):
    page.set_viewport_size({"width": 1280, "height": 600})
    open_page(page, echo_server)
    for number in range(10):
        send(page, f"{number}")
    expect(page.locator(RECEIVED).last).to_contain_text("9")
    page.locator("#log-view").evaluate("view => { view.scrollTop = 0 }")
    expect(page.locator("#follow")).to_be_visible()
    page.locator("#message").fill("again")
    open_tool(page, "repeat")
    page.get_by_label("Times").fill("3")
    page.get_by_label("Every … ms").fill("10")
    page.get_by_role("button", name="Start").first.click()
    expect(page.locator("#repeat")).to_contain_text("Done: 3 sent.")
    assert page.locator("#log-view").evaluate("view => view.scrollTop") == 0
    send(page, "by hand")
    expect(page.locator("#follow")).to_be_hidden()


def test_repeating_ends_with_the_connection(page, echo_server):
    open_page(page, echo_server)
    open_tool(page, "repeat")
    page.get_by_label("Every … ms").fill("60000")
    page.locator("#repeat").get_by_role("button", name="Start").click()
    expect(page.locator("#repeat")).to_contain_text("1 of 10 sent")
    page.locator("#disconnect").click()
    expect(page.locator("#repeat")).to_contain_text("The connection is gone: 1 of 10 sent.")


@pytest.mark.parametrize(
    ("label", "typed", "complaint"),
    [
        ("Times", "10001", "Times: a whole number from 1 to 10,000, please."),
        ("Every … ms", "9", "Every … ms: a whole number from 10 to 60,000, please."),
    ],
)
def test_repeating_has_bounds(page, echo_server, label, typed, complaint):
    open_page(page, echo_server)
    open_tool(page, "repeat")
    page.get_by_label(label).fill(typed)
    page.get_by_label(label).press("Enter")
    expect(page.locator("#error")).to_have_text(f"Nothing was sent. {complaint}")
    expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label(label)).to_have_accessible_description(
        re.compile(re.escape(complaint))
    )
    expect(page.locator(SENT)).to_have_count(0)
    page.get_by_label(label).fill("10")
    expect(page.locator("#error")).to_be_empty()
    expect(page.get_by_label(label)).not_to_have_attribute("aria-invalid", "true")


def test_what_cannot_be_sent_cannot_be_repeated(page, echo_server):
    open_page(page, echo_server)
    choose(page, "binary")
    page.locator("#message").fill("zz")
    open_tool(page, "repeat")
    page.locator("#repeat").get_by_role("button", name="Start").click()
    expect(page.locator("#error")).to_contain_text("“z” at position 1")
    expect(page.locator(SENT)).to_have_count(0)


# ---- Closing


def test_the_connection_is_closed_with_a_code_and_a_reason(page, echo_server):
    closes = []

    def accept(connection):
        def answer(code, reason):
            closes.append((code, reason))
            connection.close(code=code, reason=reason)

        connection.on_close(answer)

    page.route_web_socket(re.compile("/ws/echo"), accept)
    # The server has no record of what it has not seen.
    page.route(re.compile("/ws/connections/"), lambda route: route.fulfill(json={}))
    open_page(page, echo_server)
    open_tool(page, "closing")
    page.get_by_label("Reason").fill("Grüße <b>")
    expect(page.locator("#close-reason-hint")).to_have_text("11 of 123 bytes")
    for code in (1000, 3000, 4999):
        page.get_by_label("Code", exact=True).fill(str(code))
        page.get_by_role("button", name="Close connection").click()
        expect_state(page, "disconnected")
        assert closes.pop() == (code, "Grüße <b>")
        page.locator("#connect").click()
        expect_state(page, "connected")


def test_a_code_that_a_page_may_not_send_is_refused(page, echo_server):
    open_page(page, echo_server)
    open_tool(page, "closing")
    field = page.get_by_label("Code", exact=True)
    for code in ("", "999", "1001", "1005", "2999", "5000", "1e3", "\uff14000"):
        field.fill(code)
        expect(page.locator("#error")).to_be_empty()
        field.press("Enter")
        expect(page.locator("#error")).to_have_text(
            "Nothing was closed: a page may send the code 1000 or one from 3000 to 4999."
        )
        expect(field).to_have_attribute("aria-invalid", "true")
    expect_state(page, "connected")
    field.press("Escape")  # closes the form, and its error goes with it
    expect(page.locator("#error")).to_be_empty()


def test_too_long_a_reason_is_refused_and_the_longest_taken(page, echo_server):
    open_page(page, echo_server)
    open_tool(page, "closing")
    reason = page.get_by_label("Reason")
    reason.fill("ü" * 62)
    expect(page.locator("#close-reason-hint")).to_have_text("124 of 123 bytes")
    expect(page.locator("#close-reason-hint")).to_contain_class("over")
    reason.press("Enter")
    expect(page.locator("#error")).to_have_text(
        "Nothing was closed: the reason has 124 bytes, and a close frame has room for 123. "
        "Shorten it by 1."
    )
    expect_state(page, "connected")
    reason.fill("ü" * 61 + "x")
    expect(page.locator("#close-reason-hint")).not_to_contain_class("over")
    reason.press("Enter")
    expect_state(page, "disconnected")
    expect(page.locator("#error")).to_be_empty()


def test_without_a_connection_nothing_is_sent_repeated_or_closed(page, echo_server):
    open_page(page, echo_server)
    page.locator("#disconnect").click()
    expect_state(page, "disconnected")
    expect(page.locator("#send")).to_be_disabled()
    send(page, "too late")
    expect(page.locator(SENT)).to_have_count(0)
    expect(page.locator("#error")).to_contain_text("there is no connection. Connect first")
    expect_field(page, "too late")
    open_tool(page, "repeat")
    expect(page.locator("#repeat button")).to_be_disabled()
    page.get_by_label("Times").press("Enter")
    expect(page.locator("#error")).to_contain_text("there is no connection. Connect first")
    open_tool(page, "closing")
    expect(page.locator("#repeat")).to_be_hidden()  # one at a time
    page.get_by_label("Code", exact=True).press("Enter")
    expect(page.locator("#error")).to_have_text("There is no connection to close.")
    page.locator("#connect").click()
    expect_state(page, "connected")
    expect(page.locator("#error")).to_be_empty()


# ---- Who can use it


def test_the_tools_work_with_the_keyboard_alone(page, echo_server):
    open_page(page, echo_server)
    page.locator("#message").focus()
    tab_to(page, "[aria-controls=closing]")
    page.keyboard.press("Enter")
    expect(page.locator("[aria-controls=closing]")).to_have_attribute("aria-expanded", "true")
    tab_to(page, "#close-reason")
    page.keyboard.press("Escape")
    expect(page.locator("#closing")).to_be_hidden()
    expect(page.locator("[aria-controls=closing]")).to_be_focused()
    tab_to(page, "[aria-controls=repeat]", "Shift+Tab")
    page.keyboard.press("Space")
    tab_to(page, "#repeat-times")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(page.locator("#repeat")).to_contain_text("of 2 sent")


def test_no_state_of_the_composer_violates_a_rule_of_axe(page, echo_server):
    open_page(page, echo_server)
    choose(page, "json")
    send(page, "[1,")
    expect(page.locator("#error")).not_to_be_empty()
    open_tool(page, "repeat")
    expect_no_violation(page, ROOT)
    open_tool(page, "closing")
    choose_file(page, b"x")
    page.get_by_label("Code", exact=True).fill("1")
    page.get_by_label("Reason").fill("x" * 124)
    page.get_by_label("Code", exact=True).press("Enter")
    expect(page.locator("#error")).not_to_be_empty()
    expect_no_violation(page, ROOT)


def test_at_phone_width_the_composer_scrolls_nothing_sideways(page, echo_server):
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, echo_server)
    choose(page, "json")
    send(page, '{"' + "x" * 200)
    open_tool(page, "repeat")
    expect_nothing_wide(page)
    open_tool(page, "closing")
    choose_file(page, b"x", "long" * 50)
    expect_nothing_wide(page)
    page.set_viewport_size({"width": 320, "height": 844})
    expect_nothing_wide(page)


def expect_nothing_wide(page):
    wide = page.evaluate(
        """() => [...document.querySelectorAll("html, body, #composer-root, #composer-root *")]
            .filter((element) => element.matches("html, :not(textarea, input, .visually-hidden)"))
            .filter((element) => element.scrollWidth > Math.max(element.clientWidth, 1) + 1)
            .filter((element) => getComputedStyle(element).display !== "inline")
            .map((element) => element.outerHTML.slice(0, 100))"""
    )
    assert wide == []


def test_fingers_get_large_targets_and_fields_that_no_phone_zooms_in_on(browser, echo_server):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    open_page(page, echo_server)
    open_tool(page, "repeat")
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, .segments label, input, textarea")]
            .filter((e) => e.checkVisibility() && !e.matches("[type=radio], [type=checkbox]"))
            .filter((e) => e.getBoundingClientRect().height < 44
                || (e.matches("input, textarea") && parseFloat(getComputedStyle(e).fontSize) < 16))
            .map((e) => e.outerHTML.slice(0, 100))"""
    )
    context.close()
    assert small == []


def test_on_a_phone_the_answer_is_seen_beside_the_composer(page, echo_server):
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, echo_server)
    page.locator("#message").scroll_into_view_if_needed()
    send(page, "Hello")
    expect(page.locator(RECEIVED)).to_be_in_viewport(ratio=1)
    for number in range(30):
        send(page, f"{number}")
    expect(page.locator(f"{RECEIVED} .body").last).to_have_text("29")
    expect(page.locator(RECEIVED).last).to_be_in_viewport(ratio=1)
    page.locator("#log-view").evaluate("view => { view.scrollTop = 0 }")
    expect(page.locator("#log > li").first).to_contain_text("Connected")
