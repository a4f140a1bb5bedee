"""CPU per packet of the hub's relay, over UDP and over TLS, beside coturn and livekit-server's own TURN server."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from bench.load import run_load
from bench.process import LOAD_CPU, SERVER_CPU
from bench.result import Result
from bench.rounds import Run, alternate, names, values
from bench.server import Files, make_files
from bench.stats import median, spread
from bench.stock import build_stock
from bench.turn import Turn, run_coturn, run_livekit, run_own
from tests.kit.links import root_of

ALLOCATIONS, PACKETS, BYTES = 8, 6000, 1200


def measure(engine: str, rounds: int, seconds: int) -> Result:
    """`rounds` alternating runs of `seconds` each, over UDP and over TLS."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files(tls=True) as files:
        stock = build_stock(Path(folder))
        servers = {
            "coturn": partial(run_coturn, files),
            "livekit-server": partial(run_livekit, stock, files),
            "lkhub": partial(run_own, engine, files),
        }
        measures = {
            f"{name} over {way}": partial(measure_once, run, way, files, engine, seconds)
            for way in ("UDP", "TLS")
            for name, run in servers.items()
        }
        runs = alternate(rounds, measures, ("packets_per_s", "loss", "us_per_packet"))
    return Result(
        "relay",
        f"{ALLOCATIONS} allocations, {PACKETS:,} packets of {BYTES} bytes a second from clients to a peer that sends "
        f"each back, {rounds} alternating runs of {seconds} s, the server on one core, clients and peer on the other. "
        "A packet there and back is two. CPU is the server's, user and system; over TLS lkhub's is the edge. Medians, "
        "with the lowest and the highest run; ratios are to coturn.",
        runs,
        ("server", "µs CPU per relayed packet", "ratio", "packets/s", "loss", "round trip p50", "p99"),
        draw(runs),
    )


def measure_once(
    run: Callable[[int], AbstractContextManager[Turn]], way: str, files: Files, engine: str, seconds: int
) -> Run:
    """One run: the load's report with `packets_per_s` and `us_per_packet`, both ways."""
    with run(SERVER_CPU) as turn:
        urls = {"UDP": f"turn:127.0.0.1:{turn.udp}?transport=udp", "TLS": f"turns:127.0.0.1:{turn.tls}?transport=tcp"}
        # The hub's relay reaches only media's port, so the peer uses that port.
        arguments = ["relay", "--server", urls[way], "--peer", f"127.0.0.1:{files.ports['udp']}"]
        arguments += ["--ca-file", str(root_of(files.hub)), "--allocations", str(ALLOCATIONS)]
        arguments += ["--rate", str(PACKETS), "--size", str(BYTES), "--duration", f"{seconds}s"]
        login = {"TURN_USERNAME": turn.username, "TURN_PASSWORD": turn.password}
        report = run_load(engine, arguments, login, turn.processes, LOAD_CPU)
    return {
        **report,
        "packets_per_s": round(report["packets_relayed"] / report["duration_s"]),
        "us_per_packet": round(report["cpu_s"] * 1e6 / report["packets_relayed"], 3),
    }


def draw(runs: list[Run]) -> list[list[str]]:
    """A row for each server and transport."""
    rows = []
    for name in names(runs):
        cost = values(runs, name, "us_per_packet")
        base = median(values(runs, f"coturn over {name[-3:]}", "us_per_packet"))
        rate = median(values(runs, name, "packets_per_s"))
        loss = f"{median(values(runs, name, 'loss')):.2%}"
        trip = [f"{median(values(runs, name, key)):.2f} ms" for key in ("round_trip_p50_ms", "round_trip_p99_ms")]
        rows.append([name, spread(cost), f"{median(cost) / base:.2f}", f"{rate:,.0f}", loss, *trip])
    return rows
