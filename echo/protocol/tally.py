"""What all connections of the process have received and sent, counted at the price of an addition.

The counters are the process's, as the messages are counted where nothing else may be done. Whoever
reports them takes them out from time to time, and they start from zero.
"""

from dataclasses import dataclass
from typing import Final

from echo.protocol.rfc6455 import Opcode

#: Messages below this size, in bytes, are counted by their size: all that one frame has whose
#: length takes 16 bits.
EXACT_SIZES: Final = 1 << 16

#: Exact sizes that are looked at together when they are taken out, as most of them are zero.
_SIZES_AT_ONCE: Final = 256
_ZEROS: Final = [0] * _SIZES_AT_ONCE

#: Powers of two that numbers are counted by: up to 2^63.
_POWERS: Final = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers that were counted: ``powers[n]`` of them above 2^(n-1) and up to 2^n, and the sum."""

    powers: list[int]
    total: int


class PowerCounter:
    """Counts whole numbers by the power of two that they do not exceed."""

    __slots__ = ("_powers", "_total")

    def __init__(self) -> None:
        self._powers = [0] * _POWERS
        self._total = 0

    def add(self, number: int, times: int = 1) -> None:
        """Count a number from 0 to 2^63."""
        self._powers[max(0, number - 1).bit_length()] += times
        self._total += number * times

    def take(self) -> Counts:
        """What was counted, to start from zero."""
        counts = Counts(self._powers, self._total)
        self._powers = [0] * _POWERS
        self._total = 0
        return counts


class MessageTally:
    """Messages of one kind, text or binary.

    Attributes:
        received: how many have come of each size below EXACT_SIZES.
        sent: how many were sent.
        sent_bytes: their payloads, not compressed.
    """

    __slots__ = ("_longer", "received", "sent", "sent_bytes")

    def __init__(self) -> None:
        self.received = [0] * EXACT_SIZES
        self._longer = PowerCounter()
        self.sent = 0
        self.sent_bytes = 0

    def add_received(self, size: int) -> None:
        """Count a message that has come, of any size in bytes."""
        if size < EXACT_SIZES:
            self.received[size] += 1
        else:
            self._longer.add(size)

    def take_received(self) -> Counts:
        """The sizes of the messages that have come, to start from zero."""
        sizes, self._longer = self._longer, PowerCounter()
        received = self.received
        for start in range(0, EXACT_SIZES, _SIZES_AT_ONCE):
            some = received[start : start + _SIZES_AT_ONCE]
            if some != _ZEROS:
                for size, times in enumerate(some, start):
                    sizes.add(size, times)
                received[start : start + _SIZES_AT_ONCE] = _ZEROS
        return sizes.take()

    def take_sent(self) -> tuple[int, int]:
        """How many were sent and their bytes, to start from zero."""
        # Below zero while a connection is to count again what it has counted.
        sent, size = self.sent, max(0, self.sent_bytes)
        self.sent = 0
        self.sent_bytes -= size
        return sent, size


text_tally: Final = MessageTally()
binary_tally: Final = MessageTally()

#: The times from the server's pings to their pongs, in microseconds.
round_trips: Final = PowerCounter()


def tally_of(kind: Opcode) -> MessageTally:
    """The tally of Opcode.TEXT or BINARY."""
    return binary_tally if kind is Opcode.BINARY else text_tally
