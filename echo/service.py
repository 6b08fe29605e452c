"""The service as it runs in one process: the application, its server and its logs."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import socket
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Final, TextIO, cast
from wsgiref.types import WSGIApplication

import click
import gevent

from echo.handlers import Handlers
from echo.log_formats import FORMATS
from echo.logs import Logs
from echo.net.certificate import Certificate
from echo.net.counters import Counters
from echo.net.events import Events
from echo.net.registry import Registry
from echo.net.server import HTTPServer
from echo.on_demand import OnDemand
from echo.protocol.excerpts import ENTRY_EXCERPT, excerpt
from echo.settings import Settings

if TYPE_CHECKING:
    from echo.metrics import Metrics

#: Bytes of a block by whose size glibc's malloc raises its thresholds when it is freed.
_LARGE: Final = 16 * 1024 * 1024

#: Collections of all but the oldest objects, each of thousands of new ones, between two full ones.
_FULL_COLLECTIONS: Final = 10_000

#: Bounds of the seconds that are kept of the shutdown timeout for closing logs and records.
_CLOSING_MIN: Final = 0.5
_CLOSING_MAX: Final = 2.0


@contextmanager
def build_service(
    settings: Settings, listener: tuple[str, int] | socket, certificate: Certificate | None
) -> Iterator[tuple[HTTPServer, Logs]]:
    """A server that is not started yet, and the logs of its process.

    ``listener``: as HTTPServer's. At the end the logs are written and closed. Raises
    click.ClickException when the system has no thread for the logs.
    """
    with ExitStack() as stack:
        try:
            logs = Logs(
                sys.stdout or nowhere(),
                sys.stderr or nowhere(),
                FORMATS[settings.log_format],
                quiet=settings.quiet,
                shared=isinstance(listener, socket),
            )
        except RuntimeError as error:
            raise click.ClickException(f"cannot start the threads that log: {error}") from error
        # Of the time to stop some is kept for logs and records whose outputs may be stuck.
        closing = max(_CLOSING_MIN, min(_CLOSING_MAX, settings.shutdown_timeout / 2))
        stack.callback(logs.close, closing / 2)
        counters = None if settings.metrics == "off" else Counters()
        metrics = None if counters is None else _make_metrics(counters, logs)
        records = None
        if settings.redis_url:
            from echo.redis_records import RedisRecords  # noqa: PLC0415

            records = RedisRecords(settings.redis_url, logs.notice)
            stack.callback(records.close, closing / 2)
        limits = settings.limits()
        until_closing = max(0.0, limits.shutdown_timeout - closing)
        registry = Registry(show_credentials=settings.show_credentials)
        handlers = Handlers(settings, logs.messages)

        def make_pages() -> WSGIApplication:
            from echo.app import Sources, create_pages  # noqa: PLC0415

            pages = create_pages(handlers, Sources(registry, records, metrics))
            # Not the Flask object: its __call__ would be one more call for each request.
            return pages.wsgi_app

        server = HTTPServer(
            listener,
            handlers.in_front_of(OnDemand(make_pages)),
            Events.to(*filter(None, (logs, metrics, records))),
            limits=replace(limits, shutdown_timeout=until_closing),
            registry=registry,
            certificate=certificate,
            counters=counters if metrics else None,
        )
        hub = gevent.get_hub()
        hub.exception_stream = cast(TextIO, logs.faults)
        hub.print_exception = partial(_log_fault, logs)  # type: ignore[method-assign]
        if metrics is not None:
            stack.callback(gevent.spawn(metrics.run).kill)
        tune_process()
        yield server, logs
        logs.stopped()


def tune_process() -> None:
    """Set the C library's allocator and the garbage collector up for a long life with messages.

    Call it when everything is loaded.
    """
    # The C library then keeps what is freed of large messages for the next ones; it would give
    # it back to the system each time, and pay for every page again. It is never written to.
    with suppress(MemoryError):
        bytes(_LARGE)
    # What is loaded now stays to the end: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    # A full collection holds everybody up for a millisecond per thousand objects, and finds next to
    # nothing: what is in cycles does not live long enough.
    gc.set_threshold(*gc.get_threshold()[:2], _FULL_COLLECTIONS)


def _log_fault(logs: Logs, context: object, *error: Any) -> None:
    """Log what went wrong in a greenlet; gevent's own method writes it piece by piece.

    ``error``: class, exception and traceback.
    """
    where = "" if context is None else f"{excerpt(repr(context), ENTRY_EXCERPT)} failed\n"
    logs.fault("".join(format_exception(*error)) + where)


def nowhere() -> TextIO:
    """In the place of an output that was closed before the start."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _make_metrics(counters: Counters, logs: Logs) -> "Metrics | None":
    """The metrics; None, and a notice, when other processes are to share them and cannot."""
    # The library takes a tenth of the service's start.
    from echo import metrics_files  # noqa: PLC0415
    from echo.metrics import Metrics  # noqa: PLC0415

    try:
        metrics_files.check()
        return Metrics(counters, logs.dropped)
    except (OSError, ValueError) as error:
        logs.notice(f"serving without metrics, which cannot be shared: {error}")
        return None
