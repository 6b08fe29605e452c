"""RESULTS.md and results.svg, from the samples of a run."""

from dataclasses import dataclass

import tables
from chart import Bar, Panel, draw
from figures import MUCH, Figure, Results, middle, number, spread
from loads import LOADS, WEBSOCKETS
from servers import SERVERS
from tables import GO, HANDSHAKES, MESSAGES, OURS

INTRODUCTION = """\
# Results of the benchmark

What a message, a handshake and an idle connection cost this service, the article's Go program on \
gorilla/websocket, and others, on one core each of the same machine. `make bench` measures \
everything anew and writes this file.

![The summary as bars](results.svg)"""

COSTS = """\
## In short

Microseconds of the server's processor time per message, or per connection that is opened and \
closed. Above 1 in the column *Go ÷ this* this service spends less than Go; the spread is the \
lowest and the highest that a single round gave."""

METHOD = """\
## How it is measured

- The server runs on one core, the load on another, over loopback; Go with GOMAXPROCS=1. Each \
measurement has a fresh server process, which prints to /dev/null.
- Rounds: {rounds}. Within a round all servers take turns under a load before the next load comes. \
A measurement of messages lasts {seconds:g} s. Figures are medians over the rounds, a spread is \
the lowest and the highest.
- The load generator, [`wsload.c`](wsload.c), sends the next message when one came back, and \
compares every byte. Payloads are binary, and text where the message log is on on both sides.
- Processor time is the server's user and system time divided by the messages echoed. It is the \
figure to compare by: rates collapse when the host gives the two cores to other machines (*steal*) \
or the machine gives them to *other* processes, and processor time moves much less.
- Rates and latencies are from the rounds in which those two together had less than {much:g} % of \
the cores' time; starred, and saying little, where there was no such round. The tables have the \
highest of both that a round saw.
- *Message log*: whether each message is printed. *Ours on, others off* is this service as it is \
shipped against programs that print nothing.
- The raw TCP echo in C is the floor that every protocol pays, and shows what the load generator \
itself can do; *load core busy* is the share of its core that it used."""


@dataclass(frozen=True)
class Run:
    """All that a report tells of. ``long``: one dict of figures for each minute of a long run."""

    results: Results
    facts: dict[str, str]
    rounds: int
    seconds: float
    left_out: list[str]
    long: list[dict[str, float]]


def markdown(run: Run) -> str:
    """RESULTS.md."""
    results = run.results
    parts = [
        INTRODUCTION,
        in_short(results),
        METHOD.format(rounds=run.rounds, seconds=run.seconds, much=MUCH),
        "## The machine\n\n" + tables.table(("", ""), run.facts.items(), align="---"),
        *(tables.messages(results, load) for load in MESSAGES),
        tables.compression(results),
        tables.handshakes(results),
        tables.memory(results),
        tables.latencies(results),
        tables.comparisons(results),
        tables.long_run(run.long),
    ]
    if run.left_out:
        parts.append("## Left out\n\n" + "\n".join(f"- {line}" for line in run.left_out))
    return "\n\n".join(part for part in parts if part) + "\n"


def title(load: str) -> str:
    """A load's title, with the log where it is the same on both sides."""
    of = LOADS[load]
    return of.title if of.log == "ours" else f"{of.title}, log {of.log}"


def ratios(results: Results) -> dict[str, Figure]:
    """Go's cost over ours, for each load of messages or handshakes where both were measured."""
    found = {load: results.ratio((load, GO), (load, OURS)) for load in MESSAGES + HANDSHAKES}
    return {load: ratio for load, ratio in found.items() if ratio}


def in_short(results: Results) -> str:
    """The ratios that count, and where Go is ahead."""
    found = ratios(results)
    rows = []
    for load, ratio in found.items():
        costs = middle(results.cost(load, GO)), middle(results.cost(load, OURS))
        rows.append((title(load), *costs, f"**{number(ratio.median)}**", spread(ratio)))
    memory = results.ratio(("memory", GO), ("memory", OURS), "kib")
    if memory:
        costs = (f"{middle(results.cost('memory', name, 'kib'))} KiB" for name in (GO, OURS))
        label = "memory of an idle connection"
        rows.append((label, *costs, f"**{number(memory.median)}**", spread(memory)))
    head = ("connections x in flight x bytes", "Go", "this service", "Go ÷ this", "spread")
    losing = "; ".join(title(load) for load, ratio in found.items() if ratio.median < 1)
    parts = [
        COSTS,
        tables.table(head, rows),
        tables.goals(results),
        f"Go spends less at: {losing}." if losing else "",
        stock(results),
    ]
    return "\n\n".join(part for part in parts if part)


def stock(results: Results) -> str:
    """How many times as much Flask with gevent-websocket as it comes spends."""
    told = []
    for load in ("small", "4k", "64k"):
        ratio = results.ratio((load, "stock"), (load, OURS))
        if ratio:
            told.append(f"{number(ratio.median)} times as much at {LOADS[load].title}")
    if not told:
        return ""
    return f"Flask with gevent-websocket as it comes spends {', '.join(told)}."


def svg(results: Results) -> str:
    """results.svg: the ratios to Go, and all servers at the smallest message."""
    compared = [
        Bar(title(load), ratio.median, number(ratio.median), ours=True)
        for load, ratio in ratios(results).items()
    ]
    small = [
        Bar(SERVERS[name].title.strip("*"), cost.median, f"{number(cost.median)} µs", name == OURS)
        for name in tables.by_cost(results, "small")
        if name in WEBSOCKETS and (cost := results.cost("small", name))
    ]
    return draw(
        "Processor time of this service, of Go and of others",
        [
            Panel(
                "Go's processor time ÷ this service's",
                "Longer is better; at the line both are even. Connections x in flight x bytes.",
                compared,
                mark=1.0,
            ),
            Panel(
                "Processor time per message",
                f"Shorter is better. {title('small')}.",
                small,
            ),
        ],
    )
