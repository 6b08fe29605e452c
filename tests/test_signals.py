"""Signals that stop a process: each test runs one that sends them to itself."""

import signal
import subprocess
import sys

import pytest

from tests.e2e.server_process import DEADLINE, ROOT

BEGINNING = """
import os
from signal import Signals

import gevent
from gevent.event import Event

from echo.signals import stop_on_signals

reloaded = Event()
handled = stop_on_signals(
    stop=[Signals.SIGTERM],
    stop_or_quit=[Signals.SIGINT],
    reload=[Signals.SIGHUP],
    on_reload=reloaded.set,
)

def send(number):
    os.kill(os.getpid(), number)
"""


def status_of(steps):
    """The exit status of a process that does this, and nothing else, with the signals."""
    result = subprocess.run(
        [sys.executable, "-c", BEGINNING + steps],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert result.stderr == ""
    return result.returncode


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_sets_the_event(number):
    steps = f"""
with handled as stop:
    assert not stop.is_set()
    send(Signals.{number})
    assert stop.wait(30)
"""
    assert status_of(steps) == 0


def test_a_stopping_signal_may_come_often_and_after_the_end():
    steps = """
with handled as stop:
    send(Signals.SIGTERM)
    assert stop.wait(30)
    send(Signals.SIGTERM)
    gevent.sleep(0.1)
send(Signals.SIGTERM)
"""
    assert status_of(steps) == 0


def test_a_second_signal_to_quit_ends_the_process_at_once():
    steps = """
with handled as stop:
    send(Signals.SIGINT)
    assert stop.wait(30)
    send(Signals.SIGINT)
    gevent.sleep(30)
"""
    assert status_of(steps) == 128 + signal.SIGINT


def test_a_signal_to_quit_after_the_end_does():
    steps = """
with handled as stop:
    send(Signals.SIGINT)
    assert stop.wait(30)
send(Signals.SIGINT)
gevent.sleep(30)
"""
    assert status_of(steps) == -signal.SIGINT


def test_a_reload_stops_nothing_and_after_the_end_neither():
    steps = """
with handled as stop:
    send(Signals.SIGHUP)
    assert reloaded.wait(30)
    assert not stop.is_set()
send(Signals.SIGHUP)
"""
    assert status_of(steps) == 0
