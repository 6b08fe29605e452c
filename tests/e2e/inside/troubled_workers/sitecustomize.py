"""Loaded by Python at its start, from PYTHONPATH: forks have the trouble that a file names, if any.

``memory``: there is none left. ``kill``: killed at once. ``stop``: stopped at once, the first fork
that finds the file, which it removes. TROUBLE is the file's path.
"""

import os
import resource
import signal
from pathlib import Path

_file = Path(os.environ["TROUBLE"])


def _trouble():
    try:
        kind = _file.read_text()
    except FileNotFoundError:
        return
    os.write(2, f"{os.getpid()} has trouble: {kind}\n".encode())
    if kind == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (1, 1))
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        _file.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


os.register_at_fork(after_in_child=_trouble)
