"""The soak, for seconds instead of minutes, and what its verdict objects to."""

import copy
import subprocess
import sys
from importlib import import_module

import pytest

from tests.e2e.server_process import ROOT, clean_environment


def test_a_short_soak_finds_nothing(tmp_path):
    report = tmp_path / "SOAK.md"
    result = subprocess.run(
        [
            *(sys.executable, "bench/soak.py"),
            *("--minutes", "0.07", "--rounds", "2", "--goal", "10000", "--report", report),
        ],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    written = report.read_text(encoding="utf-8")
    assert written.count("\nNone.\n") == 2
    assert "| Kills | 2 |" in written
    assert "| Echoes, each compared | 0 |" not in written
    assert "| all at once | 0.0 |" not in written


@pytest.fixture
def verdict_and_result(monkeypatch):
    """The verdict of the soak, and a result that it has nothing against."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    soak_hostile, soak_verdict = map(import_module, ("soak_hostile", "soak_verdict"))

    def phase(name, begin):
        attacks = {"stalled messages of 16 MiB": {"sent": 1, "received": 1, "opened": 1}}
        in_use = {"descriptors": 25, "threads": 3}
        return soak_hostile.Phase(name, begin, attacks, 90_000, 40_000, in_use)

    phases = [phase(soak_hostile.ALL, 10.0 * number) for number in range(10)]
    trips = [(float(begin), 0.09, 0.0) for begin in range(100)]
    client = {"kind": "", "openings": [], "trips": trips, "wrong": 0, "ended": ""}
    return soak_verdict, soak_hostile.Hostile(
        phase_seconds=10.0,
        phases=phases,
        clients=[copy.deepcopy(client) for _ in range(10)],
        drip={"opened": 1, "ended": 1, "longest": 1.0},
        idle=36_000,
        in_use={"descriptors": 25, "threads": 3},
    )


def slow(result):
    result.clients[3]["trips"][42] = (42.0, 0.15, 0.02)


def shut_out(result):
    result.clients[3]["openings"].append((95.0, 12.1, 0.1))


def closed(result):
    result.clients[4]["ended"] = "closed with 1011 in the end"


def wrong(result):
    result.clients[0]["wrong"] = 2


def starved(result):
    result.clients[9]["trips"].clear()


def large(result):
    result.phases[2].peak = 36_000 + 321 * 1024


def growing(result):
    for number, phase in enumerate(result.phases):
        phase.after += 5000 * number


def leaking(result):
    result.phases[9].in_use["descriptors"] = 27


def threaded(result):
    result.phases[1].in_use["threads"] = 4


def held(result):
    result.drip["longest"] = 60.0


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (slow, "all at once: a healthy client's round trip took 130 ms"),
        (shut_out, "all at once: a healthy client's opening handshake took 12,000 ms"),
        (closed, "healthy client 5: closed with 1011"),
        (wrong, "healthy client 1: 2 wrong echoes"),
        (starved, "healthy client 10: no round trip at all"),
        (large, "all at once: memory reached 356.2 MiB; the limit is 355.2"),
        (growing, "memory grew by "),
        (leaking, "all at once: descriptors grew from 25 to 27"),
        (threaded, "all at once: threads grew from 3 to 4"),
        (held, "a TLS handshake was held for 60.0 s"),
    ],
)
def test_the_verdict_says_what_was_wrong(verdict_and_result, spoil, problem):
    verdict, result = verdict_and_result
    assert verdict.problems(result, 0.1) == []
    spoil(result)
    (found,) = verdict.problems(result, 0.1)
    assert found.startswith(problem)
    assert found in verdict.section(result, [found], 0.1)


def test_the_host_s_share_of_a_round_trip_does_not_count(verdict_and_result):
    verdict, result = verdict_and_result
    result.clients[3]["trips"][42] = (42.0, 0.15, 0.06)
    assert verdict.problems(result, 0.1) == []
