"""Excerpts of what a peer sent."""

import pytest

from echo.protocol.excerpts import excerpt, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("short", "short"), ("x" * 40, "x" * 40), ("x" * 41, f"{'x' * 40}...")],
)
def test_excerpt_is_the_beginning_and_says_that_there_is_more(text, shown):
    assert excerpt(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("a'b", '"a\'b"'),
        ("\x1b\\", r"'\x1b\\'"),
        ("x" * 40, f"'{'x' * 40}'"),
        ("x" * 41, f"'{'x' * 40}'..."),
        ("\x80" * 31_000, "'" + r"\x80" * 40 + "'..."),
    ],
)
def test_quoted_excerpt_escapes_what_is_left_after_the_cut(text, shown):
    assert quoted(text) == shown


def test_both_take_another_limit():
    assert excerpt("abcdef", 3) == "abc..."
    assert quoted("abcdef", 3) == "'abc'..."
