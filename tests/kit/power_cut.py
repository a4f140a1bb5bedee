"""Power cuts: `python -m tests.kit.power_cut --cuts 100 --seed 1`. All processes of a hub are killed at once, and one
or two files of its state directory, or of its agent's folder, get damaged as by a lost write. Then `lkhub up` brings
the same hub back, or says which file it needs and what to type, and changes neither keys nor root without a word."""

import argparse
import contextlib
import os
import random
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from lkhub.errors import EXIT_MACHINE
from lkhub.host.keyfile import load_keys
from lkhub.plan.paths import StatePaths
from tests.kit.hub import CHOICES, Hub, make_hub
from tests.kit.ports import free_port
from tests.waiting import wait_until

SPEC = """
rooms: [{match: "voice-*", capacity: 16}]
access: {modes: [api-keys]}
webhooks: [{url: "http://127.0.0.1:9/hook", allow_private: true}]
agents: [{name: clock, project: clock, command: sh clock.sh, env: {WORD: a-word}}]
sites:
  - name: page
    root: page/dist
    port: PORT
    build: mkdir -p dist && echo "<title>page</title>$VITE_LIVEKIT_TOKEN" >dist/index.html
    env: {VITE_LIVEKIT_TOKEN: {token: {room: page, identity: visitor}}}
"""

# Any program is an agent. It notes in its HOME that it was here, as a program keeps something.
AGENT = """
date >"$HOME/started"
exec sleep 1000000
"""

# What the hub may report after a cut: a root or a store that is not there any more, as it says; that a receiver of
# webhooks which does not exist has not taken them; that this agent is no worker of LiveKit, and that it has no user of
# its own where the hub is not root.
TOLD = {"root-changed", "store-fails", "webhook-fails", "agent-not-registered", "agents-not-apart"}

# Files without which there is no hub with these keys: `lkhub up` says so, and starts nothing.
NEEDED = {"managed-keys.yaml"}

# The copy of an agent's project is synced before anything says that it is there (`AgentCopy.note_installed`), and is
# the agent's own to write in later: whether it is whole can't be told.
_UNUSED = re.compile(r"(logs/|run/lock$|run/router\.lock$)|.*/[0-9a-f]{16}/project/")


@dataclass(frozen=True)
class Damage:
    """`at` is the byte from which a file is lost; its length stays where it is filled with `zeros`. An empty file,
    which is there as a mark, is lost as a whole."""

    file: str
    at: int
    zeros: bool

    def do(self, state: Path) -> None:
        if not (state / self.file).stat().st_size:
            (state / self.file).unlink()
            return
        with open(state / self.file, "r+b") as file:
            length = file.seek(0, os.SEEK_END)
            file.truncate(self.at)
            if self.zeros:
                file.truncate(length)

    def __str__(self) -> str:
        return f"{self.file}: from byte {self.at} {'zeros' if self.zeros else 'cut off'}"


class PowerCuts:
    """A hub that has run, as it was when the power failed: `kept`, a copy of its state directory."""

    def __init__(self, hub: Hub, seed: int) -> None:
        self.hub = hub
        self.random = random.Random(seed)
        self.kept = hub.folder / "kept" / hub.state.name
        hub.folder.chmod(0o711)  # its agent's user goes through it
        for project in ("clock", "page"):
            (hub.folder / project).mkdir()
        (hub.folder / "clock/clock.sh").write_text(AGENT)
        self.port = free_port()
        hub.write_spec(hub.tls_lines + SPEC.replace("PORT", str(self.port)), reach="lan")
        text = hub.spec.read_text()
        hub.spec.write_text(text.replace("media: {", f"media: {{tcp: {free_port()}, "))
        hub.up("--no-verify")
        for command in (("access", "create", "app"), ("keys", "rotate")):
            done = hub.run(*command)
            assert done.returncode == 0, done.stderr
        # The files of the edge's authority are there once it has certificates.
        wait_until(lambda: next(hub.state.glob("caddy/certificates/*/*/*.json"), None), "a certificate")
        hub.up("--no-verify")  # builds the site with the new key
        wait_until(lambda: self._settle(TOLD)[0], "the agent, the site and no finding")
        self.kill()
        self._copy(hub.folder, self.kept.parent)
        self.keys, self.root = self.read("keys.yaml"), self.read("ca/root.crt")

    def read(self, file: str) -> bytes:
        return (self.hub.state / file).read_bytes()

    @property
    def _folders(self) -> tuple[str, ...]:
        """The state directory, and that of agents that are users of their own."""
        state = self.hub.state.name
        return (state, os.path.basename(StatePaths(state).agents_apart())) if os.geteuid() == 0 else (state,)

    def _copy(self, source: Path, target: Path) -> None:
        """Copy all that a hub keeps, with its owners."""
        target.mkdir(exist_ok=True)
        for name in self._folders:
            shutil.rmtree(target / name, ignore_errors=True)
            subprocess.run(["cp", "-a", source / name, target / name], check=True)
            for socket in (target / name).rglob("*.sock"):
                socket.unlink()

    def kill(self) -> None:
        """`kill -9` of all processes at once."""
        found = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in found:
            process.kill()
        _, alive = psutil.wait_procs(found, timeout=10)
        assert not alive, alive

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            ours = str(self.hub.state)
            words = (*process.cmdline(), process.cwd())
            return process.environ().get("LKHUB_STATE") == ours or any(ours in word for word in words)
        return False

    def list_files(self) -> list[str]:
        """What a cut may damage, by its path from the state directory."""
        files = (path for path in sorted(self.kept.parent.rglob("*")) if path.is_file() and not path.is_symlink())
        names = (os.path.relpath(path, self.kept) for path in files)
        return [name for name in names if not _UNUSED.match(name)]

    def choose(self, file: str) -> Damage:
        text = (self.kept / file).read_bytes()
        at = self.random.choice([0, self.random.randrange(len(text) or 1)])
        # A ring that ends after a whole line is a ring. It is written so that no cut can do this to it.
        if file in NEEDED and text[:at].endswith(b"\n"):
            at -= 1
        return Damage(file, at, self.random.random() < 0.5)

    def cut(self, damages: Sequence[Damage]) -> str:
        """The power fails, and the hub is started again. Returns what happened, in a line."""
        self.kill()
        self._copy(self.kept.parent, self.hub.folder)
        for damage in damages:
            damage.do(self.hub.state)
        shown = "; ".join(map(str, damages))
        done = self.hub.run("up", "--detach", "--no-verify")
        for word in ("this is a bug in lkhub", "Traceback"):
            assert word not in done.stderr, f"{shown}\n{done.stderr}"
        if done.returncode:
            self._check_refusal(damages, done.returncode, f"{shown}\n{done.stderr}")
            return f"{shown}: says what it needs"
        found = self._check_running(shown)
        return f"{shown}: runs{''.join(f', {code}' for code in sorted(found))}"

    def _settle(self, told: set[str]) -> tuple[bool, set[str]]:
        """Whether all runs, with no other findings than those `told`; and the findings."""
        status = self.hub.status()
        found = {finding["code"] for finding in status["findings"]} - CHOICES
        agent = next((each["pid"] for each in status["processes"] if each["name"] == "agent-clock"), None)
        well = status["hub"]["state"] == "running" and agent is not None and self._has_variables(agent)
        return well and found <= told and self._is_served(), found

    def _has_variables(self, agent: int) -> bool:
        """Whether the agent has the hub's key, and its own variable."""
        with contextlib.suppress(psutil.Error):
            got = psutil.Process(agent).environ()
            key, secret = next(iter(load_keys(str(self.hub.state / "keys.yaml")).items()))
            wanted = {"LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": secret.reveal(), "WORD": "a-word"}
            return wanted.items() <= got.items()
        return False

    def _is_served(self) -> bool:
        """Whether visitors get the site, with a token."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the root may be another one by now
        with contextlib.suppress(httpx.HTTPError):
            served = httpx.get(f"https://127.0.0.1:{self.port}/", verify=context, trust_env=False)
            return served.status_code == 200 and re.match(r"<title>page</title>ey.+", served.text) is not None
        return False

    def _check_refusal(self, damages: Sequence[Damage], code: int, said: str) -> None:
        needed = {damage.file for damage in damages} & NEEDED
        assert needed, said
        assert code == EXIT_MACHINE, said
        assert all(str(self.hub.state / file) in said for file in needed), said
        assert "`lkhub restore FILE --force`" in said, said

    def _check_running(self, shown: str) -> set[str]:
        assert self.read("keys.yaml") == self.keys, f"{shown}: the hub has other keys"
        assert self.read("managed-keys.yaml") == self.keys, f"{shown}: the next start has other keys"

        # A rendered file that ends after a whole line may have been shortened by hand, and is kept.
        told = TOLD | ({"drift"} if "rendered/" in shown else set())
        found: set[str] = set()

        def settle() -> bool:
            """Certificates that are made anew take seconds on a busy machine."""
            nonlocal found
            settled, found = self._settle(told)
            return settled

        try:
            wait_until(settle, "all processes, certificates and no finding")
        except AssertionError as error:
            raise AssertionError(f"{shown}: {sorted(found)} {self.hub.status()['processes']}") from error
        assert self.read("ca/root.crt") == self.root or "root-changed" in found, (
            f"{shown}: another root, without a word"
        )
        return found


@contextmanager
def make_power_cuts(seed: int) -> Iterator[PowerCuts]:
    with make_hub() as hub:
        try:
            yield PowerCuts(hub, seed)
        finally:
            hub.run("down", "--now")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with make_power_cuts(options.seed) as cuts:
        files = cuts.list_files()
        for _ in range(options.cuts):
            chosen = cuts.random.sample(files, cuts.random.choice([1, 2]))
            print(cuts.cut([cuts.choose(file) for file in chosen]), flush=True)


if __name__ == "__main__":
    main()
