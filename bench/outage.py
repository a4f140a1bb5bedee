"""How soon everybody is back in a full room when a process dies, beside livekit-server and Caddy restarted at once."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from bench.front import run_caddy
from bench.result import Result
from bench.rounds import Run, alternate, names, values
from bench.server import Files, make_files, run_server, stock_candidate
from bench.stats import spread
from bench.stock import build_stock
from tests.kit.hub import Hub, make_hub
from tests.kit.links import root_of

PEOPLE, SPEAKERS, PROCESSES = 60, 12, 6

# The room is full within half a minute on two quiet cores.
JOIN_SECONDS = 180.0
SETTLE_SECONDS = 3.0

# Clients give up after ten attempts.
BACK_SECONDS = 60.0

Kill = Callable[[], None]


def measure(rounds: int) -> Result:
    """`rounds` deaths of each, in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files(tls=True) as files, make_hub() as hub:
        hub.write_spec(hub.tls_lines)
        program = build_stock(Path(folder))
        measures = {
            f"{whose}, {what}": partial(time_outage, start, what)
            for whose, start in (("lkhub", partial(run_hub, hub)), ("stock", partial(run_stock, program, files)))
            for what in ("media", "edge")
        }
        runs = alternate(rounds, measures, ("last_s", "median_s", "anew"))
    return Result(
        "outage",
        f"{PEOPLE} participants of the Python SDK in {PROCESSES} processes on the server's own cores, {SPEAKERS} of "
        f"them speaking, through TLS. One process is killed (SIGKILL) and started again at once: seconds until "
        f"the last of them is connected and hears somebody again, and until half of them do; how many joined anew. "
        f"{rounds} deaths of each, in turn: median (lowest–highest). Stock is livekit-server behind Caddy.",
        runs,
        ("what dies", "last", "half", "joined anew"),
        draw(runs),
    )


def draw(runs: list[Run]) -> list[list[str]]:
    """A row for each process that dies."""
    return [
        [
            name,
            f"{spread(values(runs, name, 'last_s'))} s",
            f"{spread(values(runs, name, 'median_s'))} s",
            spread(values(runs, name, "anew"), 0),
        ]
        for name in names(runs)
    ]


def time_outage(start: Callable[[], AbstractContextManager[tuple["Place", Mapping[str, Kill]]]], what: str) -> Run:
    """Fill a room, kill `media` or `edge`, and wait for everybody."""
    with start() as (place, kill), gather(place) as crowd:
        crowd.wait(lambda diary: diary.heard > 0, JOIN_SECONDS)
        time.sleep(SETTLE_SECONDS)
        began = crowd.turn_over()
        kill[what]()
        crowd.wait(lambda diary: diary.heard > diary.reconnected > 0, BACK_SECONDS)
        back = sorted(diary.heard - began for diary in crowd.diaries.values())
        anew = sum(diary.anew for diary in crowd.diaries.values())
    return {"last_s": round(back[-1], 2), "median_s": round(back[len(back) // 2], 2), "anew": anew}


@dataclass(frozen=True)
class Place:
    """Where people meet: LIVEKIT_URL with its keys, and the root that certifies it."""

    environ: Mapping[str, str]
    root: Path


@contextmanager
def run_hub(hub: Hub) -> Iterator[tuple[Place, Mapping[str, Kill]]]:
    """A hub that is up; its supervisor starts again what is killed."""
    hub.up("--no-verify")
    try:
        yield Place(hub.env(), root_of(hub)), {name: partial(_kill, pid) for name, pid in hub.pids().items()}
    finally:
        hub.run("down", "--now")


@contextmanager
def run_stock(program: str, files: Files) -> Iterator[tuple[Place, Mapping[str, Kill]]]:
    """livekit-server and Caddy with the same configuration, certificate and ports."""
    with ExitStack() as stack:

        def start_media() -> psutil.Popen:
            return stack.enter_context(run_server(stock_candidate(program), files))

        def start_edge() -> psutil.Popen:
            return stack.enter_context(run_caddy(files))

        def replace(process: psutil.Popen, again: Callable[[], psutil.Popen]) -> None:
            process.kill()
            process.wait()
            again()

        media, edge = start_media(), start_edge()
        root = files.hub.state / "ca/root.crt"
        kill = {"media": partial(replace, media, start_media), "edge": partial(replace, edge, start_edge)}
        yield Place(files.environ, root), kill


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@dataclass
class Diary:
    """When a participant last heard somebody and was last connected again (0: not yet), and whether as another one."""

    heard: float = 0.0
    reconnected: float = 0.0
    anew: bool = False


@dataclass
class Crowd:
    """Everybody in the room."""

    diaries: dict[str, Diary]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def follow(self, lines: Iterator[str]) -> None:
        """Read what one process tells of its people, to its end."""
        for line in lines:
            event = json.loads(line)
            with self.lock:
                diary = self.diaries[event["identity"]]
                diary.anew = event["anew"]
                if event["what"] == "heard":
                    diary.heard = event["at"]
                elif event["what"] == "reconnected":
                    diary.reconnected = event["at"]

    def turn_over(self) -> float:
        """Forget what was until now, which is returned."""
        with self.lock:
            for identity in self.diaries:
                self.diaries[identity] = Diary()
            return time.monotonic()

    def wait(self, well: Callable[[Diary], bool], seconds: float) -> None:
        """Return when all are well; RuntimeError where they aren't in time."""
        deadline = time.monotonic() + seconds
        while True:
            with self.lock:
                missing = [identity for identity, diary in self.diaries.items() if not well(diary)]
            if not missing:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"after {seconds:.0f} s {len(missing)} of {len(self.diaries)} are missing: {missing[:5]}"
                )
            time.sleep(0.01)


@contextmanager
def gather(place: Place) -> Iterator[Crowd]:
    """People who join a room, in processes of their own, until the block ends."""
    identities = [f"p{number:02}" for number in range(PEOPLE)]
    crowd = Crowd({identity: Diary() for identity in identities})
    environ = {**os.environ, "SSL_CERT_FILE": str(place.root)}
    processes = []
    try:
        for part in range(PROCESSES):
            pipe = subprocess.PIPE
            command = [sys.executable, "-m", "bench.people"]
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, stderr=quiet, text=True)
            processes.append(process)
            assert process.stdin
            assert process.stdout
            speakers = identities[:SPEAKERS]
            people = [{"identity": who, "speaks": who in speakers} for who in identities[part::PROCESSES]]
            given = {"url": place.environ["LIVEKIT_URL"], "room": "full", "people": people}
            process.stdin.write(json.dumps(given | {"key": place.environ["LIVEKIT_API_KEY"]}) + "\n")
            process.stdin.write(place.environ["LIVEKIT_API_SECRET"] + "\n")
            process.stdin.flush()
            threading.Thread(target=crowd.follow, args=(process.stdout,), daemon=True).start()
        yield crowd
    finally:
        for process in processes:
            process.kill()
            process.wait()
