"""Excerpts of what a peer sent, short enough for a reason or a log entry."""

from typing import Final

#: Characters of an excerpt by default.
EXCERPT: Final = 40

#: Characters of a request line or a refusal's reason in a log entry: together about 1 KiB.
ENTRY_EXCERPT: Final = 512


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """The first ``limit`` characters, and ``...`` in place of the rest."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def quoted(text: str, limit: int = EXCERPT) -> str:
    """An excerpt in quotes, with control characters escaped as in Python."""
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}..."
