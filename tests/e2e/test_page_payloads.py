"""The composer's payloads, module by module: JSON, hex, and what was sent before."""

import pytest

from tests.e2e.browser import run

PAYLOADS = "composer/payloads.js i18n/texts.js"

#: What a function of the module returns, or where and in which words it refuses.
TRY = """({ %s: convert, Unsendable }, { TEXTS }, typed) => {
    try {
        return [...convert(typed)];
    } catch (fault) {
        if (!(fault instanceof Unsendable)) throw fault;
        return { at: fault.at, says: fault.say(TEXTS.en.composer) };
    }
}"""

LAY_OUT = "({ layOutJson, tokensOfJson }, _texts, typed) => layOutJson(tokensOfJson(typed))"


@pytest.mark.parametrize(
    ("typed", "tokens"),
    [
        ("7", ["7"]),
        (" [ ]\n", ["[", "]"]),
        (
            '{"a": [1, -2.5e3, true, null, "\\n\\u00e9"], "b": {}}',
            [
                *("{", '"a"', ":", "[", "1", ",", "-2.5e3", ",", "true", ",", "null", ","),
                *('"\\n\\u00e9"', "]", ",", '"b"', ":", "{", "}", "}"),
            ],
        ),
        ("12345678901234567890", ["12345678901234567890"]),
    ],
)
def test_the_tokens_of_json_stay_as_they_were_typed(module_page, typed, tokens):
    assert run(module_page, PAYLOADS, TRY % "tokensOfJson", typed) == tokens


@pytest.mark.parametrize(
    ("typed", "at", "says"),
    [
        ('{"a": 1,\n}', 9, "“}” in line 2, column 1. Expected there: a name in double quotes."),
        ("[1,]", 3, "“]” in line 1, column 4. Expected there: a value."),
        ("[1 2]", 3, "“2” in line 1, column 4. Expected there: a comma or ]."),
        ('{"a" 1}', 5, "“1” in line 1, column 6. Expected there: a colon."),
        ("{a: 1}", 1, "“a” in line 1, column 2. Expected there: a name in double quotes or }."),
        ('{"a": 1]', 7, "“]” in line 1, column 8. Expected there: a comma or }."),
        ("nul", 0, "“n” in line 1, column 1. Expected there: a value."),
        ("01", 1, "“1” in line 1, column 2. Expected there: the end."),
        ('"\U0001f600" x', 5, "“x” in line 1, column 5. Expected there: the end."),
        ('"a\nb"', 2, "U+000A in line 1, column 3. Expected there: an escape such as"),
        (r'"\x"', 1, "“\\” in line 1, column 2. Expected there: no backslash"),
        ("[1,\u00a02]", 3, "U+00A0 in line 1, column 4. Expected there: a value."),
        ('{"a": [', 7, "it ends in line 1, column 8. Expected next: a value or ]."),
        ('["a', 3, "it ends in line 1, column 4. Expected next: the closing double quote"),
        ("", 0, "it ends in line 1, column 1. Expected next: a value."),
        ("[" * 100_000, 100_000, "column 100,001. Expected next: a value or ]."),
    ],
)
def test_what_is_no_json_is_told_with_its_place(module_page, typed, at, says):
    refused = run(module_page, PAYLOADS, TRY % "tokensOfJson", typed)
    assert refused["at"] == at
    assert says in refused["says"]


def test_json_is_laid_out_without_a_change_to_its_values(module_page):
    typed = '{"2":1.0,"1":12345678901234567890,"e":[ ],"o":{\n},"l":["{", 1e400]}'
    assert run(module_page, PAYLOADS, LAY_OUT, typed) == (
        '{\n  "2": 1.0,\n  "1": 12345678901234567890,\n  "e": [],\n  "o": {},\n'
        '  "l": [\n    "{",\n    1e400\n  ]\n}'
    )


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("", b""),
        ("48 65 6C", b"Hel"),
        ("0x48:0X65\n6c6c", b"Hell"),
        ("00ff", b"\x00\xff"),
    ],
)
def test_hex_stands_for_bytes(module_page, typed, sent):
    assert bytes(run(module_page, PAYLOADS, TRY % "bytesOfHex", typed)) == sent


@pytest.mark.parametrize(
    ("typed", "at", "says"),
    [
        ("48 65 6g", 7, "“g” at position 8 is not a hex digit"),
        ("48\u202e", 2, "U+202E at position 3 is not a hex digit"),
        ("0x", 1, "“x” at position 2 is not a hex digit"),
        ("48 abc", 3, "odd number of hex digits (3) at position 4"),
        ("0xabc", 0, "odd number of hex digits (3) at position 1"),
        ("\U0001f600", 0, "“\U0001f600” at position 1"),
    ],
)
def test_what_is_no_hex_is_told_with_its_place(module_page, typed, at, says):
    refused = run(module_page, PAYLOADS, TRY % "bytesOfHex", typed)
    assert refused["at"] == at
    assert says in refused["says"]


def test_half_a_surrogate_pair_is_replaced_as_the_browser_does(module_page):
    units = "(payloads) => [...payloads.wellFormed('a\\ud800b\\udc00')].map((c) => c.charCodeAt(0))"
    assert run(module_page, PAYLOADS, units) == [0x61, 0xFFFD, 0x62, 0xFFFD]


# ---- What was sent before

#: Does one thing after another to a history and returns what each gives.
WALK = """({ MessageHistory }, steps) => {
    const history = new MessageHistory();
    return steps.map(([name, ...given]) => history[name](...given)?.text ?? null);
}"""


def walk(page, *steps):
    return run(page, "composer/history.js", WALK, steps)


def sent(text, kind="text"):
    return ["add", {"kind": kind, "text": text}]


OLDER = ["older", {"kind": "text", "text": "not sent yet"}]
NEWER = ["newer"]


def test_a_history_goes_back_to_the_first_and_forth_to_what_is_not_sent_yet(module_page):
    given = walk(module_page, sent("1"), sent("2"), *[OLDER] * 3, *[NEWER] * 3)
    assert given[2:] == ["2", "1", None, "2", "not sent yet", None]


def test_a_history_keeps_neither_what_is_empty_nor_the_same_twice_in_a_row(module_page):
    steps = [sent("a"), sent("a"), sent(""), sent("a", "json"), sent("b")]
    given = walk(module_page, *steps, *[OLDER] * 4)
    assert given[5:] == ["b", "a", "a", None]


def test_a_history_keeps_a_hundred_messages(module_page):
    given = walk(module_page, *[sent(str(n)) for n in range(102)], *[OLDER] * 101)
    assert given[-2:] == ["2", None]
