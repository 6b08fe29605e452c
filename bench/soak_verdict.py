"""What the hostile half of the soak has shown: what was not right, and the tables."""

from collections.abc import Iterator

from soak_attacks import ATTACKS, DRIP, DRIPS, NICE
from soak_healthy import CLIENTS, PAUSE, SIZE
from soak_hostile import HEAD_TIMEOUT, LOAD_CORE, LOG_RATE, SERVER_CORE, Hostile, Phase
from soak_kills import GROWTH, growth
from tables import table

#: Round trips, each with the seconds that it took and those of them that the host took.
Trips = list[tuple[float, float]]

#: Seconds that the server may hold a TLS handshake: beside the time for the head it may wait for
#: the end of the stream.
HELD = HEAD_TIMEOUT + 4.0

#: A host that takes more is busy: of the server's core, and seconds that a timer is late.
BUSY_WAIT, BUSY_LATE = 0.05, 0.05


def problems(result: Hostile, goal: float) -> list[str]:
    """What was not right. ``goal``: seconds for a round trip, less the host's part."""
    found = [problem for phase in result.phases for problem in _problems_of(phase, result, goal)]
    grown = growth(result.memory())
    if grown is not None and grown > GROWTH:
        found.append(f"memory grew by {grown:.1%}")
    held = result.drip["longest"]
    if held > HELD:
        found.append(f"a TLS handshake was held for {held:.1f} s; {HELD:.1f} s are allowed")
    return found


def _problems_of(phase: Phase, result: Hostile, goal: float) -> Iterator[str]:
    for number, client in enumerate(phase.clients, 1):
        who = f"{phase.name}: client {number}"
        if client["ended"]:
            yield f"{who}: {client['ended']}"
        if client["wrong"]:
            yield f"{who}: {client['wrong']} wrong echoes"
        if not client["trips"]:
            yield f"{who}: no round trip"
        elif (worst := worst_of_server(client["trips"])) > goal:
            yield f"{who}: {_ms(worst)} ms for a round trip, less the host's part"
    allowed = result.idle + allowance(phase) // 1024
    if phase.peak > allowed:
        yield f"{phase.name}: {_mib(phase.peak)} MiB at most; {_mib(allowed)} are allowed"


def allowance(phase: Phase) -> int:
    """Bytes that the server may take in a phase: what its attacks share is there once."""
    return max((ATTACKS[name].memory for name in phase.attacks), default=0)


def worst_of_server(trips: Trips) -> float:
    """The worst round trip in seconds, each less the host's part."""
    return max((took - host for took, host in trips), default=0.0)


def worst(trips: Trips) -> float:
    return max((took for took, _ in trips), default=0.0)


def percentile_99(trips: Trips) -> float:
    took = sorted(took for took, _ in trips) or [0.0]
    return took[int(0.99 * (len(took) - 1))]


_METHOD = f"""\
gunicorn runs one worker, on core {SERVER_CORE}; all clients are on core {LOAD_CORE}. {CLIENTS} \
healthy clients, in a process of their own, exchange messages of up to {SIZE} bytes, one round \
trip at a time with up to {1000 * PAUSE:.0f} ms between two. Beside them come the attacks, each \
in a process of its own with a nice value of {NICE} and a bound on what it sends: first each \
alone, then all at once, again and again. The log is read at {LOG_RATE / 1e6:.0f} MB/s, and where \
the name says so not at all. The whole time {DRIPS} TLS handshakes, of which a byte comes every \
{DRIP} s, go to a second server with `--head-timeout {HEAD_TIMEOUT}`.

A round trip may take {{:.0f}} ms, less the host's part: how long the server waited for its core \
while other programs had it, and how late a timer in the healthy clients' process woke up. After \
each attack the worker must have no more descriptors and threads than when it was idle. It may \
take so much memory for an attack: {{}} MiB, and {{}} where the receive budget is used up; what it \
has after each round may grow by {GROWTH:.0%}. No healthy client may be closed, no echo be wrong, \
and no worker be replaced.
"""


def section(result: Hostile, found: list[str], goal: float) -> str:
    """The result in Markdown. ``found``: all that was not right."""
    allowances = sorted({attack.memory >> 20 for attack in ATTACKS.values()})
    parts = [
        "## Floods\n",
        _METHOD.format(1000 * goal, *allowances),
        table(_PHASE_HEAD, [_phase_row(phase, goal) for phase in result.phases]) + "\n",
        table(_CLIENT_HEAD, _client_rows(result, goal)) + "\n",
        table(("", ""), [[name, value] for name, value in _facts(result).items()], "---") + "\n",
        "### Problems\n",
        "\n".join([f"- {problem}" for problem in found] or ["None."]) + "\n",
    ]
    return "\n".join(parts)


_PHASE_HEAD = (
    *("attack", "sent, MB", "came back, MB", "connections", "round trips", "99 %, ms"),
    *("worst, ms", "less the host's part", "within the goal", "closed", "most memory, MiB"),
)


def _phase_row(phase: Phase, goal: float) -> list[str]:
    """The figures of the client that fared worst."""
    trips = [client["trips"] for client in phase.clients]
    of_server = max(map(worst_of_server, trips), default=0.0)
    closed = sum(bool(client["ended"]) for client in phase.clients)
    return [
        phase.name,
        *(f"{_sum(phase, what) / 1e6:,.1f}" for what in ("sent", "received")),
        f"{_sum(phase, 'opened'):,}",
        f"{sum(map(len, trips)):,}",
        _ms(max(map(percentile_99, trips), default=0.0)),
        _ms(max(map(worst, trips), default=0.0)),
        _ms(of_server),
        "yes" if of_server <= goal and all(trips) and not closed else "no",
        str(closed),
        _mib(phase.peak),
    ]


_CLIENT_HEAD = (
    *("client", "its messages", "round trips", "99 %, ms", "worst, ms"),
    *("less the host's part", "within the goal", "closed"),
)


def _client_rows(result: Hostile, goal: float) -> Iterator[list[str]]:
    """The figures of each client over all phases."""
    phases = [phase.clients for phase in result.phases if phase.clients]
    for number, clients in enumerate(zip(*phases, strict=True), 1):
        trips = [trip for client in clients for trip in client["trips"]]
        of_server, closed = worst_of_server(trips), sum(bool(c["ended"]) for c in clients)
        yield [
            str(number),
            clients[0]["kind"],
            f"{len(trips):,}",
            _ms(percentile_99(trips)),
            _ms(worst(trips)),
            _ms(of_server),
            "yes" if of_server <= goal and trips and not closed else "no",
            str(closed),
        ]


def _facts(result: Hostile) -> dict[str, str]:
    controls = [phase.control for phase in result.phases if phase.control]
    seconds = sum(control["seconds"] for control in controls)
    waited = sum(control["waited"] for control in controls) / (seconds or 1)
    late = max((control["late"] for control in controls), default=0.0)
    busy = waited > BUSY_WAIT or late > BUSY_LATE
    used = sum(_sum(phase, "processor") for phase in result.phases) / (seconds or 1)
    grown = growth(result.memory())
    return {
        "Time": f"{seconds / 60:.1f} minutes in {len(result.phases)} rounds",
        "The host": f"{'busy' if busy else 'quiet'}: other programs took {waited:.1%} of the time "
        f"from the server, and a timer woke up to {_ms(late)} ms late",
        "The attacks' use of their core": f"{used:.0%}",
        "Slow TLS handshakes": f"{result.drip['opened']:,}, the longest held for "
        f"{result.drip['longest']:.1f} s",
        "Memory when idle, MiB": _mib(result.idle),
        "Memory after all attacks at once, MiB": ", ".join(map(_mib, result.memory())),
        "Growth, second half over first": "too few rounds" if grown is None else f"{grown:+.1%}",
    }


def _sum(phase: Phase, what: str) -> float:
    return sum(attack[what] for attack in phase.attacks.values())


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.1f}" if seconds < 0.01 else f"{1000 * seconds:,.0f}"


def _mib(kib: int) -> str:
    return f"{kib / 1024:.1f}"
