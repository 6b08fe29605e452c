"""How many files the process may open: each connection is one."""

from contextlib import suppress
from typing import Final

try:
    import resource
except ImportError:  # not on Windows, where sockets are not counted
    resource = None  # type: ignore[assignment]

#: More than any process opens.
_UNLIMITED: Final = 1 << 30


def descriptor_limit(wanted: int) -> int:
    """Raise the soft limit of open files as far as ``wanted``, where that may be done.

    Returns how many files the process may open now.
    """
    if resource is None:
        return _UNLIMITED
    soft, hard = map(_number, resource.getrlimit(resource.RLIMIT_NOFILE))
    if soft < wanted and soft < hard:
        # A system may have a limit below the hard one (macOS), or let nobody change it (sandboxes).
        with suppress(OSError, ValueError):
            soft = min(wanted, hard)
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            )
        soft = _number(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return soft


def _number(limit: int) -> int:
    return _UNLIMITED if resource is None or limit == resource.RLIM_INFINITY else limit
