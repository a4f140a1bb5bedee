"""CPU per forwarded packet of the media process, beside stock livekit-server of the same version."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.load import run_load
from bench.process import LOAD_CPU, SERVER_CPU
from bench.result import Result
from bench.rounds import Run, alternate, names, values
from bench.server import Candidate, Files, engine_candidate, make_files, run_server, stock_candidate
from bench.stats import median, spread
from bench.stock import build_stock

PUBLISHERS, SUBSCRIBERS, VIDEO_KBPS = 3, 40, 1500


def measure(engine: str, rounds: int, seconds: int) -> Result:
    """`rounds` alternating runs of `seconds` each."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files() as files:
        candidates = [stock_candidate(build_stock(Path(folder))), engine_candidate(engine, files.folder)]
        measures = {each.name: partial(measure_once, each, files, engine, seconds) for each in candidates}
        runs = alternate(rounds, measures, ("us_per_packet", "latency_p50_ms"))
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


def measure_once(candidate: Candidate, files: Files, engine: str, seconds: int) -> Run:
    """One run: the load's report with `us_per_packet`."""
    arguments = ["--publishers", str(PUBLISHERS), "--subscribers", str(SUBSCRIBERS)]
    arguments += ["--video-kbps", str(VIDEO_KBPS), "--duration", f"{seconds}s"]
    with run_server(candidate, files, SERVER_CPU) as process:
        report = run_load(engine, arguments, files.environ, [process], LOAD_CPU)
    return {**report, "us_per_packet": round(report["cpu_s"] * 1e6 / report["packets_received"], 3)}


def draw(runs: Sequence[Run]) -> list[list[str]]:
    """A row for each server; the ratio is of medians, to the first server's."""
    base = median(values(runs, names(runs)[0], "us_per_packet"))
    rows = []
    for name in names(runs):
        cost = values(runs, name, "us_per_packet")
        rate = median([run["packets_received"] / run["duration_s"] for run in runs if run["server"] == name])
        latency = [f"{median(values(runs, name, key)):.2f} ms" for key in ("latency_p50_ms", "latency_p99_ms")]
        loss = f"{median(values(runs, name, 'loss')):.2%}"
        rows.append([name, spread(cost), f"{median(cost) / base:.2f}", *latency, f"{rate:,.0f}", loss])
    return rows
