"""How long a client takes to join, beside livekit-server started by hand."""

import tempfile
from functools import partial
from pathlib import Path

from bench.load import run_load
from bench.result import Result
from bench.rounds import Run, alternate, names, values
from bench.server import Candidate, Files, make_files, run_server, stock_candidate
from bench.stats import median, spread
from bench.stock import build_stock
from tests.kit.hub import make_hub

# Audio only, so that the figures show joining and not the load of the participants in the room.
AUDIO = ("--publishers", "1", "--video-kbps", "0", "--duration", "1s")
LOAD = (*AUDIO, "--subscribers", "100")

QUANTILES = ("join_p50_ms", "join_p99_ms")


def measure(engine: str, rounds: int) -> Result:
    """`rounds` loads through each server, in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_hub() as hub, make_files() as files:
        stock = stock_candidate(build_stock(Path(folder)))
        hub.up("--no-verify")
        measures = {
            stock.name: partial(join_stock, stock, files, engine),
            "hub": partial(run_load, engine, LOAD, hub.env()),
        }
        runs = alternate(rounds, measures, QUANTILES)
    medians = [[median(values(runs, name, key)) for name in names(runs)] for key in QUANTILES]
    rows = [[name, *(spread(values(runs, name, key), 1) for key in QUANTILES)] for name in names(runs)]
    rows.append(["ratio", *(f"{ours / theirs:.2f}" for theirs, ours in medians)])
    return Result(
        "join",
        f"101 participants join a room of audio, eight at a time: milliseconds from the dial until ICE and DTLS are "
        f"connected, {rounds} alternating runs, server and clients on the same cores. Medians of the runs' p50 and "
        "p99, with the lowest and the highest run.",
        runs,
        ("server", "p50 ms", "p99 ms"),
        rows,
    )


def join_stock(stock: Candidate, files: Files, engine: str) -> Run:
    """One load through a livekit-server that has just been started."""
    with run_server(stock, files):
        return run_load(engine, LOAD, files.environ)
