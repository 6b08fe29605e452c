"""What gunicorn is told and this service cannot do."""

import pytest
from gunicorn.config import Config

from echo.gunicorn_master import refusal


@pytest.fixture
def config():
    config = Config()
    config.set("bind", "127.0.0.1:8000")
    config.set("worker_class", "echo.gunicorn_worker.EchoWorker")
    return config


def test_the_service_can_be_run_as_its_own_settings_say(config):
    assert refusal(config) is None


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("reuse_port", True, "--reuse-port"),
        ("preload_app", True, "--preload"),
        ("reload", True, "--reload"),
        ("threads", 2, "ECHO_MAX_CONNECTIONS"),
        ("worker_connections", 10, "ECHO_MAX_CONNECTIONS"),
        ("max_requests", 10, "--max-requests"),
        ("keepalive", 5, "ECHO_KEEP_ALIVE_TIMEOUT"),
        ("limit_request_line", 100, "--limit-request-line"),
        ("accesslog", "-", "--access-logfile"),
        ("forwarded_allow_ips", "*", "ECHO_TRUST_PROXY"),
        ("ca_certs", "certificates.pem", "--ca-certs"),
    ],
)
def test_a_setting_without_effect_is_refused_with_what_to_use_instead(
    config, setting, value, reason
):
    config.set(setting, value)
    assert reason in refusal(config)
