"""gunicorn's master process, made robust: a fault in one worker or one file never ends the service.

gunicorn's own master ends when a reload fails or a fork does, restarts a worker that cannot start
without a pause, and tries for five seconds to listen on a port that somebody else has.
"""

import os
import sys
from contextlib import redirect_stderr, suppress
from copy import copy
from io import StringIO
from time import monotonic
from typing import Final

from gunicorn import sock, systemd
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config, make_settings
from gunicorn.errors import HaltServer
from gunicorn.util import is_ipv6

from echo.gunicorn_worker import EchoWorker, hear_signals, hold_signals

#: Seconds before workers are started again after one could not start; doubled each time.
_FIRST_PAUSE: Final = 0.5

_LONGEST_PAUSE: Final = 30.0

#: Attempts after which the service ends, when none of its workers serves.
_ATTEMPTS: Final = 5

#: gunicorn's settings that would have no effect here, and what to use instead.
_REFUSED: Final = {
    "reuse_port": "the workers share one socket",
    "preload_app": "each worker makes its own application",
    "reload": "restart the service for new code",
    "threads": "a worker is one thread; set ECHO_MAX_CONNECTIONS",
    "worker_connections": "set ECHO_MAX_CONNECTIONS",
    "max_requests": "workers serve until they are told to stop",
    "keepalive": "set ECHO_KEEP_ALIVE_TIMEOUT",
    "limit_request_line": "the limits of a request's head are fixed",
    "limit_request_fields": "the limits of a request's head are fixed",
    "limit_request_field_size": "the limits of a request's head are fixed",
    "accesslog": "the access log is written to stderr; see ECHO_LOG_FORMAT",
    "statsd_host": "set ECHO_METRICS",
    "forwarded_allow_ips": "set ECHO_TRUST_PROXY",
    "secure_scheme_headers": "set ECHO_TRUST_PROXY",
    "proxy_protocol": "set ECHO_TRUST_PROXY and have the proxy send X-Forwarded-For",
    "protocol": "the workers speak HTTP/1.1 only",
    "http_protocols": "the workers speak HTTP/1.1 only",
    "certfile": "set ECHO_CERTFILE",
    "keyfile": "set ECHO_KEYFILE",
    "ca_certs": "client certificates are not supported",
    "cert_reqs": "client certificates are not supported",
    "ciphers": "the ciphers are those of OpenSSL's configuration",
    "dirty_workers": "there are none",
}


class EchoMaster(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """The master of EchoWorkers.

    SIGHUP reloads only what is valid. A worker that cannot start is started again after a growing
    pause; when none serves and none can start, the service ends with the reason.
    """

    #: Workers that could not start since one did.
    _failures = 0
    #: The youngest worker that served and the youngest that could not start, by gunicorn's age.
    _served_age = 0
    _failed_age = 0
    #: When workers may be started again, on the monotonic clock.
    _retry_at = 0.0

    @classmethod
    def take_over(cls, arbiter: Arbiter) -> None:
        """Make gunicorn's master one of this class, and listen. Call it from ``on_starting``.

        gunicorn has no setting for the class of its master. What is invalid ends the process with
        one line.
        """
        arbiter.__class__ = cls
        os.register_at_fork(before=hold_signals, after_in_parent=hear_signals)
        # How this process was started. gunicorn would run the file of its own package, whose
        # folder then hides modules of the standard library.
        arbiter.START_CTX = arbiter.START_CTX | {"args": [sys.executable, *sys.orig_argv[1:]]}
        reason = refusal(arbiter.cfg)
        if reason is not None:
            arbiter.log.error("%s", reason)
            sys.exit(2)
        # Both are sockets that somebody else listens on already.
        if not arbiter.master_pid and not systemd.listen_fds(unset_environment=False):
            arbiter.listen()

    def listen(self) -> None:
        """Listen, or end the process with one line: gunicorn would try for five seconds."""
        (address,) = self.cfg.address
        kind = sock.TCP6Socket if is_ipv6(address[0]) else sock.TCPSocket
        try:
            self.LISTENERS = [kind(address, self.cfg, self.log)]
        except OSError as error:
            reason = EchoWorker.settings.cannot_listen(error)
            self.log.error("%s", reason.format_message())
            sys.exit(reason.exit_code)

    def reload(self) -> None:
        """SIGHUP: reload, unless the configuration is invalid; then the workers keep theirs."""
        trial = copy(self.app)
        try:
            with redirect_stderr(StringIO()) as complaint:
                trial.reload()
            reason = refusal(trial.cfg)
        except SystemExit:
            reason = complaint.getvalue().strip().rpartition("\n")[2].removeprefix("gunicorn: ")
        if reason is None:
            super().reload()
        else:
            self.log.error("not reloaded, the workers keep their configuration: %s", reason)

    def reexec(self) -> None:
        """SIGUSR2: start a new master; when that fails this one goes on."""
        try:
            super().reexec()
        except OSError as error:
            self.log.error("the new master could not start: %s", error)
            if os.getpid() != self.pid:
                os._exit(1)

    def handle_usr1(self) -> None:
        """SIGUSR1: let workers that start later have the certificate that the others now read."""
        with suppress(OSError):  # of which the workers complain
            EchoWorker.refresh_certificate()
        super().handle_usr1()

    def spawn_workers(self) -> None:
        """Start the workers that are missing, unless it is too early for another attempt."""
        if monotonic() >= self._retry_at:
            super().spawn_workers()

    def spawn_worker(self) -> int:
        """Start a worker; returns its process id, or 0 when there could be no process."""
        umask = os.umask(0)
        os.umask(umask)
        try:
            return int(super().spawn_worker())
        except (OSError, RuntimeError, MemoryError) as error:
            os.umask(umask)  # gunicorn changes it for the worker's temporary file
            self._failed(self.worker_age, str(error) or type(error).__name__)
            return 0

    def reap_workers(self) -> None:
        """Note which workers have ended, and which of them before they served."""
        before = list(self.WORKERS.values())
        super().reap_workers()
        ended = [worker for worker in before if worker.pid not in self.WORKERS]
        served = (worker.age for worker in before if worker.has_served)
        self._served_age = max(self._served_age, *served, 0)
        # A worker that is not missed was told to stop.
        if self.LISTENERS and len(self.WORKERS) < self.num_workers:
            for worker in ended:
                if not worker.has_served:
                    self._failed(worker.age, worker.failure)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """End; with a reason it is one line, for which gunicorn has two."""
        if reason is not None:
            self.log.error("%s", reason)
        with suppress(SystemExit):
            super().halt()
        sys.exit(exit_status)

    def _failed(self, age: int, reason: str) -> None:
        """Put off the next attempt to start a worker, or end the service."""
        if self._served_age > self._failed_age:
            self._failures = 0
        self._failed_age = age
        self._failures += 1
        attempts = -(-self._failures // self.num_workers)
        # A service that was never up, and knows why, has its reason in one line and at once.
        allowed = _ATTEMPTS if self._served_age or not reason else 1
        reason = reason or "it ended before it served"
        serving = any(worker.has_served for worker in self.WORKERS.values())
        if not serving and self._failures >= allowed * self.num_workers:
            raise HaltServer(f"no worker can start: {reason}", self.WORKER_BOOT_ERROR)
        pause = min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE)
        self._retry_at = monotonic() + pause
        if allowed > 1:
            self.log.error("a worker could not start: %s; trying again in %g s", reason, pause)


def refusal(cfg: Config) -> str | None:
    """Why this service cannot be run with a configuration; None when it can."""
    if len(cfg.address) != 1 or not isinstance(cfg.address[0], tuple):
        return "this service listens on one TCP port: give gunicorn one --bind HOST:PORT."
    if cfg.worker_class is not EchoWorker:
        return "this service has its own worker class: leave out gunicorn's --worker-class."
    defaults = make_settings()
    for name, instead in _REFUSED.items():
        setting = cfg.settings[name]
        if setting.get() != defaults[name].get():
            option = (setting.cli or [name])[-1]
            return f"gunicorn's {option} has no effect here: {instead}."
    return None
