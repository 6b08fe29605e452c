"""The command ``python server.py``: options and environment become Settings, and are served.

For WSGI tools ``app`` is the application, set up by the environment alone.
"""

import errno
import gc
import os
import sys
from pathlib import Path
from socket import gaierror
from typing import TextIO, cast

import click
import gevent
from flask import Flask

from echo.app import create_app
from echo.log_formats import FORMATS, Logs
from echo.logs import LogQueue, MessageLog, SilentMessageLog
from echo.metrics import Metrics
from echo.net.http_server import HTTPServer
from echo.net.registry import Registry
from echo.settings import Settings, add_options


@add_options
@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def command(context: click.Context, /, **_: object) -> None:
    """Serve a WebSocket that sends every message back, and a page to try it.

    Each option can stand in the environment too, under the name in brackets; an option on the
    command line beats it. A repeatable one takes its values from the environment separated by
    spaces.
    """
    serve(Settings.from_context(context))


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises click.ClickException when it cannot listen."""
    make_logs = FORMATS[settings.log_format]
    logs = make_logs(sys.stdout or _nowhere(), sys.stderr or _nowhere(), quiet=settings.quiet)
    metrics = None if settings.metrics == "off" else _make_metrics(logs)
    registry = Registry()
    server = HTTPServer(
        (settings.host, settings.port),
        # Not the Flask object: its __call__ would be one more call on the C stack of each greenlet.
        create_app(settings, logs.messages, registry, metrics).wsgi_app,
        logs.entries,
        limits=settings.limits(),
        errors=logs.faults,
        registry=registry,
        watcher=metrics,
    )
    gevent.get_hub().exception_stream = cast(TextIO, logs.faults)
    if metrics is not None:
        gevent.spawn(metrics.run)
    # What is loaded now stays to the end: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    try:
        try:
            server.start()
        except OSError as error:
            raise _cannot_listen(settings, error) from error
        page, websocket = f"{server.url('http')}/ws/echo_display", f"{server.url('ws')}/ws/echo"
        server.serve_until_signal(lambda: logs.started(page, websocket))
        logs.stopped()
    finally:
        logs.close()


def _make_metrics(logs: Logs) -> Metrics:
    """The figures; click.ClickException where the directory to share them by is not usable."""
    try:
        return Metrics(logs.dropped)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"cannot share metrics: {error}") from error


def _nowhere() -> TextIO:
    """In the place of an output that was closed before the start."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _cannot_listen(settings: Settings, error: OSError) -> click.ClickException:
    """The error that names the option at fault."""
    reason = error.strerror or str(error)
    if isinstance(error, gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return click.BadParameter(
            f"{settings.host!r}: {reason}", param_hint="'--host' (env var: 'HOST')"
        )
    return click.ClickException(
        f"cannot listen on '--port' (env var: 'PORT') {settings.port}: {reason}"
    )


def main() -> None:
    """Run the command; an error is one line, and no traceback."""
    try:
        status = command.main(prog_name="server.py", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"server.py: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    sys.exit(status)


def __getattr__(name: str) -> Flask:
    """Make ``app`` when a WSGI tool first asks for it, so that the command does not."""
    if name != "app":
        raise AttributeError(name)
    settings = Settings.from_environment()
    message_log = (
        SilentMessageLog() if settings.quiet else MessageLog(LogQueue(sys.stdout or _nowhere()))
    )
    application = globals()[name] = create_app(settings, message_log)
    return application


if __name__ == "__main__":
    main()
