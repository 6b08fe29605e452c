"""The command ``python server.py``: options and environment become Settings, and are served.

For WSGI tools ``app`` is the application, set up by the environment alone.
"""

import errno
import os
import sys
from pathlib import Path
from socket import gaierror
from typing import NoReturn

import click
from flask import Flask

from echo.app import create_app
from echo.service import service
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
    settings = Settings.from_context(context)
    (_serve_by_workers if settings.workers else serve)(settings)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises click.ClickException when it cannot listen."""
    with service(settings, (settings.host, settings.port), settings.certificate()) as (
        server,
        logs,
    ):
        try:
            server.start()
        except OSError as error:
            raise _cannot_listen(settings, error) from error
        server.serve_until_signal(lambda: logs.started(server.url))


def _serve_by_workers(settings: Settings) -> NoReturn:
    """Become gunicorn, which finds its own settings in gunicorn.conf.py and these around it."""
    settings.certificate()  # to complain here of one that does not serve
    environment = os.environ | settings.as_environment()
    os.chdir(Path(__file__).resolve().parent)
    os.execve(sys.executable, [sys.executable, "-m", "gunicorn"], environment)  # noqa: S606


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
    # On a server of another kind no request becomes a WebSocket: there are no messages to log.
    application = globals()[name] = create_app(Settings.from_environment())
    return application


if __name__ == "__main__":
    main()
