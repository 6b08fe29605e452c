"""Loaded by Python at its start, from PYTHONPATH: the time of day jumps by hours at every look.

As it does when a machine is suspended, or when its clock is set. The monotonic clock goes on as it
is. A module of the service that asks for the time of day is reported with a warning, which fails
the test that runs it.
"""

import datetime as dt
import os
import random
import sys
import time

HOUR = 3600

#: The modules that tell people when something was, and decide nothing by it.
TELLERS = {"echo.net.records", "echo.inspector.connection", "echo.logs"}

_real_time = time.time
_real_clock = time.clock_gettime
_rng = random.Random(1)


def _jump():
    """Seconds, back or forth, by hours to days."""
    frame = sys._getframe()
    while frame.f_globals is globals():
        frame = frame.f_back
    caller = frame.f_globals.get("__name__", "")
    if caller.partition(".")[0] in {"echo", "__main__"} and caller not in TELLERS:
        os.write(2, f"Warning: {caller} asked for the time of day\n".encode())
    return _rng.choice([-1, 1]) * _rng.uniform(2 * HOUR, 100 * HOUR)


def _time():
    return _real_time() + _jump()


def _time_ns():
    return int((_real_time() + _jump()) * 1e9)


def _clock_gettime(clock):
    return _real_clock(clock) + (_jump() if clock == time.CLOCK_REALTIME else 0)


def _clock_gettime_ns(clock):
    return int(_clock_gettime(clock) * 1e9)


class _Datetime(dt.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(_real_time() + _jump(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(dt.UTC).replace(tzinfo=None)


time.time = _time
time.time_ns = _time_ns
time.clock_gettime = _clock_gettime
time.clock_gettime_ns = _clock_gettime_ns
dt.datetime = _Datetime
os.write(2, b"the clock jumps\n")
