"""An application that is made when somebody first asks for it."""

import gc
from collections.abc import Callable, Iterable
from typing import Any, cast
from wsgiref.types import WSGIApplication

from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool


class OnDemand:
    """A WSGI application that is made by the first request that needs it.

    Flask takes as long to load as everything else together, and a test suite that starts the
    service for its WebSockets never sends any other request. A thread loads it, so that only those
    wait who asked.
    """

    def __init__(self, make: Callable[[], WSGIApplication]) -> None:
        """``make``: called once, and again if it has raised."""
        self._make = make
        self._application: WSGIApplication | None = None
        self._making = Semaphore()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """As the application itself."""
        if self._application is None:
            with self._making:
                if self._application is None:
                    self._application = self._make_in_thread()
        return self._application(environ, start_response)

    def _make_in_thread(self) -> WSGIApplication:
        """Make the application in a thread, so that other connections go on."""
        pool = ThreadPool(1)
        try:
            attempt = pool.spawn(self._attempt)
        except RuntimeError:  # the system has no further thread: all have to wait then
            made = self._attempt()
        else:
            made = cast(WSGIApplication | Exception, attempt.get())
        finally:
            pool.kill()
        if isinstance(made, Exception):
            raise made
        # As what was there at the start, see tune_process; without its collection, which would hold
        # up the connections that are open.
        gc.freeze()
        return made

    def _attempt(self) -> WSGIApplication | Exception:
        """The application, or why there is none: the hub would log what a thread raises, too."""
        try:
            return self._make()
        except Exception as error:  # noqa: BLE001  # raised again by whoever asked
            return error
