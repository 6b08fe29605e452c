"""The service as it runs in one process: the application, its server and its logs."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import TextIO, cast

import gevent

from echo.app import create_app
from echo.logs import ErrorLog, LineLog, LogQueue, MessageLog, SilentMessageLog
from echo.net.certificate import Certificate
from echo.net.http_server import HTTPServer
from echo.net.registry import Registry
from echo.records import RedisRecords
from echo.settings import Settings


@contextmanager
def service(
    settings: Settings, listener: tuple[str, int] | socket, certificate: Certificate | None
) -> Iterator[tuple[HTTPServer, LineLog]]:
    """A server that is not started yet, and the log that is standard output.

    ``listener``: as HTTPServer's. At the end the logs are written and closed.
    """
    shared = isinstance(listener, socket)
    output = LogQueue(sys.stdout or nowhere(), shared=shared)
    errors = LogQueue(sys.stderr or nowhere(), shared=shared)
    message_log = SilentMessageLog() if settings.quiet else MessageLog(output)
    tracebacks = ErrorLog(errors)
    records = RedisRecords(settings.redis_url, LineLog(errors)) if settings.redis_url else None
    registry = Registry(publish=records.put if records else None)
    server = HTTPServer(
        listener,
        # Not the Flask object: its __call__ would be one more call on the C stack of each greenlet.
        create_app(settings, message_log, registry, records).wsgi_app,
        LineLog(errors),
        limits=settings.limits(),
        errors=tracebacks,
        registry=registry,
        certificate=certificate,
    )
    gevent.get_hub().exception_stream = cast(TextIO, tracebacks)
    # What is loaded now stays to the end: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    try:
        yield server, LineLog(output)
    finally:
        if records:
            records.close()
        output.close()
        errors.close()


def announcement(url: Callable[[str], str]) -> list[str]:
    """The lines that say where the service is; ``url``: its root for a scheme (HTTPServer.url)."""
    return [
        f"Page:      {url('http')}/ws/echo_display",
        f"WebSocket: {url('ws')}/ws/echo",
    ]


def nowhere() -> TextIO:
    """In the place of an output that was closed before the start."""
    return Path(os.devnull).open("w", encoding="utf-8")
