"""Each module of the page loads by itself, in a real browser, and does nothing until asked."""

import pytest

from tests.e2e.browser import MAIN, MODULES, MODULES_PATH, open_page

PATHS = sorted(path.relative_to(MODULES).as_posix() for path in MODULES.rglob("*.js"))

#: What a module exports, and whether it left the page and its globals as they were.
LOAD = """async (path) => {
    const look = () => [document.documentElement.outerHTML, Object.keys(window).join()].join();
    const before = look();
    const exported = Object.keys(await import(path));
    return [exported, look() === before];
}"""


@pytest.mark.parametrize("path", [path for path in PATHS if path != MAIN])
def test_a_module_loads_by_itself_and_changes_nothing(module_page, shared_server, path):
    # Another document each time: none of the modules is there yet, nor any element of the page.
    module_page.goto(f"{shared_server.url}/healthz")
    exported, unchanged = module_page.evaluate(LOAD, f"{MODULES_PATH}/{path}")
    assert exported
    assert unchanged


def test_the_page_has_one_script_which_starts_it(page, echo_server):
    open_page(page, echo_server)
    scripts = page.evaluate("[...document.scripts].map((script) => new URL(script.src).pathname)")
    assert scripts == [f"{MODULES_PATH}/{MAIN}"]
