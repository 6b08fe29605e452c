"""What README.md, CHANGELOG.md and docs/ say is what the service does."""

import ast
import json
import re
import textwrap

import click
import pytest

from echo.protocol.errors import Cause, HandshakeError, ProtocolViolation, RequestError
from echo.settings import options
from tests.e2e.inspected import Inspected
from tests.e2e.markdown import README, code_blocks, doc, spans, table_rows, text_of
from tests.e2e.raw_client import RawClient, http_request, upgrade_request
from tests.e2e.server_process import ROOT
from tests.wire import MASKING_KEY, TEXT, close_frame, frame

#: What differs from one time to the next in reports and records: of these only the form counts.
VOLATILE = {"at", "elapsed_ms", "began", "duration_ms", "id", "peer"}


# ---- The README


def test_the_loop():
    (quoted,) = [
        block for block in code_blocks(text_of(README), "python") if "def echo_message" in block
    ]
    source = (ROOT / "echo" / "handlers.py").read_text(encoding="utf-8")
    (method,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "echo_message"
    ]
    real = "\n".join(source.splitlines()[method.lineno - 1 : method.end_lineno])
    assert textwrap.dedent(quoted).strip() == textwrap.dedent(real).strip()


@pytest.mark.parametrize("page", ["architecture.md", "from-go.md"])
def test_the_loop_in_short(page):
    """The pages that show the loop's lines show those of the README."""
    (loop,) = code_blocks(text_of(README), "python")
    (quoted,) = [block for block in code_blocks(doc(page), "python") if "upgrade" in block]
    lines = [line.strip() for line in quoted.splitlines()]
    assert [line.strip() for line in loop.splitlines() if line.strip() in lines] == lines


def digits_apart(text):
    """The text with 0 for each of its numbers."""
    return re.sub(r"\d+", "0", text)


def test_the_terminals_output(server):
    """The server's lines are those of the README, but for the numbers."""
    _, transcript = code_blocks(text_of(README), "console")
    with RawClient(server) as client:
        client.upgrade()
        client.send(frame(TEXT, b"Hello"))
        client.read_frame()
        client.send(close_frame(1000))
        client.read_close()
    server.stdout.wait_for_line("sent: Hello")
    server.stderr.wait_for_line("closed")
    lines = [*server.stdout.lines, *server.stderr.lines]
    assert list(map(digits_apart, transcript.splitlines()[1:])) == list(map(digits_apart, lines))


def test_the_figures():
    """Those of the README are those of the benchmark's results."""
    results = text_of(ROOT / "bench" / "RESULTS.md")
    header = ("connections x in flight x bytes", "Go", "this service", "Go ÷ this", "spread")
    summary = {name: (go, this) for name, go, this, *_ in table_rows(results, *header)}
    names = {
        "64 bytes, 32 in flight": "64 x 32 x 64, log off",
        "65,536 bytes": "16 x 1 x 65,536, log off",
        "Memory of an idle connection": "memory of an idle connection",
    }
    rows = table_rows(text_of(README), "What it costs", "this service", "Go")
    assert len(rows) == len(names)
    for (what, ours, theirs), (ending, name) in zip(rows, names.items(), strict=True):
        assert what.endswith(ending)
        assert (theirs.split()[0], ours.split()[0]) == tuple(
            cell.split()[0] for cell in summary[name]
        )


# ---- The map of the package


def test_the_map_lists_every_file():
    """In ``echo/__init__.py``, each on its floor, and with a name that the file defines."""
    listed = {}
    folder = ""
    source = (ROOT / "echo" / "__init__.py").read_text(encoding="utf-8")
    for line in source.splitlines():
        if floor := re.match(r"\w+(?:, ``(\w+)``)?: ", line):
            folder = f"{floor[1]}/" if floor[1] else ""
        elif entry := re.match(r"    (\w+\.py) +(?:(\w+): )?", line):
            listed[folder + entry[1]] = entry[2]
    files = {path.relative_to(ROOT / "echo") for path in (ROOT / "echo").rglob("*.py")}
    assert listed.keys() == {str(path) for path in files if path.name != "__init__.py"}
    for path, name in listed.items():
        source = (ROOT / "echo" / path).read_text(encoding="utf-8")
        assert name is None or re.search(rf"^ *(?:class|def) {name}\b", source, re.MULTILINE), path


# ---- Reports and records


def form(value):
    """What stays the same of a volatile value."""
    if isinstance(value, str):
        return "an id" if re.fullmatch(r"[\w-]{22}", value) else digits_apart(value)
    return type(value)


def stable(value):
    """A report or a record with the form of what is volatile."""
    if isinstance(value, list):
        return [stable(one) for one in value]
    if isinstance(value, dict):
        return {key: form(one) if key in VOLATILE else stable(one) for key, one in value.items()}
    return value


def shown(markdown, **known):
    """The one JSON object in a page's code blocks that has these values."""
    objects = [json.loads(block) for block in code_blocks(markdown, "json")]
    (one,) = [
        value for value in objects if isinstance(value, dict) and known.items() <= value.items()
    ]
    return one


def test_the_report_of_a_message(echo_server):
    with Inspected(echo_server) as client:
        client.begin()
        report = client.reports(frame(TEXT, b"Hello", key=MASKING_KEY))
    assert stable(shown(text_of(README), type="message")) == stable(report)


def test_the_report_of_a_failure(echo_server):
    with Inspected(echo_server) as client:
        client.begin()
        report = client.reports(frame(TEXT, b"Hello", key=b""))
    assert stable(shown(doc("inspector.md"), type="failure")) == stable(report)


def test_a_credential_in_a_report(echo_server):
    (field,) = [
        json.loads(block)
        for block in code_blocks(doc("inspector.md"), "json")
        if block.startswith("[")
    ]
    with Inspected(echo_server) as client:
        report = client.begin(cookie="session=0123456789abcdef")
    (cookie,) = [one for one in report["request"]["headers"] if one[0] == "Cookie"]
    hashed = re.compile("hash [0-9a-f]{8}")
    assert [hashed.sub("hash", text) for text in field] == [hashed.sub("hash", t) for t in cookie]


def test_the_post_mortem(echo_server):
    with RawClient(echo_server) as client:
        connection_id = client.upgrade().header("X-Connection-Id")
        client.send(frame(TEXT, b"Hello"))
        client.read_frame()
        client.send(frame(TEXT, b"Hello", key=b""))
        client.read_close()
        client.sock.close()
        client.log_line()
    path = f"/ws/connections/{connection_id}"
    with RawClient(echo_server) as client:
        client.send(http_request(path=path, headers=[("Host", "x"), ("Connection", "close")]))
        record = json.loads(client.read_response().text)
    assert stable(shown(text_of(README), state="closed")) == stable(record)
    fields = [
        name
        for row in table_rows(doc("inspector.md"), "Field", "What it says")
        for name in spans(row[0])
    ]
    assert sorted(fields) == sorted(record)


def test_the_refused_handshake(echo_server):
    with RawClient(echo_server) as client:
        client.send(upgrade_request(8000, origin="https://app.example"))
        connection_id = client.read_response().header("X-Connection-Id")
    with RawClient(echo_server) as client:
        path = f"/ws/connections/{connection_id}"
        client.send(http_request(path=path, headers=[("Host", "x"), ("Connection", "close")]))
        record = json.loads(client.read_response().text)
    assert stable(shown(doc("inspector.md"), state="refused")) == stable(record)
    rows = table_rows(doc("inspector.md"), "Field", "What it says of a refused handshake")
    assert sorted(name for row in rows for name in spans(row[0])) == sorted(record)


def test_a_line_of_the_log_in_json(start_server):
    server = start_server("--log-format", "json")
    with RawClient(server) as client:
        client.send(upgrade_request(server.port))
        client.read_response()
        client.send(frame(TEXT, b"Hello"))
        client.read_frame()
    server.stdout.wait_for_line('"message"')
    (line,) = server.stdout.matching('"event": "message"')
    documented = shown(doc("operations.md"), event="message")
    real = json.loads(line)
    assert list(documented) == list(real)
    assert stable(documented) | {"pid": 0} == stable(real) | {"pid": 0}


# ---- Tables


def test_the_options():
    """Each option has a row with its name, its variables and its default."""
    rows = table_rows(doc("options.md"), "Option", "Environment", "Default", "What it sets")
    documented = {
        spans(flag)[0]: (spans(variables), spans(default)) for flag, variables, default, _ in rows
    }
    assert len(documented) == len(rows)
    context = click.Context(click.Command("server"))
    assert documented == {
        option.opts[0]: (list(option.get_help_extra(context)["envvars"]), default_of(option))
        for option in options()
    }


def default_of(option):
    """How a default is written: nothing for none, and for an option that may be repeated."""
    default = option.default
    if option.multiple or default in {None, ""}:
        return []
    return [f"{default:g}" if isinstance(default, float) else str(default).lower()]


def test_the_tests_of_the_threats():
    """Each threat names tests, and they exist."""
    sources = [text_of(path) for path in (ROOT / "tests").rglob("test_*.py")]
    there = set(re.findall(r"^def (test_\w+)", "".join(sources), re.MULTILINE))
    for attack, _, tests in table_rows(doc("security.md"), "Attack", "Answer", "Test"):
        assert spans(tests), attack
        assert set(spans(tests)) <= there, attack


def numbers(rows):
    """The numbers in the first cells."""
    return {int(row[0]) for row in rows}


def subclasses(base):
    return {
        *base.__subclasses__(),
        *(one for sub in base.__subclasses__() for one in subclasses(sub)),
    }


def test_the_statuses_and_close_codes():
    """Every one that an exception stands for has a row."""
    refusals = subclasses(HandshakeError) | subclasses(RequestError)
    statuses = numbers(table_rows(doc("protocol.md"), "Status", "When"))
    assert {int(str(refusal.status).split()[0]) for refusal in refusals} <= statuses
    codes = numbers(table_rows(doc("protocol.md"), "Code", "When"))
    assert {int(violation.code) for violation in subclasses(ProtocolViolation)} <= codes


def test_the_causes():
    rows = table_rows(doc("inspector.md"), "`cause`", "What happened")
    assert [name for row in rows for name in spans(row[0])] == list(Cause)


def test_the_metrics(start_server):
    server = start_server("--metrics", "on")
    with RawClient(server) as client:
        client.send(http_request(path="/metrics", headers=[("Host", "x"), ("Connection", "close")]))
        page = client.read_response().text
    rows = table_rows(doc("operations.md"), "Metric", "What it counts")
    documented = {name.partition("{")[0] for row in rows for name in spans(row[0])}
    assert documented == set(re.findall(r"^# TYPE (\w+)", page, re.MULTILINE))
