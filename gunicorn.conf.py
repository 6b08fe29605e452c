"""gunicorn's settings. The service has its own from the environment: see echo/settings.py."""

import os
from math import ceil

from gunicorn.arbiter import Arbiter

from echo import metrics_files

if os.environ.get("ECHO_METRICS") == "on":
    # Before the library that counts is imported, which looks for the directory then.
    metrics_files.prepare()

from echo.gunicorn_master import EchoMaster
from echo.gunicorn_worker import EchoWorker

_settings = EchoWorker.configure()

bind = f"[{_settings.host}]:{_settings.port}"
workers = _settings.workers or 1
worker_class = "echo.gunicorn_worker.EchoWorker"
# gunicorn wants one; the worker makes its own.
wsgi_app = "server:app"
backlog = 4096

# Beyond the shutdown timeout, what it takes to abort the connections that have not ended.
graceful_timeout = ceil(_settings.shutdown_timeout) + 5
# Seconds without a sign of life until a worker is taken for stuck, and replaced.
timeout = 30

logger_class = "echo.gunicorn_worker.PlainLogger"
loglevel = "warning"
control_socket_disable = True
when_ready = EchoWorker.announce


def on_starting(arbiter: Arbiter) -> None:
    """Listen, and then empty the directory by which the workers share their metrics."""
    EchoMaster.take_over(arbiter)
    metrics_files.clear()


def pre_exec(arbiter: Arbiter) -> None:
    """Let a gunicorn that takes the place of this one (SIGUSR2) have a directory of its own."""
    metrics_files.leave_out(arbiter.cfg.env_orig)


def child_exit(_: object, worker: EchoWorker) -> None:
    """Take a worker that has ended out of what is counted of those that live."""
    metrics_files.forget(worker.pid)
