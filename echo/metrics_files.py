"""The directory through which several processes share their figures.

prometheus_client looks for it when it is first imported, so this file imports nothing of it early:
``prepare`` comes first, in the process that starts the others.
"""

import atexit
import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Where prometheus_client looks for the directory.
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

#: How the name of a directory begins that nobody has named.
_OWN: Final = "echo-metrics-"


class MetricsLost(Exception):
    """The processes cannot share their metrics any more. Says why, and the cure."""


def shared() -> bool:
    """Whether this process shares its metrics with others."""
    return _VARIABLE in os.environ


def directory() -> Path | None:
    """Where the processes share their metrics; None when they do not, or have no place for it."""
    path = os.environ.get(_VARIABLE)
    return Path(path) if path else None


def prepare() -> None:
    """Make the directory that the environment names, or a temporary one where it names none.

    For the process that starts the others, before anything imports ``echo.metrics``, and again
    when it reloads: a directory that was removed is made again. A temporary one is removed when
    the process ends. Where there can be none the processes find that out, and say so.
    """
    name = os.environ.setdefault(_VARIABLE, "")
    with suppress(OSError):
        if name and not _is_own(name):
            Path(name).mkdir(parents=True, exist_ok=True)
        elif not name or not Path(name).is_dir():
            os.environ[_VARIABLE] = tempfile.mkdtemp(prefix=_OWN)
            atexit.register(_remove, os.environ[_VARIABLE], os.getpid())


def clear() -> None:
    """Remove what processes of an earlier start have left; before the first one is started."""
    path = directory()
    if path is not None:
        for file in path.glob("*.db"):
            file.unlink(missing_ok=True)


def check() -> None:
    """Raise OSError when this process is to share its metrics and there is no directory."""
    path = directory()
    if shared() and (path is None or not path.is_dir()):
        raise NotADirectoryError(errno.ENOTDIR, "not a directory", os.environ[_VARIABLE])


def lost() -> bool:
    """Whether the files of this process, which it has opened, are no longer in the directory."""
    path = directory()
    return path is not None and not any(path.glob(f"*_{os.getpid()}.db"))


def leave_out(environment: dict[str, str]) -> None:
    """Take a temporary directory of this service out of the environment of another one."""
    if _is_own(environment.get(_VARIABLE, "")):
        del environment[_VARIABLE]


def _is_own(path: str) -> bool:
    return Path(path).name.startswith(_OWN)


def _remove(path: str, owner: int) -> None:
    """Remove a directory, unless this process is a fork of the one that has made it."""
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)


def forget(pid: int) -> None:
    """Take a process that has ended out of the figures of those that live; its counts stay.

    For the process that has started it: gunicorn's child_exit.
    """
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    if directory() is not None:
        with suppress(OSError):  # it removes files, which others may do too
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
