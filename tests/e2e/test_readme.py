"""README.md names the options, their defaults, the loop and the tests that there are."""

import ast
import re
import textwrap

import pytest

from echo.settings import options
from tests.e2e.server_process import ROOT


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def table_rows(markdown, header):
    """The cells of each row of the one table that has this header row."""
    _, found, rest = markdown.partition(f"\n{header}\n")
    assert found, f"no table with the header {header}"
    rule, *rows = re.match(r"(\|.*\n)+", rest)[0].splitlines()
    assert re.fullmatch(r"(\| *:?-+:? *)+\|", rule)
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows if row
    ]


def plain(cell):
    """The text of a cell without the marks of Markdown."""
    return cell.replace("`", "").replace("\\", "")


def test_the_table_of_options(readme):
    rows = table_rows(readme, "| Option | Environment | Default | Unit and meaning |")
    documented = {plain(row[0]).split()[0]: row for row in rows}
    assert len(documented) == len(rows)
    assert list(documented) == [option.opts[0] for option in options()]
    for option in options():
        _, _, default, *_ = documented[option.opts[0]]
        assert plain(default) == default_of(option)


def default_of(option):
    """How a default is written: nothing for none, and for an option that may be repeated."""
    if option.multiple or option.default is None:
        return ""
    return str(option.default).lower()


def code_blocks(markdown):
    return re.findall(r"^```python\n(.*?)^```$", markdown, flags=re.DOTALL | re.MULTILINE)


def test_the_loop(readme):
    (quoted,) = [block for block in code_blocks(readme) if "def echo_message" in block]
    source = (ROOT / "echo" / "handlers.py").read_text(encoding="utf-8")
    (method,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "echo_message"
    ]
    real = "\n".join(source.splitlines()[method.lineno - 1 : method.end_lineno])
    assert textwrap.dedent(quoted).strip() == textwrap.dedent(real).strip()


def test_the_tests_of_the_threats(readme):
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    there = set(re.findall(r"^def (test_\w+)", "".join(sources), re.MULTILINE))
    for attack, _, tests in table_rows(readme, "| Attack | Answer | Test |"):
        named = re.findall(r"`(\w+)`", tests)
        assert named, attack
        assert set(named) <= there, attack
