"""The service as one of gunicorn's workers: the same server, on a socket that all of them share.

gunicorn's own gevent worker patches the standard library, parses HTTP by itself and drops its
connections when it stops. This one patches nothing, serves by HTTPServer and stops as it does.
"""

import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final, NoReturn

import click
import gevent
from gevent.event import Event
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.ggevent import GeventWorker

from echo.log_formats import FORMATS
from echo.logs import announcement
from echo.net.certificate import Certificate
from echo.net.http_server import HTTPServer, local_url
from echo.service import service
from echo.settings import Settings

#: Seconds between two signs of life; gunicorn kills a worker that gives none for its ``timeout``.
_HEARTBEAT: Final = 1.0


#: The signals that stop a worker gracefully.
_STOPPING: Final = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))


def _hold_signals() -> None:
    """Keep back what stops a worker.

    A signal that came to a worker before it is one would be put into the queue of the master that
    it is a copy of, where nobody looks for it: the worker would serve on until it is killed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)


def _hear_signals() -> None:
    """Take what was kept back, and what comes from now on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


os.register_at_fork(before=_hold_signals, after_in_parent=_hear_signals)


class PlainLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log, as plain as the service's own."""

    error_fmt = "gunicorn: %(message)s"


class EchoWorker(GeventWorker):  # type: ignore[misc]
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

        What does not serve ends the process, with one line and the exit code 2.
        """
        try:
            cls.settings = Settings.from_environment()
            if cls.certificate is None:
                cls.certificate = cls.settings.certificate()
        except click.ClickException as error:
            click.echo(f"gunicorn: {error.format_message()}", err=True)
            sys.exit(error.exit_code)
        return cls.settings

    def __init__(self, *arguments: Any) -> None:
        """Called by gunicorn's master, before it forks: take a new certificate if there is one."""
        super().__init__(*arguments)
        if self.certificate is not None:
            try:
                self.certificate.refresh()
            except OSError as error:
                self.log.error("the new certificate is not taken: %s", error)

    @staticmethod
    def check_config(cfg: Config, log: Logger) -> None:
        """Refuse what gunicorn could do and this worker does not. Called before the first fork."""
        if len(cfg.address) != 1 or not isinstance(cfg.address[0], tuple):
            log.error("this service listens on one TCP port: give it one --bind.")
            sys.exit(2)
        if cfg.is_ssl:
            log.error("the certificate is given by ECHO_CERTFILE and ECHO_KEYFILE.")
            sys.exit(2)

    @classmethod
    def announce(cls, arbiter: Arbiter) -> None:
        """Print where the service is; gunicorn's hook for when it listens."""
        address = arbiter.LISTENERS[0].getsockname()
        url = partial(
            local_url, host=cls.settings.host, port=address[1], tls=cls.certificate is not None
        )
        with suppress(OSError):
            click.echo("\n".join(announcement(FORMATS[cls.settings.log_format], url)))

    def patch(self) -> None:
        """Patch nothing: the logs are written by threads, and no greenlet blocks."""

    def load_wsgi(self) -> None:
        """Leave the application to the service, which makes it together with its server."""

    def init_signals(self) -> None:
        """Until it serves, a worker has nothing to do at its end."""
        for number in self.SIGNALS:
            ignored = number == signal.SIGUSR1
            signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        _hear_signals()

    def run(self) -> None:
        """Serve until a signal, or until gunicorn is gone."""
        with service(self.settings, self.sockets[0].sock, self.certificate) as (server, _):
            stop = self._listen_to_signals(server)
            heart = gevent.spawn(self._beat, stop)
            server.start()
            stop.wait()
            server.stop(server.limits.shutdown_timeout)
            heart.kill()

    def _listen_to_signals(self, server: HTTPServer) -> Event:
        """The event that is set when the worker should stop."""
        stop, interrupted = Event(), Event()

        def interrupt() -> None:
            if interrupted.is_set():
                os._exit(128 + signal.SIGINT)
            interrupted.set()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGQUIT):
            gevent.signal_handler(number, stop.set)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            gevent.signal_handler(number, server.reload_certificate)
        gevent.signal_handler(signal.SIGINT, interrupt)
        return stop

    def _beat(self, stop: Event) -> NoReturn:
        """Give signs of life, also while the worker stops."""
        while True:
            self.tmp.notify()
            if os.getppid() != self.ppid:
                stop.set()
            gevent.sleep(_HEARTBEAT)
