"""An application that is made when somebody first asks for it."""

import gc
from collections.abc import Callable, Iterable
from typing import Any, cast
from wsgiref.types import WSGIApplication

import gevent
from gevent.event import AsyncResult


class OnDemand:
    """A WSGI application that is made by the first request that needs it.

    Flask takes as long to load as everything else together, and a test suite that starts the
    service for its WebSockets never asks for the page. A thread loads it, so that only those wait
    who asked.
    """

    def __init__(self, make: Callable[[], WSGIApplication]) -> None:
        """``make``: called once, and again if it has raised."""
        self._make = make
        self._made: AsyncResult[WSGIApplication] | None = None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """As the application itself."""
        if self._made is None:
            self._made = gevent.get_hub().threadpool.spawn(self._load)
        try:
            application = cast(WSGIApplication, self._made.get())
        except BaseException:
            self._made = None
            raise
        return application(environ, start_response)

    def _load(self) -> WSGIApplication:
        application = self._make()
        gc.freeze()  # as the rest of the service, see tune_process
        return application
