"""Cycles of random failures: `python -m tests.kit.luck --cycles 200 --seed 1`. One hub is started, changed, changed
with errors, loses one or two of its processes to `kill -9`, is started again and stopped. The seed chooses the steps,
and a call runs in most cycles. After each step all invariants are checked: no process is left over or without a record,
no foreign process is killed, the keys stay, and no step interrupts a call unless docs/concepts/processes.md says so.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import psutil
from anyio.to_thread import run_sync

from lkhub.host.control import ask
from lkhub.host.keyfile import load_keys
from lkhub.host.processes import identify, is_alive, send_signal, start
from lkhub.hub.gather import read_status
from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.plan.paths import StatePaths
from lkhub.wire.control import StatusRequest
from tests.kit.hub import Hub, make_hub
from tests.kit.people import Person
from tests.kit.ports import free_port
from tests.kit.signals import Signals, noting_signals
from tests.waiting import until

# The time for a client to come back when a process is started again at once.
BACK_SECONDS = 40.0


@dataclass
class Call:
    """Ann, who speaks, and Bob, who hears her, with every interruption that either of them has noticed."""

    ann: Person
    bob: Person
    cuts: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def watch(self) -> None:
        for person in (self.ann, self.bob):
            person.room.on("reconnecting", lambda *_: self.cuts.append(time.monotonic()))
            person.room.on("disconnected", lambda *_: self.ended.append(time.monotonic()))


class Luck:
    """One hub and its random steps. `say` is called for every step; `signals` has the signals that processes got."""

    def __init__(self, hub: Hub, seed: int, signals: Signals) -> None:
        self.hub = hub
        self.signals = signals
        self.random = random.Random(seed)
        self.call: Call | None = None
        self.keys = ""
        self.stranger: subprocess.Popen[bytes] | None = None
        self.base: dict[str, Any] = {}
        self.steps: list[str] = []
        self.counts: dict[str, int] = {}
        self.media_gone = 0.0
        self.waits = False
        self.tcp = free_port()

    def say(self, text: str) -> None:
        self.steps.append(text)
        kind = text.partition(":")[0]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    # --- one cycle

    async def cycle(self, number: int) -> None:
        self.base = {"tls": self.random.random() < 0.4, "people": 100, "web": self.hub.ports["web"]}
        self.write()
        self.say(f"cycle: {number} {'with' if self.base['tls'] else 'without'} TLS")
        await self.up()
        await self.check()
        if self.random.random() < 0.75:
            await self.start_call()
        await self.change()
        await self.change_in_vain()
        await self.kill()
        await self.up()
        await self.check()
        await self.expect_call()
        await self.down()

    def write(self, **changes: Any) -> None:
        wanted = {**self.base, **changes}
        ports: dict[str, int] = {name: int(wanted[name]) for name in ("web", "https") if name in wanted}
        hub = replace(self.hub, ports={**self.hub.ports, **ports})
        more = f"livekit: {{room: {{max_participants: {wanted['people']}}}}}\n"
        hub.write_spec((hub.tls_lines if wanted["tls"] else "") + more, reach="lan" if wanted["tls"] else "local")
        # A separate port: otherwise media with `reach: lan` uses 7881, which another hub may have.
        text = self.hub.spec.read_text()
        self.hub.spec.write_text(text.replace("media: {", f"media: {{tcp: {self.tcp}, "))

    async def status(self) -> dict[str, Any]:
        """The document of `lkhub status --json`, without starting a command."""
        return await run_sync(lambda: read_status(self.paths).as_json())

    @property
    def paths(self) -> StatePaths:
        return StatePaths(str(self.hub.state))

    # --- steps

    async def up(self, *options: str, fails: bool = False) -> str:
        done = await run_sync(lambda: self.hub.run("up", "--detach", "--no-verify", *options))
        self.say(f"up: {' '.join(options) or 'plain'} exits {done.returncode}")
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr

    async def change(self) -> None:
        """A change that is accepted: applied at once if it interrupts no call, otherwise when nobody is in a call, or
        with `--now`."""
        kind = self.random.choice(["serve", "media", "media", "media now", "back and forth", "none"])
        before = await self.pids()
        if kind == "serve":
            self.base["web"] = free_port()
        elif kind != "none":
            self.base["people"] += 1
        self.write()
        self.say(f"change: {kind}")
        with self.cut_allowed(kind == "media now"):
            said = await self.up(*(["--now"] if kind == "media now" else []))
            if kind == "back and forth":
                # The newest change wins; a change that was pending before must not be applied after it.
                self.base["people"] -= 1
                self.write()
                await self.up()
            await self.check()
        after = await self.pids()
        if self.call and kind in ("serve", "media", "back and forth", "none"):
            assert after["media"] == before["media"], "media was restarted under a call"
        self.waits = self.call is not None and kind == "media"
        assert ("pending" in said) == self.waits or kind == "back and forth", said

    async def change_in_vain(self) -> None:
        """A change that is refused: by a fault of the spec, or by a port that another program has."""
        kinds = ["spec", "web", *(["https"] if self.base["tls"] else [])]
        kind = self.random.choice(kinds)
        before = await self.pids()
        self.say(f"refused: {kind}")
        with closing(socket.create_server(("", 0))) as holder:
            port = holder.getsockname()[1]
            if kind == "spec":
                self.hub.spec.write_text("reach: local\nmedai: {}\n")
            elif kind == "web":
                self.write(web=port)
            else:
                self.write(https=port)
            with self.cut_allowed(False):
                # A pending change has not been tried yet. Another TLS port also restarts media.
                waits = self.waits or (kind == "https" and self.call is not None)
                await self.up(fails=kind == "spec" or not waits)
                await self.check()
        self.write()
        after = await self.pids()
        kept = set(before) - ({"serve"} if kind == "web" else set())
        # A change may be refused while another one is pending; the pending one is either applied or dropped, never
        # both.
        assert {name: after[name] for name in kept if name != "media"} == {
            name: before[name] for name in kept if name != "media"
        }
        if self.call:
            assert after["media"] == before["media"]

    async def kill(self) -> None:
        """`kill -9` of one or two processes, sometimes while an `up` runs."""
        pids = {**await self.pids(), "supervisor": await run_sync(self.find_supervisor)}
        names = self.random.sample(sorted(pids), self.random.choice([1, 2]))
        busy = self.random.random() < 0.3
        # Identify the processes now: at the time of the kill, the pid of an ended one may belong to another program.
        chosen = {name: identify(pids[name]) for name in names}
        shown = " and ".join(f"{name} (pid {pids[name]})" for name in names)
        self.say(f"kill: {shown}{' during up' if busy else ''}")
        with self.cut_allowed("media" in names):
            beside = None
            if busy:
                beside = self.hub.start("up", "--detach", "--no-verify")
                await anyio.sleep(self.random.random())
            for name in names:
                process = chosen[name]
                if process is not None and is_alive(process):
                    send_signal(process, signal.SIGKILL)
                else:
                    self.say(f"gone: {name} was another one by then")
            if "media" in names:
                self.media_gone = time.monotonic()
            if beside:
                await run_sync(beside.communicate)
            if "supervisor" not in names:
                await self.settle()

    async def settle(self) -> None:
        """Wait until the supervisor has restarted the lost processes."""
        deadline = time.monotonic() + 60
        while True:
            status = await self.status()
            if status["hub"]["state"] in ("running", "unsupervised"):
                return
            assert time.monotonic() < deadline, status
            await anyio.sleep(0.2)

    async def down(self) -> None:
        how = self.random.choice(["people leave", "--now", "without a supervisor"])
        self.say(f"down: {how}")
        if how == "people leave" or self.call is None:
            await self.end_call()
        if how == "without a supervisor":
            await self.end_call()
            os.kill(await run_sync(self.find_supervisor), signal.SIGKILL)
        done = await run_sync(lambda: self.hub.run("down", *(["--now"] if how == "--now" else [])))
        assert done.returncode == 0, done.stderr
        await self.end_call()
        await until(lambda: not self.list_own(), f"the end of {self.list_own()}", 10)
        records = [path.name for path in (self.hub.state / "run").glob("*.json") if path.name != "router.json"]
        assert records == [], f"records of nobody: {records}"
        self.check_strangers()

    # --- the call

    async def start_call(self) -> None:
        url = f"ws://127.0.0.1:{self.hub.ports['signal']}"
        key, secret = next(iter(load_keys(self.paths.keys).items()))
        grant = join_grant("room")
        ann, bob = (Person(url, sign(Grant(who, grant, ttl_seconds=3600), key, secret)) for who in ("ann", "bob"))
        self.call = Call(ann, bob)
        await ann.join()
        await bob.join()
        self.call.watch()
        await ann.speak()
        await bob.wait_heard("ann")
        self.say("call: begins")

    async def expect_call(self) -> None:
        """Participants that were interrupted are back, or could not come back."""
        if self.call is None:
            return
        heard = len(self.call.bob.ear_of("ann").heard)
        try:
            await until(lambda: len(self.call.bob.ear_of("ann").heard) > heard + 20, "sound", BACK_SECONDS)  # type: ignore[union-attr]
            self.say("back: the call goes on")
        except AssertionError:
            assert self.call.ended, "the call is silent, and nobody was told"
            assert self.media_gone, "the call was ended by nothing"
            self.say("gave up: the clients, after media was gone for long")

    async def end_call(self) -> None:
        if self.call:
            await self.call.ann.leave()
            await self.call.bob.leave()
        self.call = None

    @contextmanager
    def cut_allowed(self, allowed: bool) -> Iterator[None]:
        """Whether the current step may interrupt the call."""
        before = (len(self.call.cuts), len(self.call.ended)) if self.call else (0, 0)
        yield
        after = (len(self.call.cuts), len(self.call.ended)) if self.call else (0, 0)
        if after != before:
            self.say(f"cut: {'as documented' if allowed else 'NOT ALLOWED'}")
        assert allowed or after == before, f"the call was cut: {self.steps[-6:]}"

    # --- what must hold

    async def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in (await self.status())["processes"]}

    def find_supervisor(self) -> int:
        return int(ask(self.paths.control, StatusRequest()).pid)

    async def check(self) -> None:
        await self.settle()
        status = await self.status()
        assert status["hub"]["state"] == "running", status
        names = {"media", "relay", "serve", *(["edge"] if self.base["tls"] else [])}
        assert {process["name"] for process in status["processes"]} == names
        # A process that was killed a moment ago may have been replaced since the status.
        await until(lambda: self.find_differences() == [], f"the records; {self.find_differences()}", 20)
        await until(lambda: not self.find_strays(), f"the end of {self.find_strays()}", 20)
        keys = Path(self.paths.keys).read_text()
        self.keys = self.keys or keys
        assert keys == self.keys, "the keys are others"
        if self.stranger is None:
            argv = ["tail", "-f", self.paths.render("livekit.yaml"), self.paths.keys]
            self.stranger = start(argv, os.devnull, os.environ)
        self.check_strangers()

    def find_strays(self) -> set[int]:
        """Processes of this hub that are unknown to its supervisor."""
        status = ask(self.paths.control, StatusRequest())
        return {each.pid for each in self.list_own()} - {each.pid for each in status.processes} - {status.pid}

    def find_differences(self) -> list[str]:
        """Running processes without a record, or with a wrong one."""
        found = []
        for process in ask(self.paths.control, StatusRequest()).processes:
            try:
                record = json.loads(Path(self.paths.record(process.name)).read_text())
            except OSError:
                record = {"process": {"pid": None}}
            if record["process"]["pid"] != process.pid:
                found.append(f"{process.name}: {process.pid} runs, {record['process']['pid']} is on record")
        return found

    def check_strangers(self) -> None:
        if self.stranger is not None and (code := self.stranger.poll()) is not None:
            signals = self.signals.describe(self.stranger.pid)
            raise AssertionError(f"somebody else's process has ended with {code}: {signals}; {self.steps[-6:]}")

    def check_other(self, other: Hub, before: dict[str, int]) -> None:
        """Another hub on this machine is unchanged."""
        after = other.pids()
        gone = {name: pid for name, pid in before.items() if after.get(name) != pid}
        if gone:
            told = [f"{name}: {self.signals.describe(pid)}\n{other.log(name)[-2000:]}" for name, pid in gone.items()]
            found = "\n".join([f"another hub's processes were {before} and are {after}", *told, other.log("hub")])
            raise AssertionError(f"{found}\nafter {self.steps[-12:]}")

    def list_own(self) -> list[psutil.Process]:
        """Every process that was started with this hub's state directory, including short commands."""
        wanted, found = f"LKHUB_STATE={self.hub.state}".encode(), []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if wanted in path.read_bytes().split(b"\0"):
                    process = psutil.Process(int(path.parent.name))
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
            except (OSError, psutil.Error):
                continue
        return found


async def try_luck(cycles: int, seed: int) -> dict[str, int]:
    """Run the cycles and return how often each step happened. Raises AssertionError if an invariant is broken."""
    with noting_signals() as signals, make_hub() as other, make_hub() as hub:
        await run_sync(lambda: other.up("--no-verify"))
        beside = await run_sync(other.pids)
        luck = Luck(hub, seed, signals)
        try:
            for number in range(1, cycles + 1):
                await luck.cycle(number)
                await run_sync(luck.check_other, other, beside)
        finally:
            await luck.end_call()
            if luck.stranger:
                luck.stranger.kill()
                luck.stranger.wait()
        return luck.counts


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    print(asyncio.run(try_luck(given.cycles, given.seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
