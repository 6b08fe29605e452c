"""The state of the page in a link, and subprotocols as they are typed: module by module."""

import pytest

from tests.e2e.browser import run

READ = "({ readState }, fragment) => readState(fragment)"

WRITE = "({ DEFAULTS, writeState }, state) => writeState({ ...DEFAULTS, ...state })"

PARSE = "({ parseProtocols }, typed) => parseProtocols(typed)"


def read(page, fragment):
    return run(page, "app/state.js", READ, fragment)


def write(page, **state):
    return run(page, "app/state.js", WRITE, state)


def test_a_state_survives_a_link(module_page):
    state = {
        "view": "wire",
        "target": "inspect",
        "protocols": ["chat", "v2.chat"],
        "language": "zh",
        "kind": "json",
        "draft": "Grüße & <b>#1</b>\nline two = 100 %+",
    }
    assert read(module_page, write(module_page, **state)) == state


def test_what_the_page_does_anyway_is_not_in_its_link(module_page):
    assert write(module_page) == ""
    assert read(module_page, "") == {}
    assert write(module_page, view="wire") == "#view=wire"


@pytest.mark.parametrize(
    ("fragment", "state"),
    [
        ("#view=%3Cb%3E&target=https://example.com&protocols=a%20(b&language=xx", {}),
        ("#language=__proto__&view=constructor&target=toString", {}),
        ("#%%%&=&view", {}),
        ("#view=wire&view=messages", {"view": "wire"}),
        ("#protocols=", {"protocols": []}),
        ("#draft=" + "x" * 10_000, {"draft": "x" * 4000}),
    ],
)
def test_of_a_fragment_only_what_is_good_is_read(module_page, fragment, state):
    assert read(module_page, fragment) == state


def test_a_draft_in_a_link_has_at_most_4000_characters(module_page):
    assert write(module_page, draft="x" * 4001) == "#draft=" + "x" * 4000


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("", {"protocols": []}),
        (" chat,, v2.chat\tsoap ", {"protocols": ["chat", "v2.chat", "soap"]}),
        ("!#$%&'*+.^_`|~09AZaz-", {"protocols": ["!#$%&'*+.^_`|~09AZaz-"]}),
        ("chat, a(b", {"problem": "token", "protocol": "a(b"}),
        ("naïve", {"problem": "token", "protocol": "naïve"}),
        ("\u202etahc", {"problem": "token", "protocol": "\u202etahc"}),
        ("chat soap chat", {"problem": "twice", "protocol": "chat"}),
    ],
)
def test_subprotocols_are_tokens_and_each_is_offered_once(module_page, typed, parsed):
    assert run(module_page, "connection/subprotocols.js", PARSE, typed) == parsed
