"""Command line of the benchmarks; scripts/bench runs it."""

import argparse
import sys
from collections.abc import Callable

from bench import forward, join, memory, start
from bench.result import LOAD_BEFORE, QUIET, Result, write_page
from lkhub.host.engine import bundled_engine

NAMES = ("start", "join", "forward", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--engine", default=bundled_engine(), help="engine for `forward` (default: the built one)")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--seconds", type=int, default=20, help="measured time of each run of `forward`")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    benchmarks: dict[str, Callable[[], Result]] = {
        "start": lambda: start.measure(rounds or 15),
        "join": lambda: join.measure(bundled_engine(), rounds or 5),
        "forward": lambda: forward.measure(arguments.engine, rounds or 5, arguments.seconds),
        "memory": memory.measure,
    }
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if LOAD_BEFORE > QUIET:
        print(f"this machine is busy (load average {LOAD_BEFORE:.1f}): figures will be off", file=sys.stderr)
    for name in arguments.names or NAMES:
        result = benchmarks[name]()
        print(f"\n{name}\n\n{result.markdown()}\n")
        print(f"every run: {result.save()}", file=sys.stderr)
        if arguments.write:
            write_page(result)


main()
