"""The directory through which several processes share their figures.

prometheus_client looks for it when it is first imported, so this file imports nothing of it early:
``prepare`` comes first, in the process that starts the others.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

#: Where prometheus_client looks for the directory.
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

#: How the name of a directory begins that nobody has named.
_OWN: Final = "echo-metrics-"


def directory() -> Path | None:
    """Where the processes share their figures; None when this process is alone."""
    path = os.environ.get(_VARIABLE)
    return None if path is None else Path(path)


def prepare() -> Path:
    """Make the directory that the environment names, or one of its own, and empty it.

    For the process that starts the others, before they are there and before anything imports
    ``echo.metrics``: gunicorn's on_starting. One of its own goes when the process ends, which it
    does at once, with one line, where there can be no directory.
    """
    try:
        return _prepare()
    except OSError as error:
        sys.exit(f"gunicorn: cannot share metrics: {error}")


def _prepare() -> Path:
    if not os.environ.get(_VARIABLE):
        os.environ[_VARIABLE] = tempfile.mkdtemp(prefix=_OWN)
        atexit.register(_remove, os.environ[_VARIABLE], os.getpid())
    path = Path(os.environ[_VARIABLE])
    path.mkdir(parents=True, exist_ok=True)
    for file in path.glob("*.db"):
        file.unlink()
    return path


def leave_out(environment: dict[str, str]) -> None:
    """Take a directory of this service's own out of the environment of another one."""
    if Path(environment.get(_VARIABLE, "")).name.startswith(_OWN):
        del environment[_VARIABLE]


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
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
