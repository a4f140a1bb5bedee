"""How long `lkhub up` takes, beside livekit-server started by hand."""

import tempfile
import time
from pathlib import Path

from bench.process import wait_http
from bench.result import Result
from bench.server import Candidate, Files, make_files, run_server, stock_candidate
from bench.stats import median, quantile
from bench.stock import build_stock
from tests.kit.hub import Hub, make_hub

ROWS = {
    "stock_ready_s": "livekit-server by hand, answers",
    "media_ready_s": "`lkhub up`, media answers",
    "verified_s": "`lkhub up`, every path verified",
}


def measure(rounds: int) -> Result:
    """`rounds` warm starts of each, in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_hub() as hub, make_files() as files:
        stock = stock_candidate(build_stock(Path(folder)))
        runs = [{"stock_ready_s": time_stock(stock, files), **time_hub(hub)} for _ in range(rounds + 1)][1:]
    rows = []
    for key, label in ROWS.items():
        values = [run[key] for run in runs]
        rows.append([label, f"{median(values):.2f} s", f"{quantile(values, 0.9):.2f} s"])
    return Result(
        "start",
        f"Seconds from the command to the first 200 on the signalling port, and until `up --detach` returns with its "
        f"verifying calls done. {rounds} starts of each, in turn, with the keys and files of an earlier start.",
        runs,
        ("what", "median", "p90"),
        rows,
    )


def time_stock(stock: Candidate, files: Files) -> float:
    """Seconds from exec to the first answer."""
    began = time.perf_counter()
    with run_server(stock, files):
        return time.perf_counter() - began


def time_hub(hub: Hub) -> dict[str, float]:
    """Seconds of one `up`; the hub is down again afterwards."""
    began = time.perf_counter()
    with hub.start("up", "--detach") as up:
        wait_http(hub.ports["signal"], up)
        ready = time.perf_counter() - began
        _, said = up.communicate()
    verified = time.perf_counter() - began
    hub.run("down", "--now")
    if up.returncode != 0:
        raise RuntimeError(f"up failed: {said}")
    return {"media_ready_s": ready, "verified_s": verified}
