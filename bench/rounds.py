"""Alternating runs of the compared servers, and their results for each."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Run = dict[str, Any]


def alternate(rounds: int, measures: Mapping[str, Callable[[], Run]], show: Sequence[str]) -> list[Run]:
    """Take every measure once a round, under the name of its server; the order is reversed each time, so that drift
    affects all alike. The values of the keys `show` are printed after each run."""
    runs = []
    for number in range(rounds):
        for name in measures if number % 2 == 0 else reversed(list(measures)):
            run = {"round": number, "server": name, **measures[name]()}
            print(f"{name:>24}  {'  '.join(f'{key} {run[key]}' for key in show)}", file=sys.stderr)
            runs.append(run)
    return runs


def names(runs: Sequence[Run]) -> list[str]:
    """The servers, in the order of the first round."""
    return list(dict.fromkeys(run["server"] for run in runs))


def values(runs: Sequence[Run], name: str, key: str) -> list[float]:
    """The values of a key in one server's runs."""
    return [run[key] for run in runs if run["server"] == name]
