"""How long a client takes to join, beside livekit-server started by hand."""

import tempfile
from pathlib import Path
from typing import Any

from bench.load import run_load
from bench.result import Result
from bench.server import make_files, run_server, stock_candidate
from bench.stats import median, spread
from bench.stock import build_stock
from tests.kit.hub import make_hub

# Audio alone, so that joining is what is measured and not the load of those who are in.
LOAD = ("--publishers", "1", "--subscribers", "100", "--video-kbps", "0", "--duration", "1s")


def measure(engine: str, rounds: int) -> Result:
    """`rounds` loads through each, in turn."""
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_hub() as hub, make_files() as files:
        stock = stock_candidate(build_stock(Path(folder)))
        hub.up("--no-verify")
        for number in range(rounds):
            with run_server(stock, files):
                runs.append({"round": number, "server": stock.name, **run_load(engine, LOAD, files.environ)})
            runs.append({"round": number, "server": "hub", **run_load(engine, LOAD, hub.env())})
    rows = []
    for name in (stock.name, "hub"):
        of_name = [run for run in runs if run["server"] == name]
        p50, p99 = ([run[key] for run in of_name] for key in ("join_p50_ms", "join_p99_ms"))
        rows.append([name, spread(p50, 1), spread(p99, 1)])
    ratios = [
        median([run[key] for run in runs if run["server"] == "hub"])
        / median([run[key] for run in runs if run["server"] == stock.name])
        for key in ("join_p50_ms", "join_p99_ms")
    ]
    rows.append(["ratio", *(f"{ratio:.2f}" for ratio in ratios)])
    return Result(
        "join",
        f"101 participants join a room of audio, eight at a time: milliseconds from the dial until ICE and DTLS are "
        f"connected, {rounds} alternating runs, server and clients on the same cores. Medians of the runs' p50 and "
        "p99, with the lowest and the highest run.",
        runs,
        ("server", "p50 ms", "p99 ms"),
        rows,
    )
