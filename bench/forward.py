"""CPU of the media process for each packet that it forwards, beside stock livekit-server of the same version."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.load import run_load
from bench.result import Result
from bench.server import Candidate, Files, engine_candidate, make_files, run_server, stock_candidate
from bench.stats import median, spread
from bench.stock import build_stock

PUBLISHERS, SUBSCRIBERS, VIDEO_KBPS = 3, 40, 1500

# The server has one core to itself, and the load the other: what one of them does costs the other nothing.
SERVER_CPU, LOAD_CPU = 0, 1


def measure(engine: str, rounds: int, seconds: int) -> Result:
    """`rounds` alternating runs of `seconds` each."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files() as files:
        stock = stock_candidate(build_stock(Path(folder)))
        runs = alternate([stock, engine_candidate(engine, files.folder)], files, engine, rounds, seconds)
    return Result(
        "forward",
        f"{PUBLISHERS} publishers of {VIDEO_KBPS / 1000} Mbit/s video and of audio to {SUBSCRIBERS} subscribers, "
        f"{rounds} alternating runs of {seconds} s, the server on one core and the load on the other, both servers "
        "with the hub's own livekit.yaml. CPU is the server process's, user and system. Medians, with the lowest and "
        "the highest run.",
        runs,
        ("server", "µs CPU per forwarded packet", "ratio", "forwarding latency p50", "p99", "packets/s out", "loss"),
        draw(runs),
    )


def alternate(
    candidates: Sequence[Candidate], files: Files, engine: str, rounds: int, seconds: int
) -> list[dict[str, Any]]:
    """Measure every candidate once a round; the order is reversed each time, so that drift hits both alike."""
    runs = []
    for number in range(rounds):
        for candidate in candidates if number % 2 == 0 else tuple(reversed(candidates)):
            run = {"round": number, "server": candidate.name, **measure_once(candidate, files, engine, seconds)}
            print(
                f"{run['server']:>16}  {run['us_per_packet']:.2f} µs  p50 {run['latency_p50_ms']} ms", file=sys.stderr
            )
            runs.append(run)
    return runs


def measure_once(candidate: Candidate, files: Files, engine: str, seconds: int) -> dict[str, Any]:
    """One run: the load's report with `us_per_packet`."""
    arguments = ["--publishers", str(PUBLISHERS), "--subscribers", str(SUBSCRIBERS)]
    arguments += ["--video-kbps", str(VIDEO_KBPS), "--duration", f"{seconds}s"]
    with run_server(candidate, files, SERVER_CPU) as process:
        report = run_load(engine, arguments, files.environ, psutil.Process(process.pid), LOAD_CPU)
    return {**report, "us_per_packet": round(report["cpu_s"] * 1e6 / report["packets_received"], 3)}


def draw(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A row for each server; the ratio is of medians, to the first server's."""
    names = list(dict.fromkeys(run["server"] for run in runs))

    def values(name: str, key: str) -> list[float]:
        return [run[key] for run in runs if run["server"] == name]

    base = median(values(names[0], "us_per_packet"))
    rows = []
    for name in names:
        cost = values(name, "us_per_packet")
        rate = median([run["packets_received"] / run["duration_s"] for run in runs if run["server"] == name])
        latency = [f"{median(values(name, key)):.2f} ms" for key in ("latency_p50_ms", "latency_p99_ms")]
        loss = f"{median(values(name, 'loss')):.2%}"
        rows.append([name, spread(cost), f"{median(cost) / base:.2f}", *latency, f"{rate:,.0f}", loss])
    return rows
