"""The benchmark: python3 bench/run.py [--quick] [--rounds N] [--seconds S] [--long MINUTES].

Makes what it needs in bench/.work, measures this service and its peers in turn on pinned cores, and
writes bench/RESULTS.md and bench/results.svg. Linux, and only the standard library.
"""

import argparse
import json
import resource
import signal
import sys
from dataclasses import asdict

from environment import BENCH, WORK, Missing, choose_cores, facts, prepare
from figures import Results, Sample
from loads import LOADS, Failed, echo, put
from report import Run, in_short, markdown, svg
from servers import SERVERS, NotStarted, running


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="the main loads only, ours and Go and gevent-websocket; prints, and writes to "
        "bench/.work instead of bench",
    )
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 3")
    parser.add_argument(
        "--seconds", type=float, default=0.8, help="of one measurement; default 0.8"
    )
    parser.add_argument(
        "--long",
        type=int,
        default=0,
        metavar="MINUTES",
        help="at the end so long a run of ours, for cost and memory over time",
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    return options


def say(*words: object) -> None:
    print(*words, flush=True)


class Benchmark:
    """The measuring itself.

    ``left_out`` has the servers that cannot be measured, by name, with the reason; ``failures`` the
    single measurements that came to nothing.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.cores = choose_cores()
        self.left_out = prepare()
        self.failures: list[str] = []
        self.samples: list[Sample] = []

    def measure(self) -> None:
        """All rounds. The order of the servers moves on by one with each."""
        for number in range(self.options.rounds):
            for name, load in LOADS.items():
                servers = load.quick if self.options.quick else load.servers
                if number == 0 and not self.options.quick:
                    servers += load.once
                for index in range(len(servers)):
                    server = servers[(index + number) % len(servers)]
                    if server not in self.left_out:
                        self.measure_one(name, server, number)

    def measure_one(self, name: str, server: str, number: int) -> None:
        load, seconds = LOADS[name], self.options.seconds
        label = f"round {number + 1}  {name:14}{server:11}"
        try:
            with running(server, self.cores[0], log=load.has_log(server)) as (port, pid):
                command = load.tool(port, pid, seconds)
                if server == "raw":
                    command += ["-k", "raw"]
                [values], disturbance = put(command, self.cores, pid, seconds)
        except NotStarted as error:
            self.left_out[server] = f"it did not start: {error}"
            say(label, self.left_out[server])
        except Failed as error:
            self.failures.append(
                f"{SERVERS[server].title}, {load.title}, round {number + 1}: {error}"
            )
            say(label, error)
        else:
            self.samples.append(
                Sample(name, server, number, disturbance.steal, disturbance.others, values)
            )
            shown = "  ".join(f"{key} {value:g}" for key, value in values.items())
            say(label, shown, f" steal {disturbance.steal:.1f} others {disturbance.others:.1f}")

    def measure_long(self) -> list[dict[str, float]]:
        """A minute a dict, of one run on the same connections."""
        if not self.options.long:
            return []
        say("long run")
        try:
            with running("ours", self.cores[0], log=True) as (port, pid):
                command = [*echo(64, 1, 64)(port, pid, 60), "-n", self.options.long]
                minutes, _ = put(command, self.cores, pid, 60 * self.options.long)
        except (NotStarted, Failed) as error:
            self.failures.append(f"the long run: {error}")
            return []
        return minutes


def write(benchmark: Benchmark, long: list[dict[str, float]]) -> None:
    """The report and, for whoever wants to look closer, every sample."""
    quick = benchmark.options.quick
    left_out = [f"{SERVERS[name].title}: {reason}" for name, reason in benchmark.left_out.items()]
    run = Run(
        Results(benchmark.samples),
        facts(),
        benchmark.options.rounds,
        benchmark.options.seconds,
        left_out + benchmark.failures,
        long,
    )
    samples = WORK / "samples.json"
    samples.write_text(json.dumps([asdict(sample) for sample in benchmark.samples]))
    folder = WORK if quick else BENCH
    (folder / "RESULTS.md").write_text(markdown(run))
    (folder / "results.svg").write_text(svg(run.results))
    say("\n" + in_short(run.results))
    for line in run.left_out:
        say("left out:", line)
    say(f"\n{folder / 'RESULTS.md'}")


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Servers and tools inherit it: ten thousand connections need as many file descriptors.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        benchmark = Benchmark(options)
        benchmark.measure()
        write(benchmark, benchmark.measure_long())
    except Missing as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if "ours" in benchmark.left_out:
        sys.exit(1)


if __name__ == "__main__":
    main()
