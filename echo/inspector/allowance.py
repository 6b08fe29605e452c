"""How much a report may say: many times what it is about for a person, not for a flood."""

from typing import Final

#: Bytes of reports that a connection gets beside what it earns: some 1,000 reports of short
#: messages, or 15 of messages in a hundred fragments.
BURST: Final = 512 * 1024

#: Bytes of reports for each byte received. Messages from 60 bytes on need no more.
RATIO: Final = 16

#: Bytes of reports for each second: whoever sends a message a second gets all in full forever.
RATE: Final = 1024

#: The least that a frame of a client has: its first two bytes and the masking key.
_HEADER_SIZE: Final = 6


class ReportAllowance:
    """Says for each report whether it may be a full one; else a brief one must do.

    A brief report takes about as much as its frame earns, so a flood of tiny frames gets back at
    most BURST bytes and RATIO for each of its own.
    """

    __slots__ = ("_elapsed", "_left")

    def __init__(self) -> None:
        self._left: float = BURST
        self._elapsed = 0.0

    def earn(self, frames: int, payload: int, elapsed: float) -> bool:
        """Count what arrived; whether its report may be a full one.

        ``frames``: how many; ``payload``: bytes of theirs; ``elapsed``: seconds since the
        connection began.
        """
        earned = (frames * _HEADER_SIZE + payload) * RATIO + (elapsed - self._elapsed) * RATE
        self._elapsed = elapsed
        self._left = min(BURST, self._left + earned)
        return self._left > 0

    def spend(self, size: int) -> None:
        """Count a report of so many bytes."""
        self._left -= size
