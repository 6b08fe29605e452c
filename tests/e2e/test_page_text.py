"""Hostile texts as the page shows them, module by module."""

import pytest

from tests.e2e.browser import run

SAFE_TEXT = "ui/safe_text.js i18n/texts.js"

#: The text and the spelled-out characters of what a function makes, and the classes in it.
SHOW = """({ %s: show }, { TEXTS }, ...given) => {
    const box = document.createElement("div");
    box.append(...[show(...given, TEXTS.en)].flat());
    const all = (selector) => [...box.querySelectorAll(selector)];
    return {
        text: box.textContent,
        unseen: all(".unseen").map((e) => e.textContent),
        notes: all(".note").map((e) => e.textContent),
        tags: [...new Set(all("*").map((e) => e.localName))],
    };
}"""


def show(page, function, *given):
    return run(page, SAFE_TEXT, SHOW % function, *given)


def test_markup_stays_text(module_page):
    markup = "<img src=/x onerror='window.hacked=1'><script>window.hacked=1</script>"
    shown = show(module_page, "visible", markup)
    assert shown["text"] == markup
    assert shown["tags"] == ["bdi"]


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\x1b", "U+001B"),
        ("\x85", "U+0085"),
        ("\r", "U+000D"),
        ("\u200b", "U+200B"),
        ("\u200d", "U+200D"),
        ("\u202e", "U+202E"),
        ("\u2028", "U+2028"),
        ("\u2066", "U+2066"),
        ("\ufe0f", "U+FE0F"),
        ("\ufeff", "U+FEFF"),
        ("\ufff9", "U+FFF9"),
        ("\uffff", "U+FFFF"),
        ("\U000e0041", "U+E0041"),
    ],
)
def test_characters_that_cannot_be_seen_are_spelled_out(module_page, character, name):
    shown = show(module_page, "visible", f"a{character}b")
    assert shown["text"] == f"a{name}b"
    assert shown["unseen"] == [name]
    assert run(module_page, "ui/safe_text.js", "(m, t) => m.spelled(t)", character) == name


@pytest.mark.parametrize(
    "text", ["Grüße, 世界", "two\n\tlines", "\U0001f469\u200d\U0001f467 \u2764\ufe0f", "שלום"]
)
def test_what_can_be_seen_stays_as_it_is(module_page, text):
    shown = show(module_page, "visible", text)
    assert (shown["text"], shown["unseen"]) == (text, [])


def test_in_one_line_line_feeds_and_tabs_are_spelled_out_as_well(module_page):
    assert run(module_page, "ui/safe_text.js", "(m) => m.spelled('a\\n\\tb')") == "aU+000AU+0009b"


@pytest.mark.parametrize(
    ("text", "length", "note"),
    [
        ("", 0, "(empty message)"),
        ("x" * 1000, 1000, None),
        ("x" * 1001, 1000, "… first 1,000 characters shown, 1 more left out"),
        ("\U0001f600" * 1001, 1000, "… first 1,000 characters shown, 1 more left out"),
        ("\n" * 20, 19, "… first 19 characters shown, 1 more left out"),
        ("\n" * 19, 19, None),
    ],
)
def test_a_long_text_is_cut_with_the_number_of_characters_left_out(module_page, text, length, note):
    shown = show(module_page, "showText", text)
    assert shown["notes"] == ([note] if note else [])
    assert len(shown["text"]) == length + len(note or "")


@pytest.mark.parametrize(
    ("data", "note"),
    [(b"", "(empty message)"), (bytes(256), None), (bytes(379), "… 123 more bytes")],
)
def test_long_bytes_are_cut_with_the_number_left_out(module_page, data, note):
    shown = show(module_page, "showBytes", data.hex())
    assert shown["notes"] == ([note] if note else [])
    assert shown["text"].count("00") == min(len(data), 256)
