"""Memory of an idle hub, beside livekit-server started by hand."""

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.result import Result
from bench.server import make_files, run_server, stock_candidate
from bench.stock import build_stock
from tests.kit.hub import make_hub

# Start-up leaves garbage; by then the runtime has given back what it will.
SETTLE_SECONDS = 10
MIB = 2**20


@dataclass(frozen=True)
class Weight:
    """Mebibytes of a process, or of several. `pss`: with shared pages divided among those who share them."""

    process: str
    rss: float
    pss: float


def measure(settle: int = SETTLE_SECONDS) -> Result:
    """Every process of a hub, `settle` seconds after it was up and verified."""
    with make_hub() as hub:
        hub.up()
        time.sleep(settle)
        pids = {**hub.pids(), "supervisor": hub.supervisor_pid()}
        weights = [weigh(name, pid) for name, pid in pids.items()]
    total = Weight("whole hub", sum(each.rss for each in weights), sum(each.pss for each in weights))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files() as files:
        stock = stock_candidate(build_stock(Path(folder)))
        with run_server(stock, files) as process:
            time.sleep(settle)
            weights += [total, weigh("livekit-server alone", process.pid)]
    return Result(
        "memory",
        f"Resident memory, and the same with shared pages divided among those who share them (PSS), {settle} s after "
        "start and verification. Nobody is in a call.",
        [asdict(each) for each in weights],
        ("process", "RSS", "PSS"),
        [[each.process, f"{each.rss:.0f} MiB", f"{each.pss:.0f} MiB"] for each in weights],
    )


def weigh(name: str, pid: int) -> Weight:
    """One process, now."""
    memory = psutil.Process(pid).memory_full_info()
    return Weight(name, memory.rss / MIB, memory.pss / MIB)
