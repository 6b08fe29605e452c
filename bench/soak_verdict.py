"""What the hostile half of the soak has shown: what was not right, and the tables."""

from collections.abc import Iterable, Iterator

from soak_attacks import ATTACKS, DRIP, DRIPS, MEMORY, NICE
from soak_healthy import CLIENTS, PAUSE, SIZE, TRIPS
from soak_hostile import HEAD_TIMEOUT, LOAD_CORE, LOG_RATE, SERVER_CORE, Hostile, Phase
from soak_kills import growth
from tables import table

#: Round trips or opening handshakes: the begin of each, the seconds that it took, and those of them
#: that the host took.
Times = list[tuple[float, float, float]]

#: Seconds that the server may hold a TLS handshake: beside the time for the head it may wait for
#: the end of the stream.
HELD = HEAD_TIMEOUT + 4.0

#: How many times as long as a round trip an opening handshake may take: it is HTTP, which waits for
#: its turn among all that is pipelined.
OPENING = 100

#: KiB that memory may grow, from the first half of the rounds of all attacks to the second. How
#: much the allocator can give back of what a flood took differs from one to the next.
GROWTH = 16 * 1024

#: Seconds of attacks after which memory has settled, if each phase is as long: what the service
#: remembers on purpose, such as the last connections, has its full size.
SETTLES = 5.0


def problems(result: Hostile, goal: float) -> list[str]:
    """What was not right. ``goal``: seconds for a round trip, less the host's part."""
    found = [problem for phase in result.phases for problem in _of_phase(phase, result, goal)]
    for number, client in enumerate(result.clients, 1):
        found += [f"healthy client {number}: {problem}" for problem in _of_client(client)]
    grown = growth_of(result)
    if grown is not None and grown > GROWTH:
        found.append(
            f"memory grew by {_mib(grown)} MiB: {', '.join(map(_mib, result.memory()))} MiB"
        )
    held = result.drip.get("longest", 0.0)
    if held > HELD:
        found.append(f"a TLS handshake was held for {held:.1f} s; the limit is {HELD:.1f} s")
    return found


def _of_phase(phase: Phase, result: Hostile, goal: float) -> Iterator[str]:
    took = less_host(trips_in(phase, result))
    if not took:
        yield f"{phase.name}: healthy clients made no round trip"
    elif max(took) > goal:
        yield (
            f"{phase.name}: a healthy client's round trip took {_ms(max(took))} ms, without the "
            f"host's share; the limit is {_ms(goal)} ms"
        )
    opening = max(less_host(trips_in(phase, result, "openings")), default=0.0)
    if opening > OPENING * goal:
        yield (
            f"{phase.name}: a healthy client's opening handshake took {_ms(opening)} ms, without "
            f"the host's share; the limit is {_ms(OPENING * goal)} ms"
        )
    allowed = result.idle + allowance(phase) // 1024
    if phase.peak > allowed:
        yield f"{phase.name}: memory reached {_mib(phase.peak)} MiB; the limit is {_mib(allowed)}"
    for what, count in phase.in_use.items():
        if count > result.in_use[what]:
            yield f"{phase.name}: {what} grew from {result.in_use[what]} to {count}"


def _of_client(client: dict) -> Iterator[str]:
    if client["ended"]:
        yield client["ended"]
    if client["wrong"]:
        yield f"{client['wrong']} wrong echoes"
    if not client["trips"]:
        yield "no round trip at all"


def growth_of(result: Hostile) -> float | None:
    """KiB that memory has grown once it had settled; None for a run that is too short to tell."""
    return growth(result.memory()) if result.phase_seconds >= SETTLES else None


def allowance(phase: Phase) -> int:
    """Bytes that the server may take in a phase: what its attacks share is there once."""
    return max((ATTACKS[name].memory for name in phase.attacks), default=MEMORY)


def trips_in(phase: Phase, result: Hostile, what: str = "trips") -> Times:
    """What of all clients began in a phase, or behind it and before the next."""
    later = [other.begin for other in result.phases if other.begin > phase.begin]
    end = min(later, default=float("inf"))
    times = (time for client in result.clients for time in client[what])
    return [time for time in times if phase.begin <= time[0] < end]


def less_host(times: Times) -> list[float]:
    """Seconds of each, less the host's part."""
    return [took - host for _, took, host in times]


def percentile(part: float, seconds: Iterable[float]) -> float:
    """The value that ``part`` of them do not exceed; 0.0 of none."""
    ordered = sorted(seconds) or [0.0]
    return ordered[int(part * (len(ordered) - 1))]


_METHOD = f"""\
gunicorn runs one worker on core {SERVER_CORE}; all clients run on core {LOAD_CORE}. {CLIENTS} \
healthy clients, in a process of their own, exchange messages of up to {SIZE} bytes throughout: \
one round trip at a time, pauses of up to {1000 * PAUSE:.0f} ms, a new connection after every \
{TRIPS}. The attacks run beside them, each in a process of its own at nice {NICE} with a limit on \
what it sends: first none, as a baseline, then each alone, then all at once, again and again. The \
log is read at {LOG_RATE / 1e6:.0f} MB/s, or not at all where the table says so. Throughout, \
{DRIPS} TLS handshakes that send a byte every {DRIP} s keep a second server busy, which runs with \
`--head-timeout {HEAD_TIMEOUT}`.

A round trip may take {{:.0f}} ms and an opening handshake {{:.0f}} ms, not counting the host's \
share: the time the server waited for its core while other programs ran on it, and the lateness of \
a timer in the healthy clients' process. After each phase the worker must have no more descriptors \
and threads than before the first. During a phase its memory may grow by {{}} MiB, or by {{}} MiB \
where the attack uses up the receive budget; once settled, memory after each round of all attacks \
may grow by {GROWTH >> 10} MiB, from the median of the first half to that of the second. No \
healthy client may be refused or closed, no echo may be wrong, and no worker may be replaced.
"""


def section(result: Hostile, found: list[str], goal: float) -> str:
    """The result in Markdown. ``found``: all that was not right."""
    allowances = sorted({attack.memory >> 20 for attack in ATTACKS.values()})
    parts = [
        "## Floods\n",
        _METHOD.format(1000 * goal, 1000 * OPENING * goal, *allowances),
        table(_PHASE_HEAD, [_phase_row(phase, result) for phase in result.phases]) + "\n",
        table(("", ""), [[name, value] for name, value in _facts(result).items()], "---") + "\n",
        "### Problems\n",
        "\n".join([f"- {problem}" for problem in found] or ["None."]) + "\n",
    ]
    return "\n".join(parts)


_PHASE_HEAD = (
    *("attack", "sent, MB", "came back, MB", "connections", "round trips", "50 %, ms", "99 %, ms"),
    *("worst, ms", "worst without the host", "worst opening, ms", "most memory, MiB"),
)


def _phase_row(phase: Phase, result: Hostile) -> list[str]:
    trips = trips_in(phase, result)
    took = [seconds for _, seconds, _ in trips]
    openings = less_host(trips_in(phase, result, "openings"))
    return [
        phase.name,
        *(f"{_sum(phase, what) / 1e6:,.1f}" for what in ("sent", "received")),
        f"{_sum(phase, 'opened'):,.0f}",
        f"{len(trips):,}",
        *(_ms(percentile(part, took)) for part in (0.5, 0.99, 1.0)),
        _ms(percentile(1.0, less_host(trips))),
        _ms(percentile(1.0, openings)),
        _mib(phase.peak),
    ]


def _facts(result: Hostile) -> dict[str, str]:
    trips = [trip for client in result.clients for trip in client["trips"]]
    less = less_host(trips)
    percentiles = {"50 %": 0.5, "99 %": 0.99, "99.9 %": 0.999, "worst": 1.0}
    seconds = result.control.get("seconds", 0.0)
    waited = result.control.get("waited", 0.0) / (seconds or 1)
    grown = growth_of(result)
    drip = result.drip
    return {
        "Time": f"{seconds / 60:.1f} minutes in {len(result.phases)} phases of "
        f"{result.phase_seconds:.1f} s of attacks",
        "All round trips": f"{len(trips):,}; without the host's share, ms: "
        + ", ".join(f"{name} {_ms(percentile(part, less))}" for name, part in percentiles.items()),
        "The host": f"other programs took {waited:.1%} of the time from the server, and a timer "
        f"woke up to {_ms(result.control.get('late', 0.0))} ms late",
        "Slow TLS handshakes": f"{drip.get('opened', 0):,}, the longest held for "
        f"{drip.get('longest', 0.0):.1f} s",
        "Before the attacks": f"{_mib(result.idle)} MiB, "
        + ", ".join(f"{count} {what}" for what, count in result.in_use.items()),
        "Memory after all attacks at once, MiB": ", ".join(map(_mib, result.memory())),
        "Growth, second half over first": "too short to tell"
        if grown is None
        else f"{_mib(grown)} MiB",
    }


def _sum(phase: Phase, what: str) -> float:
    return sum(attack[what] for attack in phase.attacks.values())


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.1f}" if seconds < 0.01 else f"{1000 * seconds:,.0f}"


def _mib(kib: float) -> str:
    return f"{kib / 1024:.1f}"
