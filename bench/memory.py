"""Memory of an idle hub, beside the programs that a user would start by hand."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.edge import run_caddy
from bench.result import Result
from bench.server import Files, make_files, run_server, stock_candidate
from bench.stock import build_stock
from tests.kit.hub import Hub, make_hub

# Start-up leaves garbage; after this time the runtime has returned all that it will return.
SETTLE_SECONDS = 10

APPLICATION = """
access:
  modes: [open, api-keys]
  roles: {speaker: {publish: [microphone]}}
  default_role: speaker
rooms:
- {match: "voice-*", capacity: 16, overflow: subrooms}
webhooks:
- {url: "http://127.0.0.1:9/", allow_private: true}
"""
MIB = 2**20


@dataclass(frozen=True)
class Weight:
    """Mebibytes of a process, or of several. `pss`: with shared pages divided among the processes that share them."""

    process: str
    rss: float
    pss: float


def measure() -> Result:
    """A hub for this machine, beside livekit-server alone."""
    with make_hub() as hub:
        weights = weigh_hub(hub)
    with stock_server() as (process, _):
        time.sleep(SETTLE_SECONDS)
        weights.append(weigh("livekit-server alone", process.pid))
    return draw("memory", "", weights)


def measure_edge() -> Result:
    """A hub for its network, beside livekit-server with Caddy in front."""
    with make_hub() as hub:
        hub.write_spec(hub.tls_lines, reach="lan")
        weights = weigh_hub(hub)
    with stock_server(tls=True) as (process, files), run_caddy(files) as caddy:
        time.sleep(SETTLE_SECONDS)
        alone = [weigh("livekit-server alone", process.pid), weigh("Caddy alone", caddy.pid)]
    return draw("memory-edge", "A hub with an edge (`reach: lan`). ", [*weights, *alone, add("both alone", alone)])


def measure_application() -> Result:
    """A hub that does all that an application needs, beside one that does none of it."""
    with make_hub() as hub:
        plain = weigh_hub(hub)
    with make_hub() as hub:
        hub.write_spec(APPLICATION)
        full = weigh_hub(hub)
    weights = [*(Weight(f"{each.process}, without", each.rss, each.pss) for each in plain), *full]
    what = "A hub with API keys, roles, rooms with sub-rooms, a receiver of webhooks and a store, beside one without. "
    return draw("memory-application", what, weights)


@contextmanager
def stock_server(tls: bool = False) -> Iterator[tuple[psutil.Process, Files]]:
    """livekit-server started by hand, and the hub whose files it uses."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files(tls) as files:
        stock = stock_candidate(build_stock(Path(folder)))
        with run_server(stock, files) as process:
            yield process, files


def weigh_hub(hub: Hub) -> list[Weight]:
    """Every process of a hub, some time after it was up and verified, and the sum."""
    hub.up()
    time.sleep(SETTLE_SECONDS)
    pids = {**hub.pids(), "supervisor": hub.supervisor_pid()}
    weights = [weigh(name, pid) for name, pid in pids.items()]
    return [*weights, add("whole hub", weights)]


def weigh(name: str, pid: int) -> Weight:
    """One process, measured now."""
    memory = psutil.Process(pid).memory_full_info()
    return Weight(name, memory.rss / MIB, memory.pss / MIB)


def add(name: str, weights: Sequence[Weight]) -> Weight:
    return Weight(name, sum(each.rss for each in weights), sum(each.pss for each in weights))


def draw(name: str, what: str, weights: Sequence[Weight]) -> Result:
    return Result(
        name,
        f"{what}Resident memory, and the same with shared pages divided among the processes that share them (PSS), "
        f"{SETTLE_SECONDS} s after start and verification. Nobody is in a call.",
        [asdict(each) for each in weights],
        ("process", "RSS", "PSS"),
        [[each.process, f"{each.rss:.0f} MiB", f"{each.pss:.0f} MiB"] for each in weights],
    )
