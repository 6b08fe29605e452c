"""The page in two languages, in light and dark, and for everybody: axe finds nothing."""

import re
from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import EVENT, RECEIVED, expect_no_violation, open_page, run, send

#: The paths of a table's texts and what is there: a string, or a function and how many arguments.
SHAPES = """({ TEXTS }) => {
    const shape = (value, path) => {
        if (typeof value === "function") return [[path, "function"]];
        if (typeof value === "string") return [[path, value ? "string" : "nothing"]];
        if (typeof value !== "object" || value === null) return [[path, typeof value]];
        return Object.entries(value).flatMap(([key, part]) => shape(part, `${path}.${key}`));
    };
    return Object.values(TEXTS).map((table) => Object.fromEntries(shape(table, "")));
}"""


def test_both_tables_have_the_same_shape_and_no_empty_text(module_page):
    english, chinese = run(module_page, "i18n/texts.js", SHAPES)
    assert english == chinese
    assert len(english) > 200
    assert "nothing" not in english.values()


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        (["zh-CN"], "zh"),
        (["zh-TW", "en"], "zh"),
        (["en-GB"], "en"),
        (["fr-FR", "zh"], "zh"),
        (["fr-FR", "constructor"], "en"),
        ([], "en"),
    ],
)
def test_the_language_is_the_first_of_the_wanted_that_there_is(module_page, wanted, language):
    chosen = run(module_page, "i18n/texts.js", "(m, tags) => m.chooseLanguage(tags)", wanted)
    assert chosen == language


def test_the_language_is_that_of_the_browser(browser, echo_server):
    with closing(browser.new_context(locale="zh-TW")) as context:
        page = context.new_page()
        page.goto(f"{echo_server.url}/ws/echo_display")
        expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
        expect(page).to_have_title("WebSocket 回显")
        expect(page.locator("h1")).to_have_text("WebSocket 回显")
        expect(page.locator("#protocols")).to_have_attribute("placeholder", re.compile("^例如"))
        expect(page.locator("#copy-log")).to_have_attribute("title", re.compile("JSON Lines"))


def test_the_switch_changes_every_text_and_keeps_the_log(page, echo_server):
    open_page(page, echo_server, "#target=inspect")
    send(page, "hello")
    expect(page.locator(RECEIVED)).to_have_count(2)
    page.locator("#disconnect").click()
    expect(page.locator(f"{EVENT}[data-kind=closed]")).to_contain_text("; the server")
    page.locator("#message").fill("草稿")
    switch = page.locator("#language")
    expect(switch).to_have_text("中文")
    expect(switch).to_have_attribute("lang", "zh-Hans")
    switch.click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("#state")).to_have_text("已断开")
    expect(page.locator(f"{EVENT}[data-kind=closed]")).to_contain_text("你以 1000")
    expect(page.locator("#message")).to_have_value("草稿")
    expect(page.locator(RECEIVED)).to_have_count(2)
    for view in ("messages", "wire"):
        page.locator("label", has=page.locator(f"input[value={view}]")).click()
        english = page.evaluate(ENGLISH_WORDS)
        assert english == []
    expect(switch).to_have_text("English")
    switch.click()
    expect(page.locator("#state")).to_have_text("Disconnected")


#: Texts of the page with English words in them that are no names: of codes, fields, formats.
ENGLISH_WORDS = r"""() => {
    const words = /\\b(the|of|and|with|message|bytes?|frames?|close|copy|download|server|send)\\b/i;
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const {parentElement: parent, data} = walker.currentNode;
        if (parent.closest("noscript, .http, pre, .body, dd, #language, [hidden]")) continue;
        if (words.test(data)) found.push(data.trim());
    }
    return found;
}""".replace("\\\\b", "\\b")


@pytest.mark.parametrize(("view", "language"), [("messages", "zh"), ("wire", "en")])
def test_axe_finds_nothing(page, echo_server, view, language):
    open_page_in(page, echo_server, view, "inspect", language)
    send(page, "\u202ehello" * 50)
    page.locator("#protocols").fill("a(b")
    expect(page.locator(RECEIVED).last).to_be_visible()
    expect_no_violation(page)
    page.locator("#disconnect").click()
    expect(page.locator(f"{EVENT}[data-kind=closed]")).to_be_visible()
    if view == "wire":
        page.locator("#log-view").evaluate("view => { view.scrollTop = 0 }")
        expect(page.locator("[data-kind=handshake]")).to_be_visible()
        page.locator("[data-note=upgrade]").first.focus()
        expect(page.locator("#field-note")).to_be_visible()
    expect_no_violation(page)


def test_axe_finds_nothing_on_an_echo_connection_that_is_lost(page, server, complaints):
    complaints.failed_connections_expected = True
    open_page_in(page, server, "wire", "echo", "en")
    server.stop()
    expect(page.locator(f"{EVENT}[data-kind=failed]")).to_be_visible()
    expect_no_violation(page)


def test_light_and_dark_have_colours_of_their_own(page, echo_server):
    open_page(page, echo_server)
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours.append(
            page.evaluate(
                "[document.body, document.querySelector('#state')]"
                ".map((e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor])"
            )
        )
    assert colours[0] != colours[1]


def open_page_in(page, server, view, target, language):
    page.goto(f"{server.url}/ws/echo_display#view={view}&target={target}&language={language}")
    expect(page.locator("#state")).to_have_attribute("data-state", "connected")
