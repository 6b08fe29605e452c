"""Medians and spreads of what the rounds found."""

from dataclasses import dataclass
from statistics import median

#: Percent of disturbance from which on a round's rates and latencies say little.
MUCH = 5.0


@dataclass(frozen=True)
class Sample:
    """What one round found for one server under one load.

    ``steal`` and ``others``: percent of the cores' time that other machines and processes had.
    """

    load: str
    server: str
    round: int
    steal: float
    others: float
    values: dict[str, float]

    @property
    def calm(self) -> bool:
        return self.steal + self.others < MUCH


@dataclass(frozen=True)
class Figure:
    """A median and its spread. ``noisy``: no round was calm, so it says little."""

    median: float
    low: float
    high: float
    noisy: bool = False


class Results:
    """All samples of a run, by load and server.

    A figure is None where nothing was measured: a server may have been left out.
    """

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def of(self, load: str, server: str) -> list[Sample]:
        return [s for s in self.samples if s.load == load and s.server == server]

    def cost(self, load: str, server: str, value: str = "server_us") -> Figure | None:
        """A figure that disturbance moves little, from all rounds."""
        found = [s.values[value] for s in self.of(load, server) if value in s.values]
        return figure(found)

    def speed(self, load: str, server: str, value: str = "rate") -> Figure | None:
        """A rate or a latency: from the calm rounds, if there are any."""
        samples = [s for s in self.of(load, server) if value in s.values]
        calm = [s.values[value] for s in samples if s.calm]
        return figure(calm or [s.values[value] for s in samples], noisy=not calm)

    def disturbance(self, load: str, server: str) -> str:
        """The highest steal and the highest share of other processes, in percent."""
        samples = self.of(load, server)
        if not samples:
            return "-"
        return f"{max(s.steal for s in samples):.0f} + {max(s.others for s in samples):.0f}"

    def ratio(
        self, above: tuple[str, str], below: tuple[str, str], value: str = "server_us"
    ) -> Figure | None:
        """One cost over another, each a (load, server): of the medians, and of single rounds."""
        top, bottom = self.cost(*above, value), self.cost(*below, value)
        if not top or not bottom:
            return None
        tops = {s.round: s.values[value] for s in self.of(*above) if value in s.values}
        bottoms = {s.round: s.values[value] for s in self.of(*below) if value in s.values}
        single = [tops[number] / bottoms[number] for number in tops.keys() & bottoms.keys()]
        middle = top.median / bottom.median
        return Figure(middle, min(single, default=middle), max(single, default=middle))


def figure(values: list[float], *, noisy: bool = False) -> Figure | None:
    return Figure(median(values), min(values), max(values), noisy) if values else None


def number(value: float) -> str:
    """Three digits that count; whole above a hundred, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def middle(found: Figure | None) -> str:
    """The median, with a star where it says little."""
    return "-" if found is None else number(found.median) + r"\*" * found.noisy


def spread(found: Figure | None) -> str:
    """From the lowest to the highest."""
    return "-" if found is None else f"{number(found.low)} to {number(found.high)}"
