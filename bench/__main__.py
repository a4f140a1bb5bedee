"""Command line of the benchmarks; scripts/bench runs it."""

import argparse
import sys
from collections.abc import Callable

from bench import (
    agent,
    forward,
    image,
    join,
    join_edge,
    memory,
    outage,
    relay,
    restore,
    service,
    signalling,
    start,
    token,
    webhook,
)
from bench.result import LOAD_BEFORE, QUIET, Result, write_page
from lkhub.host.engine import bundled_engine

NAMES = (
    *("start", "service", "join", "join-edge", "signal", "forward", "relay", "memory", "memory-edge"),
    *("memory-application", "image", "outage", "token", "webhook", "restore", "agent"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument(
        "--engine", default=bundled_engine(), help="engine to measure, where there is no hub (default: the built one)"
    )
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--seconds", type=int, help="measured time of each run, where one has a length")
    arguments = parser.parse_args()
    engine, rounds, seconds = arguments.engine, arguments.rounds, arguments.seconds
    benchmarks: dict[str, Callable[[], Result]] = {
        "start": lambda: start.measure(rounds or 15),
        "service": lambda: service.measure(rounds or 15),
        "join": lambda: join.measure(bundled_engine(), rounds or 5),
        "join-edge": lambda: join_edge.measure(bundled_engine(), rounds or 5),
        "signal": lambda: signalling.measure(engine, rounds or 5, seconds or 10),
        "forward": lambda: forward.measure(engine, rounds or 5, seconds or 20),
        "relay": lambda: relay.measure(engine, rounds or 3, seconds or 6),
        "memory": memory.measure,
        "memory-edge": memory.measure_edge,
        "memory-application": memory.measure_application,
        "image": image.measure,
        "outage": lambda: outage.measure(rounds or 5),
        "token": lambda: token.measure(rounds or 5, seconds or 8),
        "restore": lambda: restore.measure(rounds or 10),
        "webhook": lambda: webhook.measure(rounds or 3, seconds or 5),
        "agent": lambda: agent.measure(engine, rounds or 5),
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


if __name__ == "__main__":
    main()
