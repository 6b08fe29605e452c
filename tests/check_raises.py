"""Fails when a place that raises, refuses, closes or answers with an error is executed by no test.

Run behind pytest, over the data that coverage.py has gathered in this folder (``make coverage``
does):

    python tests/check_raises.py

``--list`` also prints every place and the tests that execute it.
"""

import argparse
import ast
import builtins
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coverage import Coverage, CoverageData

ROOT = Path(__file__).resolve().parents[1]

#: Calls that count, by the last part of the name that is called, and what they do.
CALLS = {
    "abandon": "gives up a connection",
    "abort": "answers with an HTTP error",
    "close": "closes a connection, a channel or an output",
    "close_soon": "asks a connection to close",
    "exit": "ends the process",
    "_exit": "ends the process at once",
    "fail": "refuses the value of an option",
    "finish": "closes a channel behind what it sends",
    "go_away": "asks a client to leave",
    "go_away_soon": "asks a connection to close with 1001",
    "refuse": "answers a malformed request",
    "_close": "closes a WebSocket",
    "_end": "closes a WebSocket",
    "_fail": "fails a WebSocket",
    "_lose": "gives up a WebSocket whose socket is gone",
    "plain_text": "answers with an HTTP error",
    "_refuse": "answers a connection above the capacity",
    "_send_error_response_if_possible": "answers 500",
}

#: Exceptions of libraries that the service makes; its own and Python's are found.
LIBRARY_EXCEPTIONS = {"BadParameter", "ClickException", "UsageError"}

#: Places that no test needs to execute: file, source text, reason.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("echo/gunicorn_master.py", "os._exit(1)"): "test_workers_faults.py, in a process whose "
    "program cannot be started, so that nothing is recorded",
    ("echo/gunicorn_worker.py", "raise"): "gunicorn's own answer to a fault of a worker that "
    "serves: nothing here raises then",
    (
        "echo/net/tls_channel.py",
        "self._fail(failure)",
    ): "OpenSSL fails to encrypt only after it has failed to decrypt, which ends TLS here",
    ("echo/protocol/deflate.py", "raise"): "a MemoryError, or an interrupt between two lines",
    (
        "echo/protocol/masking.py",
        "raise ImportError('there is no websockets.speedups: install requirements.txt')",
    ): "the suite needs the package itself",
}


class Site(NamedTuple):
    """A statement that raises, refuses, closes or answers."""

    path: str  #: Relative to the project's folder.
    first: int
    last: int
    text: str  #: Of the statement, on one line.
    measurable: bool  #: False where the line can be executed and the call passed over.


class Finder(ast.NodeVisitor):
    """Gathers the sites of a file, and which of the names it was given it calls."""

    def __init__(self, path: str, names: set[str]) -> None:
        self.sites: list[Site] = []
        self.called: set[str] = set()
        self._names = names
        self._path = path
        self._statement: ast.stmt | None = None
        self._conditional = False

    def visit(self, node: ast.AST) -> None:
        before = self._statement, self._conditional
        if isinstance(node, ast.stmt):
            self._statement, self._conditional = node, False
        elif isinstance(node, ast.IfExp | ast.BoolOp | ast.Lambda | ast.comprehension):
            self._conditional = True
        if isinstance(node, ast.Raise):
            self._add(node)
        elif isinstance(node, ast.Call) and (name := last_part(node.func)) in self._names:
            self.called.add(name)
            if not isinstance(self._statement, ast.Raise):
                self._add(node)
        self.generic_visit(node)
        self._statement, self._conditional = before

    def _add(self, node: ast.Raise | ast.Call) -> None:
        text = " ".join(ast.unparse(node).split())
        last = node.end_lineno or node.lineno
        self.sites.append(Site(self._path, node.lineno, last, text, not self._conditional))


def last_part(expression: ast.expr) -> str:
    """``c`` of ``a.b.c``; nothing for an expression that is no name."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def exception_names(trees: list[ast.Module]) -> set[str]:
    """The names of all exceptions that the sources could make."""
    names = LIBRARY_EXCEPTIONS | {
        name
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while True:
        found = {node.name for node in classes if names & set(map(last_part, node.bases))}
        if found <= names:
            return names
        names |= found


def find_sites() -> tuple[list[Site], set[str]]:
    """All sites of the service in order, and the names of CALLS that it calls."""
    paths = [*sorted((ROOT / "echo").rglob("*.py")), ROOT / "server.py"]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    names = CALLS.keys() | exception_names(trees)
    finders = [Finder(str(path.relative_to(ROOT)), names) for path in paths]
    for finder, tree in zip(finders, trees, strict=True):
        finder.visit(tree)
    sites = [site for finder in finders for site in finder.sites]
    return sites, CALLS.keys() & set().union(*(finder.called for finder in finders))


def load_data(path: str | None) -> CoverageData:
    """What coverage.py has gathered; ends the process if it has nothing."""
    coverage = Coverage() if path is None else Coverage(data_file=path)
    coverage.load()
    data = coverage.get_data()
    if not data.measured_files():
        sys.exit("There is no coverage data; run pytest with --cov first.")
    return data


def executed(data: CoverageData, site: Site) -> bool:
    """Whether a line of the site was executed."""
    lines = data.lines(str(ROOT / site.path)) or []
    return any(site.first <= line <= site.last for line in lines)


def tests_of(data: CoverageData, site: Site) -> list[str]:
    """The names of the tests that executed the site."""
    contexts = data.contexts_by_lineno(str(ROOT / site.path))
    lines = range(site.first, site.last + 1)
    named = {context.partition("|")[0] for line in lines for context in contexts.get(line, ())}
    return sorted(named - {""})


def faults(data: CoverageData) -> Iterator[str]:
    """What is wrong, one line each."""
    sites, names = find_sites()
    for name in sorted(CALLS.keys() - names):
        yield f"CALLS has {name!r}, which the service calls nowhere; remove it"
    known = {(site.path, site.text) for site in sites}
    for path, text in sorted(EXCEPTIONS.keys() - known):
        yield f"EXCEPTIONS has {text!r} of {path}, which is not there; remove it"
    for site in sites:
        where = f"{site.path}:{site.first}: {site.text}"
        excepted = (site.path, site.text) in EXCEPTIONS
        if not site.measurable:
            yield f"{where}\n    is part of a condition; give it a statement of its own"
        elif executed(data, site) is excepted:
            found = "is executed by a test; remove it from EXCEPTIONS"
            yield f"{where}\n    {found if excepted else 'is executed by no test'}"


def listing(data: CoverageData, most: int) -> Iterator[str]:
    """Every site with at most so many of the tests that execute it."""
    for site in find_sites()[0]:
        yield f"{site.path}:{site.first}: {site.text}"
        tests = tests_of(data, site)
        reason = EXCEPTIONS.get((site.path, site.text), "executed by no test that is known by name")
        yield from (f"    {test}" for test in tests[:most] or [f"({reason})"])
        if len(tests) > most:
            yield f"    and {len(tests) - most} more"


def main() -> None:
    parser = argparse.ArgumentParser(description="Places that raise, and the tests that do it.")
    parser.add_argument("--list", action="store_true", help="print every place with its tests")
    parser.add_argument("--most", type=int, default=3, help="tests to name for each place")
    parser.add_argument("--data", help="the coverage data, if not that of this folder")
    options = parser.parse_args()
    data = load_data(options.data)
    if options.list:
        sys.stdout.writelines(f"{line}\n" for line in listing(data, options.most))
    found = list(faults(data))
    if found:
        sys.exit("\n".join(found))
    count = len(find_sites()[0])
    sys.stdout.write(f"Tests execute all {count} places that raise, refuse, close or answer.\n")


if __name__ == "__main__":
    main()
