"""How long it takes until all participants of a full room are back when a process dies, beside livekit-server and Caddy
restarted at once."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import psutil
from livekit import api

from bench.edge import run_caddy
from bench.result import Result
from bench.rounds import Run, alternate, names, values
from bench.server import Files, make_files, run_server, stock_candidate
from bench.stats import spread
from bench.stock import build_stock
from tests.kit.hub import Hub, make_hub
from tests.kit.links import root_of

PEOPLE, SHOWING, PROCESSES = 60, 12, 6

# All participants come from one address here, which may hold only a part of the relay's ports.
RELAY_PORTS = 2_000

# The resolution with which the return of signalling is measured.
TELL_SECONDS = 0.25

ROOM = "full"

# The room is full within half a minute on two quiet cores.
JOIN_SECONDS = 180.0
SETTLE_SECONDS = 3.0

# Clients give up after ten attempts.
BACK_SECONDS = 60.0

Kill = Callable[[], None]


def measure(rounds: int) -> Result:
    """`rounds` deaths of each process, in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files(tls=True) as files, make_hub() as hub:
        hub.relay_ports = RELAY_PORTS
        hub.write_spec(hub.tls_lines)
        program = build_stock(Path(folder))
        measures = {
            f"{whose}, {what}": partial(time_outage, start, what)
            for whose, start in (("lkhub", partial(run_hub, hub)), ("stock", partial(run_stock, program, files)))
            for what in ("media", "edge")
        }
        runs = alternate(rounds, measures, ("last_s", "median_s", "anew", "missing"))
    return Result(
        "outage",
        f"{PEOPLE} participants of the Python SDK in {PROCESSES} processes on the server's own cores, {SHOWING} of "
        f"them showing small pictures to all, through TLS; each process in its own session. One server process "
        f"is killed (SIGKILL) and started again at once: seconds until the last participant has signalling and sees "
        f"another one again, and until half of them do; how many joined anew; how many are not back after "
        f"{BACK_SECONDS:.0f} s. {rounds} deaths of each, in turn: median (lowest–highest). Stock is livekit-server "
        f"behind Caddy.",
        runs,
        ("what dies", "last", "half", "joined anew", "never back"),
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
            spread(values(runs, name, "missing"), 0),
        ]
        for name in names(runs)
    ]


def time_outage(start: Callable[[], AbstractContextManager[tuple["Place", Mapping[str, Kill]]]], what: str) -> Run:
    """Fill a room, kill `media` or `edge`, and wait for all participants."""
    with start() as (place, kill), gather(place) as crowd, tell_all(place):
        missing = crowd.wait(lambda diary: diary.seen > 0, JOIN_SECONDS)
        if missing:
            raise RuntimeError(f"after {JOIN_SECONDS:.0f} s {missing} of {PEOPLE} have seen nobody")
        time.sleep(SETTLE_SECONDS)
        began = crowd.turn_over()
        kill[what]()
        missing = crowd.wait(lambda diary: diary.seen > 0 and diary.reconnected > 0, BACK_SECONDS)
        back = sorted(diary.seen - began if diary.seen else BACK_SECONDS for diary in crowd.diaries.values())
        anew = sum(diary.anew for diary in crowd.diaries.values())
    return {
        "last_s": round(back[-1], 2),
        "median_s": round(back[len(back) // 2], 2),
        "anew": anew,
        "missing": missing,
    }


@dataclass(frozen=True)
class Place:
    """The server of a room: LIVEKIT_URL with its keys, the root that certifies it, and media's own address."""

    environ: Mapping[str, str]
    root: Path
    media: str


@contextmanager
def run_hub(hub: Hub) -> Iterator[tuple[Place, Mapping[str, Kill]]]:
    """A hub that is up; its supervisor restarts killed processes."""
    hub.up("--no-verify")
    try:
        yield (
            Place(hub.env(), root_of(hub), media_of(hub)),
            {name: partial(_kill, pid) for name, pid in hub.pids().items()},
        )
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
        yield Place(files.environ, root, media_of(files.hub)), kill


def media_of(hub: Hub) -> str:
    """Media's own address on loopback, which does not depend on the edge."""
    return f"http://127.0.0.1:{hub.ports['signal']}"


@contextmanager
def tell_all(place: Place) -> Iterator[None]:
    """Set the room's metadata to the current time, again and again, until the block ends: a participant that reads a
    new value has a signalling connection. The requests to RoomService bypass the edge."""
    over = threading.Event()

    async def tell() -> None:
        key, secret = place.environ["LIVEKIT_API_KEY"], place.environ["LIVEKIT_API_SECRET"]
        async with api.LiveKitAPI(place.media, key, secret) as livekit:
            while not over.is_set():
                # It fails while media is down, and then until a participant has opened the room again.
                with suppress(api.TwirpError, aiohttp.ClientError):
                    now = str(time.monotonic())
                    await livekit.room.update_room_metadata(api.UpdateRoomMetadataRequest(room=ROOM, metadata=now))
                await asyncio.sleep(TELL_SECONDS)

    thread = threading.Thread(target=lambda: asyncio.run(tell()))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@dataclass
class Diary:
    """When a participant received metadata and saw another participant again, and when its SDK reported that it is
    connected (0: not yet), and whether this is a new session."""

    told: float = 0.0
    seen: float = 0.0
    reconnected: float = 0.0
    anew: bool = False

    def add(self, what: str, at: float) -> None:
        """Process one line of `bench.people`."""
        if what == "told":
            self.told = at
        elif what == "seen":
            self.seen = self.seen or (at if self.told else 0.0)
        elif what == "reconnected":
            self.reconnected = at
        else:
            self.told = self.seen = 0.0
            self.anew = self.anew or what == "anew"


@dataclass
class Crowd:
    """All participants of the room."""

    diaries: dict[str, Diary]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def follow(self, lines: Iterator[str]) -> None:
        """Read the lines of one process about its participants, until it ends."""
        for line in lines:
            event = json.loads(line)
            with self.lock:
                self.diaries[event["identity"]].add(event["what"], event["at"])

    def turn_over(self) -> float:
        """Reset the state and return the old one."""
        with self.lock:
            for identity in self.diaries:
                self.diaries[identity] = Diary()
            return time.monotonic()

    def wait(self, well: Callable[[Diary], bool], seconds: float) -> int:
        """Wait until all participants are well or the time is over, and return how many are not."""
        deadline = time.monotonic() + seconds
        while True:
            with self.lock:
                missing = sum(not well(diary) for diary in self.diaries.values())
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(0.01)


@contextmanager
def gather(place: Place) -> Iterator[Crowd]:
    """Participants of a room, in separate processes, until the block ends."""
    identities = [f"p{number:02}" for number in range(PEOPLE)]
    # In turn, so that a subscriber soon sees a picture.
    shows = {who: number / SHOWING for number, who in enumerate(identities[:SHOWING])}
    crowd = Crowd({identity: Diary() for identity in identities})
    # At each connection the SDK reads all roots of the machine, a file each, and runs lsb_release, a shell script, to
    # identify the machine. That took a quarter of the clients' CPU time, on cores that the server shares here.
    environ = {**os.environ, "SSL_CERT_FILE": str(place.root), "SSL_CERT_DIR": str(place.root.parent), "PATH": ""}
    processes = []
    try:
        for part in range(PROCESSES):
            pipe = subprocess.PIPE
            command = [sys.executable, "-m", "bench.people"]
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(
                command, env=environ, stdin=pipe, stdout=pipe, stderr=quiet, text=True, start_new_session=True
            )
            processes.append(process)
            assert process.stdin
            assert process.stdout
            people = [{"identity": who, "shows": shows.get(who)} for who in identities[part::PROCESSES]]
            given = {"url": place.environ["LIVEKIT_URL"], "room": ROOM, "people": people}
            process.stdin.write(json.dumps(given | {"key": place.environ["LIVEKIT_API_KEY"]}) + "\n")
            process.stdin.write(place.environ["LIVEKIT_API_SECRET"] + "\n")
            process.stdin.flush()
            threading.Thread(target=crowd.follow, args=(process.stdout,), daemon=True).start()
        yield crowd
    finally:
        for process in processes:
            process.kill()
            process.wait()
