"""The pages for readers: README.md, CHANGELOG.md and docs/, and what is in their Markdown."""

import re

from tests.e2e.server_process import ROOT

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, ROOT / "CHANGELOG.md", *DOCS]


def text_of(page):
    return page.read_text(encoding="utf-8")


def doc(name):
    return text_of(ROOT / "docs" / name)


def code_blocks(markdown, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, flags=re.DOTALL | re.MULTILINE)


def without_code_blocks(markdown):
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)


def table_rows(markdown, *header):
    """The cells of each row of all tables that have this header."""
    head = rf"^\| {re.escape(' | '.join(header))} \|\n"
    tables = re.findall(rf"{head}\|[ |:-]+\n((?:\|.*\n)+)", markdown, re.MULTILINE)
    assert tables, f"no table with the header {header}"
    rows = [row for table in tables for row in table.splitlines()]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def spans(cell):
    """The code spans of a cell."""
    return re.findall("`([^`]*)`", cell)
