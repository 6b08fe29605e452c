"""Whether the service stays as it is under all kinds of clients.

    python bench/soak.py [--minutes 10] [--rounds 20] [--goal 100] [--report bench/SOAK.md]

Two halves, which share the --minutes. In the first, clients of all kinds come in rounds and
workers are killed: soak_kills.py. In the second, hostile clients flood it beside healthy ones whose
round trips are measured: soak_hostile.py. Exit code 1 when something was not right.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import soak_hostile  # noqa: E402
import soak_kills  # noqa: E402
import soak_verdict  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of both halves together")
    parser.add_argument("--rounds", type=int, default=20, help="of the half with kills")
    parser.add_argument(
        "--goal", type=float, default=100.0, help="milliseconds for a round trip beside floods"
    )
    parser.add_argument("--report", type=Path, default=ROOT / "bench" / "SOAK.md")
    options = parser.parse_args()
    seconds = 60 * options.minutes / 2
    kills = soak_kills.soak(seconds, options.rounds)
    floods = soak_hostile.hostile(seconds)
    problems = floods.problems + soak_verdict.problems(floods, options.goal / 1000)
    parts = [
        f"# Soak\n\nWhat `make soak` has shown on {time.strftime('%Y-%m-%d')}.\n",
        soak_kills.section(kills, seconds),
        soak_verdict.section(floods, problems, options.goal / 1000),
    ]
    text = "\n".join(parts)
    options.report.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(1 if kills.tally.problems or problems else 0)


if __name__ == "__main__":
    main()
