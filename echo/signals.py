"""The signals that stop a process that serves, and those that make it read its certificate again.

Not the signals of gunicorn's master, which are gunicorn's own.
"""

import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from signal import Signals
from typing import Any, Final

import gevent
from gevent.event import Event

#: The signal that makes a process read its certificate again; Windows has none.
RELOAD: Final = (Signals.SIGHUP,) if hasattr(signal, "SIGHUP") else ()


def _ignores_no_hangup() -> bool:
    return all(signal.getsignal(number) is not signal.SIG_IGN for number in RELOAD)


def _has_terminal() -> bool:
    """Whether the process has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


@contextmanager
def stop_on_signals(
    *,
    stop: Collection[Signals] = (),
    stop_or_quit: Collection[Signals],
    reload: Collection[Signals] = (),
    on_reload: Callable[[], object],
    in_terminal: bool = False,
) -> Iterator[Event]:
    """Handle signals; gives an event that is set when the process should stop.

    ``stop``: set the event, however often they come. ``stop_or_quit``: the first one sets the
    event, the second ends the process at once, with its number and 128 as the status. ``reload``:
    call ``on_reload`` in a greenlet; with ``in_terminal`` a SIGHUP sets the event instead when it
    says that the terminal, in which the process was started, is gone.
    """
    stopping, may_quit = Event(), Event()
    # Under nohup the process outlives its terminal.
    follows_terminal = in_terminal and _ignores_no_hangup() and _has_terminal()

    def hang_up() -> None:
        if follows_terminal and not _has_terminal():
            stopping.set()
        else:
            on_reload()

    def stop_first(number: Signals) -> None:
        if may_quit.is_set():
            os._exit(128 + number)
        may_quit.set()
        stopping.set()

    watchers: list[Any] = [
        *(gevent.signal_handler(number, stopping.set) for number in stop),
        *(gevent.signal_handler(number, stop_first, number) for number in stop_or_quit),
        *(gevent.signal_handler(number, hang_up) for number in reload),
    ]
    try:
        yield stopping
    finally:
        for watcher in watchers:
            watcher.cancel()
        # Without the hub: a second signal to quit still does, and the others change nothing.
        for number in (*stop, *reload):
            signal.signal(number, signal.SIG_IGN)
