"""Power cuts: `python -m tests.kit.power_cut --cuts 100 --seed 1`. All processes of a hub are killed at once, and one
or two files of its state directory get damaged as by a lost write. Then `lkhub up` brings the same hub back, or says
which file it needs and what to type, and changes neither keys nor root without a word."""

import argparse
import contextlib
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from lkhub.errors import EXIT_MACHINE
from tests.kit.hub import CHOICES, Hub, make_hub
from tests.kit.ports import free_port
from tests.waiting import wait_until

SPEC = """
rooms: [{match: "voice-*", capacity: 16}]
access: {modes: [api-keys]}
webhooks: [{url: "http://127.0.0.1:9/hook", allow_private: true}]
"""

# What the hub may report after a cut: a root or a store that is not there any more, as it says; and that a receiver of
# webhooks which does not exist has not taken them.
TOLD = {"root-changed", "store-fails", "webhook-fails"}

# Files without which there is no hub with these keys: `lkhub up` says so, and starts nothing.
NEEDED = {"managed-keys.yaml"}

_UNUSED = ("logs/", "run/lock", "run/router.lock")


@dataclass(frozen=True)
class Damage:
    """`at` is the byte from which a file is lost; its length stays where it is filled with `zeros`."""

    file: str
    at: int
    zeros: bool

    def do(self, state: Path) -> None:
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
        self.kept = hub.folder / "kept"
        hub.write_spec(hub.tls_lines + SPEC, reach="lan")
        text = hub.spec.read_text()
        hub.spec.write_text(text.replace("media: {", f"media: {{tcp: {free_port()}, "))
        hub.up("--no-verify")
        for command in (("access", "create", "app"), ("keys", "rotate")):
            done = hub.run(*command)
            assert done.returncode == 0, done.stderr
        # The files of the edge's authority are there once it has certificates.
        wait_until(lambda: next(hub.state.glob("caddy/certificates/*/*/*.json"), None), "a certificate")
        self.kill()
        shutil.copytree(hub.state, self.kept, symlinks=True, ignore=_list_sockets)
        self.keys, self.root = self.read("keys.yaml"), self.read("ca/root.crt")

    def read(self, file: str) -> bytes:
        return (self.hub.state / file).read_bytes()

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
            return process.environ().get("LKHUB_STATE") == ours or any(ours in word for word in process.cmdline())
        return False

    def list_files(self) -> list[str]:
        """What a cut may damage, by its path below the state directory."""
        names = (str(path.relative_to(self.kept)) for path in sorted(self.kept.rglob("*")) if path.is_file())
        return [name for name in names if not name.startswith(_UNUSED)]

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
        shutil.rmtree(self.hub.state)
        shutil.copytree(self.kept, self.hub.state, symlinks=True)
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
            status = self.hub.status()
            found = {finding["code"] for finding in status["findings"]} - CHOICES
            return status["hub"]["state"] == "running" and found <= told

        try:
            wait_until(settle, "all processes, certificates and no finding")
        except AssertionError as error:
            raise AssertionError(f"{shown}: {sorted(found)}") from error
        assert self.read("ca/root.crt") == self.root or "root-changed" in found, (
            f"{shown}: another root, without a word"
        )
        return found


def _list_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".sock")]


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
