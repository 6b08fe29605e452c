"""permessage-deflate with a real browser: the page shows what was negotiated."""

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import open_page, send

#: What the browser says was agreed on, for each value of --compression.
SHOWN = {
    "off": None,
    "no-context": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "on": "permessage-deflate",
}

MESSAGE = "The same again and again. " * 200


@pytest.mark.parametrize("compression", SHOWN)
def test_the_page_shows_the_extension_and_gets_its_messages_back(page, start_server, compression):
    open_page(page, start_server("--quiet", "--compression", compression))
    shown = page.locator("#extensions")
    if SHOWN[compression] is None:
        expect(shown).to_have_text("none")
    else:
        expect(shown).to_be_visible()
        expect(shown).to_contain_text(SHOWN[compression])
    for number in range(1, 4):
        send(page, f"{number}. {MESSAGE}")
        # Of the list only what is in view is drawn: the newest echo is its last entry.
        newest = page.locator("#log > [data-direction]").last
        expect(newest).to_have_attribute("data-direction", "received")
        expect(newest.locator(".size")).to_contain_text("5,203 bytes")
        expect(newest).to_contain_text(f"{number}. The same again")
    expect(page.locator("#log .problem")).to_have_count(0)
