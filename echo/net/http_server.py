"""gevent's pywsgi server, set up for this service: binding, signals, stopping."""

import signal
from typing import Final, Protocol, TextIO, cast
from wsgiref.types import WSGIApplication

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from echo.net.upgrade import UpgradeHandler

#: For the addresses that stand for all of the machine's own, one that can be connected to.
_LOOPBACK_OF_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

#: Connections that the kernel keeps until they are accepted.
_BACKLOG: Final = 1024


class LineWriter(Protocol):
    """Where the server's log lines go."""

    def write(self, line: str, /) -> object:
        """Take one line, without its line break. Must not block."""


class HTTPServer(WSGIServer):
    """Serves a WSGI application whose views may call ``upgrade``."""

    handler_class = UpgradeHandler

    def __init__(
        self, address: tuple[str, int], application: WSGIApplication, log: LineWriter
    ) -> None:
        """``address``: host and port to listen on, port 0 for any that is free."""
        self.host, _ = address
        stream = cast(TextIO, log)  # of which pywsgi only calls write
        super().__init__(
            address,
            application,
            backlog=_BACKLOG,
            spawn=Pool(),
            log=stream,
            error_log=stream,
            # pywsgi would ask the resolver for it, which can take seconds.
            environ={"SERVER_NAME": self.host},
        )

    def url(self, scheme: str) -> str:
        """The service's root for a client on this machine, once the server has started."""
        host = _LOOPBACK_OF_ANY.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{self.server_port}"

    def serve_until_signal(self) -> None:
        """Serve until SIGINT or SIGTERM; the server must have been started.

        Then stop listening and end every connection: a WebSocket gets close code 1001.
        """
        stop = Event()
        handlers = [
            gevent.signal_handler(number, stop.set) for number in (signal.SIGINT, signal.SIGTERM)
        ]
        try:
            stop.wait()
        finally:
            for handler in handlers:
                handler.cancel()
            self.stop(timeout=0)
