"""How long a hub takes from the start of its service until it is verified, beside livekit-server and Caddy as two
services."""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.edge import run_caddy
from bench.process import run_process
from bench.result import Result
from bench.server import Candidate, Files, make_files, run_server, stock_candidate
from bench.stats import median, quantile
from bench.stock import build_stock

# Far longer than a start and its verification take.
TOLD_SECONDS = 60.0

ROWS = {
    "stock_s": "livekit-server and Caddy, both listen",
    "ready_s": "hub, the service is ready (`READY=1`)",
    "verified_s": "hub, every path verified",
}


def measure(rounds: int) -> Result:
    """`rounds` warm starts of each, in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files(tls=True) as files:
        stock = stock_candidate(build_stock(Path(folder)))
        runs = [{"stock_s": time_stock(stock, files), **time_service(files)} for _ in range(rounds + 1)][1:]
    stock_median = median([run["stock_s"] for run in runs])
    rows = []
    for key, label in ROWS.items():
        values = [run[key] for run in runs]
        ratio = f"{median(values) / stock_median:.1f}"
        rows.append([label, f"{median(values):.2f} s", f"{quantile(values, 0.9):.2f} s", ratio])
    return Result(
        "service",
        "Seconds from the start of the service's program, as systemd starts it (`Type=notify`), with `tls.mode: "
        "internal`, until it tells systemd that it is ready, and that its calls to itself got through. Beside it: "
        "livekit-server and Debian's Caddy with the hub's certificate, both started at once, until each listens. "
        f"{rounds} warm starts of each, in turn.",
        runs,
        ("what", "median", "p90", "ratio"),
        rows,
    )


def time_stock(stock: Candidate, files: Files) -> float:
    """Seconds until both listen: Caddy does not wait for livekit-server."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        began = time.perf_counter()
        list(pool.map(stack.enter_context, (run_caddy(files), run_server(stock, files))))
        return time.perf_counter() - began


def time_service(files: Files) -> dict[str, float]:
    """Seconds of one start; the hub is down again afterwards."""
    with _listening(files.folder / "notify") as told:
        environ = {"NOTIFY_SOCKET": str(files.folder / "notify"), "LKHUB_STATE": str(files.hub.state)}
        began = time.perf_counter()
        command = [*files.hub.command("up"), "--spec", str(files.hub.spec)]
        with run_process(command, files.folder / "up.log", environ=environ):
            wait_told(told, "READY=1", files)
            ready = time.perf_counter() - began
            wait_told(told, "got through", files)
            verified = time.perf_counter() - began
            files.hub.run("down", "--now")
    return {"ready_s": ready, "verified_s": verified}


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """A socket as systemd's, sd_notify(3)."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(path))
        made.settimeout(TOLD_SECONDS)
        yield made


def wait_told(told: socket.socket, words: str, files: Files) -> None:
    """Return when the service tells `words`. Raises RuntimeError where it tells that it stops, or nothing."""
    with contextlib.suppress(TimeoutError):
        while words not in (said := told.recv(64 * 1024).decode()):
            if "not everybody got in" in said:
                break
        else:
            return
    raise RuntimeError(f"the service did not tell {words}: {(files.folder / 'up.log').read_text()[-2000:]}")
