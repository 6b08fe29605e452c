"""An application that is made when somebody first asks for it."""

import gc
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import WSGIApplication

from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool


class OnDemand:
    """A WSGI application that is made by the first request that needs it.

    Flask takes as long to load as everything else together, and a test suite that starts the
    service for its WebSockets never asks for the page. A thread loads it, so that only those wait
    who asked.
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
        pool = ThreadPool(1)
        try:
            application = pool.apply(self._make)
        except RuntimeError:  # the system has no further thread: all have to wait then
            application = self._make()
        finally:
            pool.kill()
        gc.freeze()  # as the rest of the service, see tune_process
        return application
