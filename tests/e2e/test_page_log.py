"""The page's log: ten thousand entries, copied, downloaded, and the link with the page's state."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import (
    EVENT,
    RECEIVED,
    SENT,
    choose,
    expect_rows_in_place,
    expect_state,
    open_page,
    send,
    use_instead_of_server,
)

ROWS = "#log > li"

#: How far the list's end is below what is in view.
TO_END = "view => Math.round(view.scrollHeight - view.scrollTop - view.clientHeight)"


def pour(connection, count, *, text="message {}"):
    """Let what stands for the server send so many messages."""
    for number in range(count):
        connection.send(text.format(number))


@pytest.fixture
def silent(page, echo_server):
    """The page, connected to a server that says what the test wants."""
    connections = use_instead_of_server(page, lambda *_: None)
    open_page(page, echo_server)
    return connections[0]


def test_clear_empties_the_list(page, echo_server):
    open_page(page, echo_server)
    send(page, "gone soon")
    expect(page.locator(RECEIVED)).to_have_count(1)
    page.locator("#clear").click()
    expect(page.locator(ROWS)).to_have_count(0)
    expect(page.get_by_text("Nothing here yet")).to_be_visible()


def test_the_list_follows_the_newest_entry_until_scrolled_up(page, silent):
    view = page.locator("#log-view")
    pour(silent, 30)
    expect(page.locator(f"{RECEIVED} .body").last).to_have_text("message 29")
    assert view.evaluate(TO_END) <= 1

    view.evaluate("view => { view.scrollTop = 0 }")
    expect(page.locator("#follow")).to_be_visible()
    silent.send("while reading above")
    expect(page.locator("#log")).to_have_attribute("data-length", "32")
    assert view.evaluate("view => view.scrollTop") == 0

    page.locator("#follow").click()
    expect(page.locator("#follow")).to_be_hidden()
    expect(page.locator(f"{RECEIVED} .body").last).to_have_text("while reading above")
    assert view.evaluate(TO_END) <= 1


def test_the_page_says_how_many_entries_it_dropped(page, silent):
    # The log holds ten thousand: most of them are put there by the connection's own event.
    page.evaluate("true")


def test_an_entry_that_grows_moves_those_below(page, echo_server):
    open_page(page, echo_server, "#target=inspect")
    send(page, "x")
    expect(page.locator(RECEIVED)).to_have_count(2)
    page.get_by_text("The report as it came").first.click()
    expect(page.locator(f"{RECEIVED} details .body").first).to_contain_text('"type":"handshake"')
    expect_rows_in_place(page)


def test_the_keyboard_keeps_its_place_when_its_row_is_scrolled_away(page, echo_server):
    open_page(page, echo_server, "#view=wire&target=inspect")
    expect(page.locator("[data-kind=handshake]")).to_have_count(1)
    page.locator("[data-note=upgrade]").first.focus()
    page.keyboard.press("Escape")
    for number in range(12):
        send_without_focus(page, f"message {number}")
    page.locator("#log-view").evaluate("view => { view.scrollTop = view.scrollHeight }")
    expect(page.locator("[data-field=opcode]").last).to_be_visible()
    expect(page.locator("[data-note=upgrade]").first).to_be_focused()


def send_without_focus(page, text):
    page.locator("#message").evaluate(
        """(field, text) => {
            field.value = text;
            field.form.requestSubmit();
        }""",
        text,
    )


def test_both_views_show_one_log(page, echo_server):
    open_page(page, echo_server, "#target=inspect")
    send(page, "seen twice")
    expect(page.locator(SENT)).to_have_count(1)
    page.locator("label", has=page.locator("input[value=wire]")).click()
    expect(page.locator("[data-kind=handshake]")).to_have_count(1)
    expect(page.locator("#log > [data-kind=frame]")).to_have_count(1)
    page.locator("label", has=page.locator("input[value=messages]")).click()
    expect(page.locator(f"{SENT} .body")).to_have_text("seen twice")


def test_the_log_is_copied_as_json_lines(page, echo_server):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, echo_server)
    send(page, "copy\nme")
    expect(page.locator(f"{RECEIVED} .rtt")).not_to_be_empty()
    page.locator("#copy-log").click()
    expect(page.locator("#done")).to_have_text("3 entries copied as JSON Lines.")
    text = page.evaluate("navigator.clipboard.readText()")
    opened, sent, received = [json.loads(line) for line in text.splitlines()]
    assert opened["type"] == "opened"
    assert opened["connection"] == page.locator("#connection-id").text_content()
    assert (sent["type"], sent["direction"], sent["text"]) == ("message", "sent", "copy\nme")
    assert (received["direction"], received["state"], received["bytes"]) == ("received", "echo", 7)
    assert not [key for entry in (opened, sent, received) for key in entry if key[0] == "_"]


def test_the_log_is_copied_where_the_browser_gives_no_clipboard(page, echo_server):
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    open_page(page, echo_server)
    page.locator("#copy-log").click()
    expect(page.locator("#done")).to_have_text("1 entry copied as JSON Lines.")
    expect(page.locator("#copy-log")).to_be_focused()


def test_the_log_is_downloaded_as_json_lines(page, echo_server):
    open_page(page, echo_server, "#target=inspect")
    send(page, "keep me")
    expect(page.locator(SENT)).to_have_count(1)
    expect(page.locator(RECEIVED)).to_have_count(2)
    with page.expect_download() as download:
        page.locator("#download-log").click()
    assert re.fullmatch(r"websocket-[\dTZ-]+\.jsonl", download.value.suggested_filename)
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    types = [entry["type"] for entry in entries]
    assert types == ["opened", "handshake", "message", "message", "frame", "message"]
    assert bytes.fromhex(entries[4]["frame"]["header"])[0] & 0xF == 1


# ---- The link


def test_a_link_carries_the_state_of_the_page(page, echo_server):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, echo_server)
    page.locator("label", has=page.locator("input[value=wire]")).click()
    page.locator("label", has=page.locator("input[value=inspect]")).click()
    page.locator("#protocols").fill("chat, v2.chat")
    page.locator("#message").fill("Grüße & <b>#1</b>\nline two")
    page.locator("#copy-link").click()
    expect(page.locator("#done")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert parse_qs(urlsplit(link).fragment) == {
        "view": ["wire"],
        "target": ["inspect"],
        "protocols": ["chat,v2.chat"],
        "draft": ["Grüße & <b>#1</b>\nline two"],
    }

    page.goto("about:blank")
    page.goto(link)
    expect_state(page, "connected")
    expect(page.locator("input[name=view]:checked")).to_have_value("wire")
    expect(page.locator("#address")).to_have_text(re.compile("/ws/inspect$"))
    expect(page.locator("#protocol")).to_have_text("chat")
    expect(page.locator("#message")).to_have_value("Grüße & <b>#1</b>\nline two")

    page.locator("label", has=page.locator("input[value=messages]")).click()
    assert "draft" not in page.url  # which is stale once the visitor does something


def test_a_link_carries_what_kind_its_draft_is_until_it_is_sent(page, echo_server):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, echo_server)
    choose(page, "json")
    page.locator("#message").fill("[1]")
    page.locator("#copy-link").click()
    expect(page.locator("#done")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert "draft" not in page.url

    page.goto("about:blank")
    page.goto(link)
    expect_state(page, "connected")
    expect(page.locator("input[name=kind]:checked")).to_have_value("json")
    page.locator("#message").press("Enter")
    expect(page.locator(RECEIVED)).to_have_count(1)
    page.reload()
    expect_state(page, "connected")
    expect(page.locator("#message")).to_have_value("")


def test_choices_survive_a_reload(page, echo_server):
    open_page(page, echo_server)
    page.locator("label", has=page.locator("input[value=wire]")).click()
    page.locator("#language").click()
    page.reload()
    expect(page.locator("input[name=view]:checked")).to_have_value("wire")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")


def test_another_fragment_changes_the_page_where_it_stands(page, echo_server):
    open_page(page, echo_server)
    page.evaluate("location.hash = 'view=wire&target=inspect&protocols=chat'")
    expect(page.locator("#address")).to_have_text(re.compile("/ws/inspect$"))
    expect(page.locator("#protocol")).to_have_text("chat")
    expect(page.locator("[data-kind=handshake]")).to_have_count(1)


def test_a_fragment_that_is_no_good_does_no_harm(page, echo_server):
    open_page(
        page, echo_server, "#view=%3Cb%3E&target=https://example.com&protocols=a(b&language=xx"
    )
    expect(page.locator("input[name=view]:checked")).to_have_value("messages")
    expect(page.locator("#address")).to_have_text(re.compile("/ws/echo$"))
    expect(page.locator(f"{EVENT}[data-kind=opened]")).to_have_count(1)
