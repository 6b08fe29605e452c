"""The memory that all connections share for what they have received and not dealt with yet.

Every connection has an allowance of its own. What it holds beyond that is taken from a budget, and
when the budget is used up the connection that has held the most for the longest is ended: somebody
who stalls many large messages ends his own connections and not those of others.
"""

from time import monotonic
from typing import Final, Protocol

from echo.protocol.errors import MessageTooSlow, ProtocolViolation, TryAgainLater

#: Bytes that every connection may hold without taking any of the budget.
ALLOWANCE: Final = 64 * 1024


class Owner(Protocol):
    """Whose share it is."""

    def evict(self, violation: ProtocolViolation) -> None:
        """End, and drop what is held, or see to that soon.

        Called when another connection needs the memory, or when this one has taken too long.
        """


class BudgetShare:
    """What one connection holds: an unfinished message, input not parsed, output not sent.

    Attributes:
        size: bytes held.
    """

    __slots__ = ("_budget", "_owner", "_since", "size")

    def __init__(self, budget: "ReceiveBudget", owner: Owner) -> None:
        self._budget = budget
        self._owner: Owner | None = owner
        self._since = 0.0
        self.size = 0

    def take(self, size: int) -> None:
        """Hold ``size`` more bytes.

        Raises TryAgainLater when the budget is used up and no other connection has held as much
        for as long; the share then holds nothing more.
        """
        before = self.size
        self.size = after = before + size
        if after > ALLOWANCE:
            if before <= ALLOWANCE:
                self._since = monotonic()
                self._budget.shares.add(self)
            self._budget.take(self, after - max(before, ALLOWANCE))

    def give_back(self, size: int) -> None:
        """Hold ``size`` bytes fewer; fewer than none is none."""
        before = self.size
        self.size = after = max(0, before - size)
        if before > ALLOWANCE:
            self._budget.used -= before - max(after, ALLOWANCE)
            if after <= ALLOWANCE:
                self._budget.shares.discard(self)

    def cover(self, size: int) -> int:
        """Hold at least ``size`` bytes; returns how many more those are, to be given back.

        Raises TryAgainLater as take does.
        """
        more = max(0, size - self.size)
        if more:
            self.take(more)
        return more

    def end(self, violation: ProtocolViolation) -> None:
        """Give back everything and end the connection."""
        self.give_back(self.size)
        if self._owner is not None:
            self._owner.evict(violation)

    def retire(self) -> None:
        """Forget the owner, which is over: the two refer to each other."""
        self._owner = None

    def weight(self, now: float) -> float:
        """How much it has held for how long, in byte-seconds."""
        return (self.size - ALLOWANCE) * (now - self._since)

    def age(self, now: float) -> float:
        """For how many seconds it has held more than the allowance."""
        return now - self._since


class ReceiveBudget:
    """The memory that connections share.

    Attributes:
        limit: bytes that all connections may hold beyond their allowances.
        used: bytes that they do hold.
        shares: of the connections that hold more than their allowance.
    """

    __slots__ = ("limit", "shares", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.shares: set[BudgetShare] = set()

    def take(self, share: BudgetShare, size: int) -> None:
        """Take ``size`` bytes for a share, which has counted them already.

        Raises TryAgainLater, once the share has given back everything, when it is itself the one
        to end.
        """
        self.used += size
        while self.used > self.limit:
            now = monotonic()
            heaviest = max(self.shares, key=lambda other: (other.weight(now), other.size))
            reason = TryAgainLater("the server's memory for unfinished messages is used up")
            if heaviest is share:
                share.give_back(share.size)
                raise reason
            heaviest.end(reason)

    def end_overdue(self, timeout: float) -> None:
        """End the connections that have held more than their allowance for ``timeout`` seconds."""
        now = monotonic()
        for share in [share for share in self.shares if share.age(now) >= timeout]:
            share.end(MessageTooSlow(f"message above 64 KiB took longer than {timeout:g} s"))
