"""What the connections of one server receive and send, counted as cheaply as it can be.

One Counters belongs to a server and is handed to its connections only when somebody wants to know:
without metrics nothing is counted. Whoever reports takes the counts out and they start from zero.
"""

from dataclasses import dataclass
from typing import Final

from echo.protocol.rfc6455 import Opcode

#: Powers of two up to 2^63.
_POWERS: Final = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers that were counted.

    Attributes:
        powers: ``powers[n]`` numbers were above 2^(n-1) and at most 2^n.
        total: their sum.
    """

    powers: list[int]
    total: int

    @property
    def number(self) -> int:
        """How many numbers were counted."""
        return sum(self.powers)


class Log2Histogram:
    """Counts whole numbers from 0 to 2^63 by the smallest power of two not below them."""

    __slots__ = ("_powers", "_total")

    def __init__(self) -> None:
        self._powers = [0] * _POWERS
        self._total = 0

    def add(self, number: int) -> None:
        """Count a number."""
        self._powers[(number - 1).bit_length() if number else 0] += 1
        self._total += number

    def take(self) -> Counts:
        """The counts since the last call."""
        counts = Counts(self._powers, self._total)
        self._powers = [0] * _POWERS
        self._total = 0
        return counts


class Counters:
    """The counts of one server.

    Attributes:
        received, sent: sizes of data messages in bytes, not compressed, by kind.
        round_trips: from pings to their pongs, in microseconds.
    """

    __slots__ = ("received", "round_trips", "sent")

    def __init__(self) -> None:
        self.received = {kind: Log2Histogram() for kind in (Opcode.TEXT, Opcode.BINARY)}
        self.sent = {kind: Log2Histogram() for kind in (Opcode.TEXT, Opcode.BINARY)}
        self.round_trips = Log2Histogram()
