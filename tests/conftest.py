"""What all tests need."""

import os
import sys
import threading

from greenlet import getcurrent, greenlet

_main_greenlets: list[greenlet] = []


def _keep_main_greenlet(*_: object) -> None:
    """Keep the main greenlet of the calling thread for the rest of the process.

    coverage.py holds it in a WeakKeyDictionary. When the thread has ended, greenlet destroys it in
    a pending call of the main thread, where the dictionary's callback runs; and if another thread
    ends in that moment, CPython 3.11 never leaves the callback's first instruction while it traces.
    Of two references greenlet knows that neither is its own, and does not look for it in the heap.
    """
    sys.setprofile(None)
    main = getcurrent()
    _main_greenlets.extend((main, main))


def pytest_configure(config):
    """Let servers start fast, and prepare the threads of a run that measures coverage."""
    # A server that may not keep its bytecode compiles itself anew at each of some hundred starts.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if config.getoption("cov_source", None):
        threading.setprofile(_keep_main_greenlet)
