"""The soak, for seconds instead of minutes."""

import subprocess
import sys

import pytest

from tests.e2e.server_process import ROOT, clean_environment

pytestmark = pytest.mark.no_cover


def test_a_short_soak_finds_nothing(tmp_path):
    report = tmp_path / "SOAK.md"
    result = subprocess.run(
        [
            *(sys.executable, "bench/soak.py"),
            *("--minutes", "0.05", "--rounds", "2", "--report", report),
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
    assert "\nNone.\n" in written
    assert "| Kills | 2 |" in written
    assert "| Echoes, each compared | 0 |" not in written
