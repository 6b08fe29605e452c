"""The rows of the view Messages, module by module: what is said of messages and of ends."""

import pytest

from tests.e2e.browser import run

MODULES = "log/messages_view.js i18n/texts.js"

#: An entry's row in English: its text, and what its style hangs on.
DRAW = """({ messagesView }, { TEXTS }, entry) => {
    const row = messagesView.draw({ at: "2020-01-01T12:00:00.000Z", ...entry }, TEXTS.en);
    const text = (selector) => row.querySelector(selector)?.textContent ?? null;
    return {
        text: text(".payload"),
        title: text(".title"),
        reason: text(".reason"),
        rtt: text(".rtt"),
        problem: text(".problem"),
        level: row.dataset.level ?? null,
        markup: row.querySelectorAll("b, i, img, script").length,
    };
}"""


def draw(page, **entry):
    return run(page, MODULES, DRAW, entry)


def draw_end(page, by="server", code=1012, reason="", server=None, asked=None):
    server = server or {"state": "asking"}
    return draw(page, type="closed", by=by, code=code, reason=reason, server=server, asked=asked)


# ---- Messages


def draw_message(page, **changes):
    message = {"type": "message", "direction": "received", "kind": "text", "text": "Hi"}
    return draw(
        page, **(message | {"bytes": 2, "omitted": 0, "ms": 1.25, "state": "echo"} | changes)
    )


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, {"text": "Hi", "rtt": "1.3 ms", "level": None}),
        ({"ms": 1500}, {"rtt": "1,500 ms"}),
        ({"ms": None}, {"rtt": ""}),
        ({"state": "different"}, {"level": "bad"}),
        ({"state": "unasked", "ms": None}, {"level": "bad"}),
        ({"state": "bad-report"}, {"level": "bad"}),
        ({"state": "unanswered", "direction": "sent"}, {"rtt": "no answer", "level": "bad"}),
        ({"kind": "binary", "hex": "cafe"}, {"text": "hexca fe "}),
        ({"text": "<b>b</b>"}, {"text": "<b>b</b>", "markup": 0}),
    ],
)
def test_a_message_is_drawn_with_its_round_trip_and_what_is_wrong_with_it(
    module_page, changes, shown
):
    row = draw_message(module_page, **changes)
    assert {name: row[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ("different", "not what was sent"),
        ("unasked", "no echo"),
        ("bad-report", "no report of version 2"),
    ],
)
def test_a_message_that_is_no_echo_says_so(module_page, state, problem):
    assert problem in draw_message(module_page, state=state)["problem"]


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        ({"type": "handshake"}, "The inspector reports your opening handshake."),
        (
            {"type": "message", "kind": "text", "bytes": 1, "fragments": 2},
            "The inspector saw your text message: 1 byte in 2 frames.",
        ),
        ({"type": "ping"}, "The inspector saw your ping."),
        ({"type": "close", "code": 4000}, "The inspector saw your close frame with 4000."),
        (
            {"type": "failure", "reason": "<b>\u202ewhy"},
            "The inspector saw a rule broken: <b>U+202Ewhy",
        ),
        ({"type": "toString"}, "toString"),
    ],
)
def test_a_report_is_told_in_a_sentence(module_page, report, sentence):
    row = draw_message(module_page, state="report", _report=report)
    assert row["text"] == sentence + "The report as it came"
    assert row["markup"] == 0


# ---- Ends


@pytest.mark.parametrize(
    ("end", "title"),
    [
        ({"by": "you", "asked": {"code": 4002}}, "You closed the connection with 4002; "),
        ({"by": "you", "asked": {"code": 1000}}, "with 1000 (Normal Closure); "),
        ({}, "The server closed the connection with 1012 (Service Restart); "),
        ({"code": 1005}, "The server closed the connection without a code; "),
        (
            {"by": "unanswered", "asked": {"code": 1000}},
            "(Normal Closure) and got no answer in time",
        ),
        (
            {"by": "lost", "code": 1006},
            "The connection was lost without a closing handshake (1006)",
        ),
    ],
)
def test_an_end_begins_with_what_the_browser_says(module_page, end, title):
    told = draw_end(module_page, **end)["title"]
    assert title in told
    assert told.endswith("; asking the server what it saw ….")


@pytest.mark.parametrize(
    ("server", "half"),
    [
        ({"state": "open"}, "the server still takes it for open."),
        ({"state": "unknown"}, "the server no longer knows this connection."),
        ({"state": "unreachable"}, "the server could not be asked what it saw."),
        ({"state": "closed", "cause": "reset"}, "the server saw the connection reset."),
        ({"state": "closed", "cause": "ping-timeout"}, "its ping got no answer."),
        ({"state": "closed", "cause": "<b>new</b>"}, "the server saw it end."),
        ({"state": "closed", "cause": "constructor"}, "the server saw it end."),
        ({"state": "closed", "cause": None}, "the server saw it end."),
        (
            {
                "state": "closed",
                "cause": "limit",
                "code": 1013,
                "duration_ms": 61_234.5,
                "messages_in": 1,
                "messages_out": 1200,
            },
            ", with 1013 (Try Again Later), after 61.2 s with 1 message in and 1,200 out.",
        ),
    ],
)
def test_an_end_closes_with_what_the_server_says(module_page, server, half):
    row = draw_end(module_page, server=server)
    assert row["title"].startswith("The server closed the connection with 1012 (Service Restart); ")
    assert row["title"].endswith(half)
    assert row["markup"] == 0


@pytest.mark.parametrize(
    ("code", "name", "meaning", "level"),
    [
        (1000, "Normal Closure", "ended in order", "info"),
        (1001, "Going Away", "shutting down", "warn"),
        (1008, "Policy Violation", "has a rule against", "bad"),
        (1009, "Message Too Big", "--max-message-size", "bad"),
        (1011, "Internal Error", "went wrong inside the server", "bad"),
        (1013, "Try Again Later", "too much to do", "warn"),
        (2999, None, "not registered", "bad"),
        (3999, None, "library or framework", "bad"),
        (4321, None, "no public meaning", "bad"),
    ],
)
def test_a_close_is_named_and_explained(module_page, code, name, meaning, level):
    row = draw_end(module_page, code=code, reason="<i>\u202ewhy")
    assert (f"{code} ({name});" if name else f"with {code};") in row["title"]
    assert meaning in row["text"]
    assert row["reason"] == "Reason given: <i>U+202Ewhy"
    assert row["level"] == level
    assert row["markup"] == 0


ASKING = {"state": "asking"}


@pytest.mark.parametrize(
    ("entry", "title"),
    [
        ({"type": "opened", "ms": 2, "target": "echo"}, "Connected to the echo in 2.0 ms"),
        ({"type": "stopped"}, "You stopped the attempts to connect"),
        ({"type": "cancelled", "code": 1006}, "You cancelled the attempt to connect"),
        ({"type": "failed", "attempts": 1, "server": ASKING}, "Could not connect"),
        (
            {"type": "failed", "attempts": 1200, "server": ASKING},
            "Could not connect, 1,200 attempts so far",
        ),
    ],
)
def test_what_else_happens_to_a_connection_is_told(module_page, entry, title):
    assert draw(module_page, **entry)["title"] == title


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (ASKING, ["The browser does not say why. Asking the server"]),
        ({"state": "unreachable"}, ["does not answer at all"]),
        ({"state": "unknown"}, ["did not reach the server", "proxy", "extension"]),
        ({"state": "unreachable", "status": 503, "reason": "full"}, ["answered with 503", "full"]),
        ({"state": "closed"}, ["accepted the handshake", "subprotocols"]),
        (
            {"state": "refused", "status": 403, "reason": "<i>\u202eno", "cures": []},
            ["refused the handshake with 403", "<i>U+202Eno"],
        ),
        (
            {"state": "refused", "status": 426, "reason": "lost", "cures": ["a <b>", "c"]},
            ["with 426", "lost", "Lines that make a proxy keep", "a <b>", "c"],
        ),
    ],
)
def test_why_an_attempt_failed_is_told_as_far_as_the_server_knows(module_page, server, words):
    row = draw(module_page, type="failed", attempts=1, server=server)
    assert [word for word in words if word not in row["text"]] == []
    assert row["markup"] == 0


# ---- What the log keeps of a message

#: What a Recorder writes for messages that arrive at the echo, the answers to nothing.
RECORD = """({ Recorder }, { Log }, payloads) => {
    const log = new Log(10);
    const recorder = new Recorder(log, () => "", () => {});
    const link = { target: "echo", id: "x", waiting: [], socket: { extensions: "" } };
    for (const payload of payloads) {
        const data = typeof payload === "string" ? payload : Uint8Array.from(payload);
        recorder.received(link, data, 0);
    }
    return log.entries;
}"""


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        ("Grüße", {"kind": "text", "bytes": 7, "text": "Grüße", "omitted": 0}),
        ("x" * 4097, {"bytes": 4097, "text": "x" * 4096, "omitted": 1}),
        (
            "x" * 4095 + "\U0001f600" * 10,  # a character is never cut in half
            {"bytes": 4135, "text": "x" * 4095, "omitted": 10},
        ),
        (
            "\U0001f600" * 4 + "x" * (1024 * 1024 - 16),
            {"bytes": 1024 * 1024, "omitted": 1024 * 1024 - 16 - 4088},
        ),
        ([0xCA, 0xFE], {"kind": "binary", "bytes": 2, "hex": "cafe", "omitted": 0}),
        ([0] * 4100, {"bytes": 4100, "hex": "00" * 4096, "omitted": 4}),
    ],
)
def test_the_log_keeps_the_beginning_of_a_message(module_page, payload, kept):
    [entry] = run(module_page, "connection/recorder.js log/log.js", RECORD, [payload])
    assert {name: entry[name] for name in kept} == kept


def test_the_log_as_json_lines_has_no_private_keys(module_page):
    lines = """({ Log }) => {
        const log = new Log(2);
        for (const text of ["first", "a\\nb", "c"]) log.add({ type: "message", text, _open: true });
        return [log.dropped, log.jsonLines()];
    }"""
    assert run(module_page, "log/log.js", lines) == [
        1,
        '{"type":"message","text":"a\\nb"}\n{"type":"message","text":"c"}\n',
    ]
