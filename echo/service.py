"""The service as it runs in one process: the application, its server and its logs."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import socket
from typing import Final, TextIO, cast

import click
import gevent

from echo import metrics_files
from echo.app import create_app
from echo.log_formats import FORMATS, Logs
from echo.metrics import Metrics
from echo.net.certificate import Certificate
from echo.net.counters import Counters
from echo.net.events import Events
from echo.net.registry import Registry
from echo.net.server import HTTPServer
from echo.settings import Settings

#: Bytes of a block by whose size glibc's malloc raises its thresholds when it is freed.
_LARGE: Final = 16 * 1024 * 1024


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
            logs = FORMATS[settings.log_format](
                sys.stdout or nowhere(),
                sys.stderr or nowhere(),
                quiet=settings.quiet,
                shared=isinstance(listener, socket),
            )
        except RuntimeError as error:
            raise click.ClickException(f"cannot start the threads that log: {error}") from error
        stack.callback(logs.close)
        counters = None if settings.metrics == "off" else Counters()
        metrics = None if counters is None else _make_metrics(counters, logs)
        records = None
        if settings.redis_url:
            from echo.redis_records import RedisRecords  # noqa: PLC0415

            records = RedisRecords(settings.redis_url, logs.notice)
            stack.callback(records.close)
        registry = Registry()
        application = create_app(settings, logs.messages, registry, records, metrics)
        server = HTTPServer(
            listener,
            # Not the Flask object: its __call__ would be one more on the C stack of each greenlet.
            application.wsgi_app,
            Events.to(*filter(None, (logs, metrics, records))),
            limits=settings.limits(),
            registry=registry,
            certificate=certificate,
            counters=counters if metrics else None,
        )
        gevent.get_hub().exception_stream = cast(TextIO, logs.faults)
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


def nowhere() -> TextIO:
    """In the place of an output that was closed before the start."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _make_metrics(counters: Counters, logs: Logs) -> Metrics | None:
    """The metrics; None, and a notice, when other processes are to share them and cannot."""
    try:
        metrics_files.check()
        return Metrics(counters, logs.dropped)
    except (OSError, ValueError) as error:
        logs.notice(f"serving without metrics, which cannot be shared: {error}")
        return None
