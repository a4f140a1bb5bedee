"""How long a client takes to join through the edge, beside media's own port and stock Caddy in front of it."""

from collections.abc import Sequence
from functools import partial

from bench.edge import run_caddy
from bench.join import AUDIO, QUANTILES
from bench.load import run_load
from bench.result import Result
from bench.rounds import Run, alternate
from bench.server import Files
from bench.stats import quantile
from tests.kit.hub import free_ports, make_hub
from tests.kit.links import root_of

JOINS = 40

# One at a time: more would measure how they queue for this machine's cores.
LOAD = (*AUDIO, "--subscribers", str(JOINS - 1), "--joins-at-once", "1")


def measure(engine: str, rounds: int) -> Result:
    """`rounds` loads by each route into one hub, in turn."""
    with make_hub() as hub:
        hub.write_spec(hub.tls_lines, reach="lan")
        hub.up("--no-verify")
        environ, port = hub.env(), free_ports()["https"]
        # Behind an edge media's own port is on loopback, so the other routes use loopback as well.
        urls = {
            "direct (ws)": f"ws://127.0.0.1:{hub.ports['signal']}",
            "Caddy (wss)": f"wss://127.0.0.1:{port}",
            "lkhub edge (wss)": f"wss://127.0.0.1:{hub.ports['https']}",
        }
        load = (*LOAD, "--ca-file", str(root_of(hub)))
        measures = {name: partial(run_load, engine, load, environ | {"LIVEKIT_URL": url}) for name, url in urls.items()}
        with run_caddy(Files(hub, environ), port=port):
            runs = alternate(rounds + 1, measures, QUANTILES)[len(urls) :]  # in the first round all caches are cold
    return Result(
        "join-edge",
        f"{rounds * JOINS} joins by each route into one hub (`reach: lan`, `tls.mode: internal`), one at a time, in "
        f"{rounds} alternating runs: milliseconds from the dial until ICE and DTLS are connected, server and clients "
        "on the same cores. Medians and 99th percentiles of all joins; ratios are to the direct route.",
        runs,
        ("route", "p50 ms", "ratio", "p99 ms", "ratio"),
        draw(runs, list(urls)),
    )


def draw(runs: list[Run], ways: Sequence[str]) -> list[list[str]]:
    """A row for each route; ratios are to the first."""
    base, rows = pool(runs, ways[0]), []
    for name in ways:
        row = [name]
        for value, direct in zip(pool(runs, name), base, strict=True):
            row += [f"{value:.1f}", f"{value / direct:.2f}"]
        rows.append(row)
    return rows


def pool(runs: list[Run], name: str) -> tuple[float, float]:
    """Median and 99th percentile of all joins by one route, milliseconds."""
    joins = [join for run in runs if run["server"] == name for join in run["joins_ms"]]
    return quantile(joins, 0.5), quantile(joins, 0.99)
