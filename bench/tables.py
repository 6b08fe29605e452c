"""The sections of RESULTS.md that follow the summary: a table or two each.

A section of which nothing was measured is the empty string.
"""

from collections.abc import Iterable

from figures import Figure, Results, middle, number, spread
from loads import LOADS, MANY
from servers import SERVERS

OURS, GO, RAW = "ours", "go", "raw"

#: The loads of messages, each with a table of its own.
MESSAGES = ("small", "small-log", "deep", "deep-log", "4k", "64k", "1m")
COMPRESSED = ("deflate-1k", "deflate-64k")
HANDSHAKES = ("handshake", "handshake-cut")
LATENCIES = ("many", "alone", "beside-deep", "beside-stream")

#: A load, and the one that it should cost little more than.
COMPARED = (("text", "small"), ("text-4k", "4k"), ("thousand", "small"))

#: What the service must not fall behind: milliseconds of a start, and a share of the rate.
START_MS = 200
THOUSAND_RATE = 0.8

LOG = {"off": "off", "on": "on, to /dev/null", "ours": "ours on, others off"}

DISTURBED = "steal + others, %"


def table(head: Iterable[str], rows: Iterable[Iterable[str]], align: str = "---:") -> str:
    """A Markdown table; ``align`` is for all columns but the first."""
    head = list(head)
    lines = [head, ["---", *[align] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(title: str, text: str, head: Iterable[str], rows: list[Iterable[str]]) -> str:
    """A heading, a text where there is one, and a table; nothing without rows."""
    parts = [f"## {title}", text, table(head, rows)]
    return "\n\n".join(part for part in parts if part) if rows else ""


def by_cost(results: Results, load: str, value: str = "server_us") -> list[str]:
    """The servers that were measured, the cheapest first."""
    servers = LOADS[load].servers + LOADS[load].once
    measured = {name: results.cost(load, name, value) for name in servers}
    costs = {name: cost.median for name, cost in measured.items() if cost}
    return sorted(costs, key=costs.__getitem__)


def messages(results: Results, load: str) -> str:
    """A load of messages: a server a line."""
    head = (
        *("server", "µs/message", "spread", "Go ÷ it", "messages/s", "spread"),
        *("p50, µs", "p99, µs", "load core busy", DISTURBED),
    )
    rows = []
    for server in by_cost(results, load):
        cost, rate = results.cost(load, server), results.speed(load, server)
        ratio = results.ratio((load, GO), (load, server))
        speeds = [results.speed(load, server, name) for name in ("p50_us", "p99_us")]
        busy = results.cost(load, server, "busy")
        rows.append(
            (
                *(SERVERS[server].title, middle(cost), spread(cost), middle(ratio)),
                *(middle(rate), spread(rate), *map(middle, speeds)),
                *(f"{busy.median:.0%}", results.disturbance(load, server)),
            )
        )
    of = LOADS[load]
    return section(f"{of.title}, message log {LOG[of.log]}", "", head, rows)


def compression(results: Results) -> str:
    """The loads of compressed messages."""
    text = (
        "permessage-deflate, without context takeover either way, each server with its own level. "
        "Messages are sent compressed by zlib; what comes back is inflated and compared."
    )
    rows = []
    for load in COMPRESSED:
        for server in by_cost(results, load):
            cost = results.cost(load, server)
            ratio = results.ratio((load, GO), (load, server))
            name = f"{LOADS[load].title}: {SERVERS[server].title}"
            disturbance = results.disturbance(load, server)
            rate = middle(results.speed(load, server))
            rows.append((name, middle(cost), spread(cost), middle(ratio), rate, disturbance))
    head = ("", "µs/message", "spread", "Go ÷ it", "messages/s", DISTURBED)
    return section("Compressed messages", text, head, rows)


def handshakes(results: Results) -> str:
    """Both ways to end a connection."""
    text = (
        "One connection after the other. *Close* is WebSocket's closing handshake; *hang up* is "
        "the end of TCP without it."
    )
    rows = []
    for load in HANDSHAKES:
        for server in by_cost(results, load):
            cost = results.cost(load, server)
            ratio = results.ratio((load, GO), (load, server))
            name = f"{LOADS[load].title}: {SERVERS[server].title}"
            disturbance = results.disturbance(load, server)
            rows.append((name, middle(cost), spread(cost), middle(ratio), disturbance))
    head = ("", "µs/connection", "spread", "Go ÷ it", DISTURBED)
    return section("Opening and closing", text, head, rows)


def memory(results: Results) -> str:
    text = (
        f"Resident memory that each of {MANY:,} connections adds to the server, after one message "
        "on each. Servers other than this service and Go are measured in one round."
    )
    rows = []
    for server in by_cost(results, "memory", "kib"):
        cost = results.cost("memory", server, "kib")
        rows.append((SERVERS[server].title, middle(cost), spread(cost)))
    return section("Idle connections", text, ("server", "KiB/connection", "spread"), rows)


def latencies(results: Results) -> str:
    """Open-loop loads: round trips of messages that are sent when they are due."""
    text = (
        "Round trips of 64-byte messages, from the moment when each was due. First "
        f"{MANY:,} connections that each send one message a second; then 60 that each send ten a "
        "second, alone and beside one neighbour that takes whatever it gets."
    )
    rows = []
    for load in LATENCIES:
        for server in LOADS[load].servers:
            p50, p99 = (results.speed(load, server, name) for name in ("p50_us", "p99_us"))
            lost = results.cost(load, server, "unanswered")
            if not lost:
                continue
            neighbour = results.speed(load, server, "neighbour_mb_s")
            rows.append(
                (
                    *(f"{LOADS[load].title}: {SERVERS[server].title}", middle(p50), spread(p50)),
                    *(middle(p99), spread(p99), f"{lost.high:.0f}", middle(neighbour)),
                    results.disturbance(load, server),
                )
            )
    head = (
        *("", "p50, µs", "spread", "p99, µs", "spread"),
        *("never echoed", "neighbour, MB/s", DISTURBED),
    )
    return section("Many, and fair", text, head, rows)


def comparisons(results: Results) -> str:
    """What should make little difference: text instead of binary, more connections."""
    rows = []
    for load, base in COMPARED:
        ours = results.ratio((load, OURS), (base, OURS))
        if not ours:
            continue
        go = results.ratio((load, GO), (base, GO))
        raw = results.ratio((load, RAW), (base, RAW))
        costs = middle(results.cost(load, OURS)), middle(results.cost(base, OURS))
        title = f"{LOADS[load].title} : {LOADS[base].title}"
        rows.append((title, *costs, middle(ours), spread(ours), middle(go), middle(raw)))
    head = ("this service", "µs/message", "µs/message", "ratio", "spread", "Go's", "raw echo's")
    return section("Text for binary, a thousand connections for 64", "", head, rows)


def goals(results: Results) -> str:
    """How soon the service starts, and how much of its rate many busy connections leave."""
    rows = []
    start = results.cost("start", OURS, "ms")
    if start:
        title = f"{LOADS['start'].title}, ms"
        rows.append((title, middle(start), spread(start), f"at most {START_MS}"))
    many, few = (results.speed(load, OURS) for load in ("thousand", "small"))
    single = results.ratio(("thousand", OURS), ("small", OURS), "rate")
    if many and few and single:
        noisy = many.noisy or few.noisy
        rate = Figure(many.median / few.median, single.low, single.high, noisy)
        title = "messages/s with 1,000 busy connections ÷ with 64"
        rows.append((title, middle(rate), spread(rate), f"at least {THOUSAND_RATE}"))
    return table(("", "this service", "spread", "must be"), rows) if rows else ""


def long_run(minutes: list[dict[str, float]]) -> str:
    """One dict of figures for each minute."""
    text = (
        f"This service as it is shipped, {LOADS['small'].title}, the same connections all the time."
    )
    rows = [
        (
            *(str(minute), number(values["server_us"]), number(values["rate"])),
            number(values["rss_kib"]),
        )
        for minute, values in enumerate(minutes, 1)
    ]
    return section("A long run", text, ("minute", "µs/message", "messages/s", "memory, KiB"), rows)
