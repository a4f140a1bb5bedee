"""How many of LiveKit's webhooks a hub takes in."""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import psutil

from bench.process import SERVER_CPU
from bench.result import Result
from bench.stats import median
from bench.wrk import CONNECTIONS, Run, load, require_wrk
from lkhub.livekit.webhooks import sign
from lkhub.secret import Secret
from tests.kit.hub import make_hub
from tests.kit.ports import free_port
from tests.kit.postgres import run_postgres

# More than are sent in one run: an event that comes twice is not stored twice.
EVENTS = 60_000
ROOMS = 100


def measure(rounds: int, seconds: int) -> Result:
    """SQLite and PostgreSQL in turn, on one core."""
    require_wrk()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stores = {"SQLite": "", "PostgreSQL": stack.enter_context(run_postgres()).create()}
        hubs = {name: stack.enter_context(_run_hub(store)) for name, store in stores.items()}
        runs = [_load(name, *hubs[name], folder, seconds) for _ in range(rounds) for name in stores]
    rows = []
    for name in stores:
        own = [run for run in runs if run.target == name]
        figures = [median([getattr(run, each) for run in own]) for each in ("per_second", "p50_ms", "p99_ms")]
        errors = str(sum(run.errors for run in own))
        rows.append((name, f"{figures[0]:,.0f}", f"{figures[1]:.1f} ms", f"{figures[2]:.1f} ms", errors))
    return Result(
        "webhook",
        f"Webhooks per second that one core takes in: {CONNECTIONS} connections that are kept, events of {ROOMS} "
        f"rooms; {rounds} runs of {seconds} s each, in turn. The signature of each is checked, and the event and its "
        "delivery to one receiver are on the disk before the answer. Medians.",
        [asdict(run) for run in runs],
        ("store", "events/s", "p50", "p99", "errors"),
        rows,
    )


@contextmanager
def _run_hub(store: str) -> Iterator[tuple[str, str, Secret]]:
    """A hub with a receiver that never answers: its endpoint, and its key."""
    with make_hub() as hub:
        receiver = f"webhooks: [{{url: 'http://127.0.0.1:{free_port()}/', allow_private: true}}]\n"
        hub.write_spec(receiver + (f"store: {json.dumps(store.replace('+psycopg', ''))}\n" if store else ""))
        hub.up("--no-verify")
        for thread in psutil.Process(hub.pids()["serve"]).threads():
            os.sched_setaffinity(thread.id, {SERVER_CPU})
        variables = hub.env()
        key = variables["LIVEKIT_API_KEY"], Secret(variables["LIVEKIT_API_SECRET"])
        yield f"http://127.0.0.1:{hub.ports['web']}/api/webhooks/livekit", *key


def _load(name: str, url: str, key: str, secret: Secret, folder: Path, seconds: int) -> Run:
    signed = folder / "events"
    signed.write_text("".join(_sign_events(key, secret)))
    run = load(name, url, "webhooks/load.lua", seconds, str(signed))
    if run.requests > EVENTS:
        raise SystemExit(f"{name}: events came twice; send more than {EVENTS:,}, or for less time")
    return run


def _sign_events(key: str, secret: Secret) -> Iterator[str]:
    now, run = time.time(), secrets.token_hex(4)
    for number in range(EVENTS):
        room = {"sid": f"RM_{run}_{number % ROOMS}", "name": f"room-{number % ROOMS}"}
        person = {"sid": f"PA_{run}_{number}", "identity": f"person-{number}", "state": "ACTIVE"}
        event = {"event": "participant_joined", "id": f"EV_{run}_{number}", "createdAt": str(int(now))}
        body = json.dumps({**event, "room": room, "participant": person})
        yield f"{sign(body.encode(), key, secret, now)} {body}\n"
