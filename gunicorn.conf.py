"""gunicorn's settings. The service has its own from the environment: see echo/settings.py."""

from math import ceil

from echo.worker import EchoWorker

_settings = EchoWorker.configure()

bind = f"[{_settings.host}]:{_settings.port}"
workers = _settings.workers or 1
worker_class = "echo.worker.EchoWorker"
# Where the application is for other workers; this one makes its own.
wsgi_app = "server:app"
backlog = 4096

# Beyond the shutdown timeout, what it takes to abort the connections that have not ended.
graceful_timeout = ceil(_settings.shutdown_timeout) + 5
# Seconds without a sign of life until a worker is taken for stuck, and replaced.
timeout = 30

logger_class = "echo.worker.PlainLogger"
loglevel = "warning"
control_socket_disable = True
when_ready = EchoWorker.announce
