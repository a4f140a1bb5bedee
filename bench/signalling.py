"""Messages of signalling through the edge, beside stock Caddy with the same certificate."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import psutil

from bench.edge import run_caddy, run_edge
from bench.load import run_load
from bench.process import LOAD_CPU, SERVER_CPU
from bench.result import Result
from bench.rounds import Run, alternate, names, values
from bench.server import Files, make_files
from bench.stats import median, spread
from tests.kit.links import root_of

CONNECTIONS = 16


def measure(engine: str, rounds: int, seconds: int) -> Result:
    """`rounds` alternating runs of `seconds` each."""
    with make_files(tls=True) as files:
        servers = {"Caddy": partial(run_caddy, files), "lkhub edge": partial(run_edge, engine, files)}
        measures = {name: partial(measure_once, run, files, engine, seconds) for name, run in servers.items()}
        runs = alternate(rounds, measures, ("messages_per_s", "us_per_message"))
    size = runs[0]["size"]
    return Result(
        "signal",
        f"WebSocket messages of {size} bytes (a client's ICE candidate) to a server that sends each back, on "
        f"{CONNECTIONS} connections with one message on its way each, {rounds} alternating runs of {seconds} s, the "
        "proxy on one core, clients and server on the other. A message there and back is two. Medians, with the lowest "
        "and the highest run.",
        runs,
        ("proxy", "messages/s", "ratio", "µs CPU per message", "ratio", "of its core", "round trip p50", "p99"),
        draw(runs),
    )


def measure_once(
    run: Callable[[int], AbstractContextManager[psutil.Process]], files: Files, engine: str, seconds: int
) -> Run:
    """One run: the load's report with `messages_per_s`, `us_per_message` and `busy`, the proxy's part of its core."""
    arguments = ["signal", "--url", f"wss://127.0.0.1:{files.ports['https']}/rtc", "--ca-file", str(root_of(files.hub))]
    arguments += ["--back-end", f"127.0.0.1:{files.ports['signal']}"]
    arguments += ["--connections", str(CONNECTIONS), "--duration", f"{seconds}s"]
    with run(SERVER_CPU) as process:
        report = run_load(engine, arguments, {}, [process], LOAD_CPU)
    return {
        **report,
        "messages_per_s": round(report["messages"] / report["duration_s"]),
        "us_per_message": round(report["cpu_s"] * 1e6 / report["messages"], 3),
        "busy": round(report["cpu_s"] / report["duration_s"], 3),
    }


def draw(runs: list[Run]) -> list[list[str]]:
    """A row for each proxy; ratios are of medians, to the first proxy's."""
    rows = []
    for name in names(runs):
        row = [name]
        for key, digits in (("messages_per_s", 0), ("us_per_message", 1)):
            base = median(values(runs, names(runs)[0], key))
            row += [spread(values(runs, name, key), digits), f"{median(values(runs, name, key)) / base:.2f}"]
        row.append(f"{median(values(runs, name, 'busy')):.0%}")
        row += [f"{median(values(runs, name, key)):.2f} ms" for key in ("round_trip_p50_ms", "round_trip_p99_ms")]
        rows.append(row)
    return rows
