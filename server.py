"""The command ``python server.py``: options and environment become Settings, and are served.

For WSGI tools ``app`` is the application, set up by the environment alone.
"""

import os
import sys
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, NoReturn

import click

from echo.service import build_service
from echo.settings import Settings, add_options
from echo.signals import RELOAD, stop_on_signals

if TYPE_CHECKING:
    from flask import Flask


@add_options
@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def command(context: click.Context, /, **_: object) -> None:
    """Serve a WebSocket that sends every message back, and a page to try it.

    Each option can also be set by the environment variable in brackets; the command line wins.
    A variable of a repeatable option takes several values, separated by spaces.
    """
    settings = Settings.from_context(context)
    (_serve_by_workers if settings.workers else serve)(settings)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; a second one ends the process at once.

    SIGHUP reads the certificate again; a terminal that goes away stops the server. Raises
    click.ClickException when it cannot listen.
    """
    certificate = settings.certificate()
    with build_service(settings, (settings.host, settings.port), certificate) as (server, logs):
        try:
            server.start()
        except OSError as error:
            raise settings.cannot_listen(error) from error
        with stop_on_signals(
            stop_or_quit=(Signals.SIGINT, Signals.SIGTERM),
            reload=RELOAD,
            on_reload=server.reload_certificate,
            in_terminal=True,
        ) as stop:
            logs.started(server.url)
            stop.wait()
            server.stop(server.limits.shutdown_timeout)


def _serve_by_workers(settings: Settings) -> NoReturn:
    """Become gunicorn, which finds its own settings in gunicorn.conf.py and these around it."""
    if not hasattr(os, "fork"):
        raise click.UsageError(
            "'--workers' (env var: 'WEB_CONCURRENCY') needs gunicorn, which does not run on this "
            "system. Use 0 for this process alone."
        )
    settings.certificate()  # to complain here of one that does not serve
    environment = os.environ | settings.as_environment()
    os.chdir(Path(__file__).resolve().parent)
    os.execve(sys.executable, [sys.executable, "-m", "gunicorn"], environment)  # noqa: S606


def main() -> None:
    """Run the command; an error is one line, and no traceback."""
    try:
        status = command.main(prog_name="server.py", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"server.py: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except MemoryError:
        click.echo("server.py: there is not enough memory", err=True)
        sys.exit(1)
    sys.exit(status)


def __getattr__(name: str) -> "Flask":
    """Make ``app`` when a WSGI tool first asks for it, so that the command does not."""
    if name != "app":
        raise AttributeError(name)
    from echo.app import create_app  # noqa: PLC0415

    application = globals()[name] = create_app(Settings.from_environment())
    return application


if __name__ == "__main__":
    main()
