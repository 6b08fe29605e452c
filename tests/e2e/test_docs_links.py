"""The form of the pages for readers: the README's length, and links that lead somewhere."""

import re

import pytest

from tests.e2e.markdown import DOCS, PAGES, README, text_of, without_code_blocks
from tests.e2e.server_process import ROOT


def test_the_readme_is_short():
    assert len(text_of(README).split()) <= 700
    assert len(re.findall(r"!\[", text_of(README))) <= 2


def targets(page):
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(([^()\s]+)\)", without_code_blocks(text_of(page)))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code_blocks(text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in targets(page):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_readme_leads_to_every_page():
    assert {f"docs/{page.name}" for page in DOCS} <= {
        target.partition("#")[0] for target in targets(README)
    }


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_opens_with_its_point_and_an_example(page):
    title, point, _ = text_of(page).split("\n\n", 2)
    assert title.startswith("# ")
    assert re.match(r"[A-Z].*[.:]$", point)
    before_the_first_section, _, _ = text_of(page).partition("\n## ")
    assert "```" in before_the_first_section
