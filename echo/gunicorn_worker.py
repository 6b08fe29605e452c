"""The service as one of gunicorn's workers: the same server, on a socket that all of them share.

gunicorn's own gevent worker patches the standard library, parses HTTP by itself and drops its
connections when it stops. This one stands on the base class of all workers, patches nothing and
serves with HTTPServer.
"""

import os
import signal
import sys
from contextlib import suppress
from functools import partial
from mmap import mmap
from typing import Any, ClassVar, Final, NoReturn

import click
import gevent
from gevent.event import Event
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

import echo.app  # noqa: F401  # before the fork, so that all workers have it for nothing
from echo.log_formats import FORMATS
from echo.logs import announcement
from echo.net.certificate import Certificate
from echo.net.server import local_url
from echo.service import build_service
from echo.settings import Settings
from echo.signals import stop_on_signals

#: Seconds between two signs of life; gunicorn kills a worker that gives none for its ``timeout``.
_HEARTBEAT: Final = 1.0

#: Bytes in which a worker tells its master whether it has served, and why it could not start.
_REPORT: Final = 1024

#: The signals that stop a worker gracefully.
_STOPPING: Final = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))


def hold_signals() -> None:
    """Keep back what stops a worker.

    A signal that came to a worker before it is one would be put into the queue of the master that
    it is a copy of, where nobody looks for it: the worker would serve on until it is killed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)


def hear_signals() -> None:
    """Take what was kept back, and what comes from now on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


class PlainLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log, as plain as the service's own."""

    error_fmt = "gunicorn: %(message)s"


class EchoWorker(Worker):  # type: ignore[misc]
    """A worker process.

    SIGTERM, SIGINT and SIGQUIT stop it gracefully, however often they come; only a second SIGINT,
    of a person with a keyboard, ends it at once. SIGHUP and SIGUSR1 have the certificate read anew.
    """

    settings: ClassVar[Settings]
    #: Read before the workers are forked, so that one resumes the TLS session of another.
    certificate: ClassVar[Certificate | None] = None

    @classmethod
    def configure(cls) -> Settings:
        """Read the environment and the certificate, at the start and when gunicorn reloads.

        An invalid value ends the process with one line on stderr and status 2.
        """
        try:
            settings = Settings.from_environment()
            if cls.certificate is None:
                cls.certificate = settings.certificate()
            else:
                cls.refresh_certificate()
        except click.ClickException as error:
            click.echo(f"gunicorn: {error.format_message()}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            click.echo(f"gunicorn: the new certificate is not taken: {error}", err=True)
            sys.exit(2)
        cls.settings = settings
        return settings

    @classmethod
    def refresh_certificate(cls) -> None:
        """Read the certificate again, for workers that start later. Raises OSError."""
        if cls.certificate is not None:
            cls.certificate.refresh()

    def __init__(self, *arguments: Any) -> None:
        """Called by gunicorn's master before it forks. Raises OSError."""
        super().__init__(*arguments)
        # gunicorn compares the time of this file with the monotonic clock, and a file that nobody
        # has touched has the time of day: a worker that hangs at once would never be missed.
        self.tmp.notify()
        # Shared with the process that is forked next.
        self._report = mmap(-1, _REPORT)

    @property
    def has_served(self) -> bool:
        """Whether this worker got as far as accepting connections."""
        return self._report[0] != 0

    @property
    def failure(self) -> str:
        """Why this worker could not start; empty when it has not said."""
        return self._report[1:].rstrip(b"\0").decode(errors="replace")

    @classmethod
    def announce(cls, arbiter: Arbiter) -> None:
        """Print where the service is; gunicorn's hook for when it listens."""
        address = arbiter.LISTENERS[0].getsockname()
        url = partial(
            local_url, host=cls.settings.host, port=address[1], tls=cls.certificate is not None
        )
        with suppress(OSError):
            click.echo("\n".join(announcement(FORMATS[cls.settings.log_format], url)))

    def load_wsgi(self) -> None:
        """Leave the application to the service, which makes it together with its server."""

    def init_signals(self) -> None:
        """Use default signal handlers until the worker serves."""
        for number in self.SIGNALS:
            ignored = number == signal.SIGUSR1
            signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        hear_signals()

    def init_process(self) -> None:
        """Serve; leave the reason to the master, which logs it, when the worker cannot start."""
        try:
            gevent.reinit()  # the hub, if there is one, is the master's
            super().init_process()
        except Exception as error:
            if self.has_served:
                raise
            self.log.debug("the worker could not start", exc_info=True)
            reason = " ".join(str(error).split()) or type(error).__name__
            data = reason.encode(errors="backslashreplace")
            self._report[1:] = data[: _REPORT - 1].ljust(_REPORT - 1, b"\0")

    def run(self) -> None:
        """Serve until a signal, or until gunicorn is gone."""
        listener = self.sockets[0].sock
        with (
            build_service(self.settings, listener, self.certificate) as (server, _),
            stop_on_signals(
                stop=(signal.SIGTERM, signal.SIGQUIT),
                stop_or_quit=(signal.SIGINT,),
                reload=(signal.SIGHUP, signal.SIGUSR1),
                on_reload=server.reload_certificate,
            ) as stop,
        ):
            heart = gevent.spawn(self._beat, stop)
            server.start()
            self._report[0] = 1
            stop.wait()
            server.stop(server.limits.shutdown_timeout)
            heart.kill()

    def _beat(self, stop: Event) -> NoReturn:
        """Give signs of life, also while the worker stops."""
        while True:
            self.tmp.notify()
            if os.getppid() != self.ppid:
                stop.set()
            gevent.sleep(_HEARTBEAT)
