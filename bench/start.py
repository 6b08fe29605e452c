"""How long the service takes from its command to its first line on standard output.

    start.py N      N starts, one after the other, each ended before the next

Prints one line of JSON: medians of the milliseconds on the clock and of processor time.
"""

import json
import resource
import subprocess
import sys
import time
from statistics import median

from environment import ROOT, SERVICE_PYTHON
from servers import ENVIRONMENT


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def start() -> tuple[float, float]:
    """One start: milliseconds to the first line, and of processor time, the end included."""
    before, begin = used(), time.perf_counter()
    with subprocess.Popen(
        [SERVICE_PYTHON, "server.py", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd=ROOT,
    ) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        process.terminate()
    if not line:
        raise SystemExit("start.py: the service did not start")
    return 1e3 * seconds, 1e3 * (used() - before)


def main() -> None:
    start()  # which writes the bytecode
    clock, processor = zip(*(start() for _ in range(int(sys.argv[1]))), strict=True)
    print(json.dumps({"ms": median(clock), "cpu_ms": median(processor)}))


if __name__ == "__main__":
    main()
