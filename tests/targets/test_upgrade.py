"""Another version in the place of the one that a service runs, on a machine that systemd has booted."""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from packaging.utils import canonicalize_name

from tests.documents import ROOT
from tests.kit.booted import Booted
from tests.kit.call import Call
from tests.kit.guide import follow
from tests.kit.wheels import pack_needed
from tests.targets.conftest import ADDRESS, ENGINE, SETUP, Make
from tests.targets.test_guide import BootedDesk
from tests.targets.test_systemd import NO_GAP_SECONDS, list_pids, list_processes
from tests.waiting import wait_until

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
drain: 20s
store: sqlite
access: {{modes: [api-keys]}}
"""

BROKEN, FAILING = b"#!/bin/sh\nexit 1\n", b"raise SystemExit(9)\n"
UP = "lkhub/cli/up.py"

INDEX_PORT = 8099

# What the documents promise of a media process that is replaced, and what a busy machine does to audio.
REPLACED_SECONDS = 6.0


@pytest.fixture(scope="module")
def service(booted: Booted) -> Booted:
    """The machine, with a hub that is a service."""
    (booted.root / "root/hub.yaml").write_text(SPEC)
    booted.must(f"{SETUP}/bin/lkhub install --spec hub.yaml")
    return booted


@dataclass
class Started:
    """A command that runs on the machine, as the leader of a group of processes."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def said(self) -> str:
        self.output.seek(0)
        return self.output.read().decode()


@contextmanager
def started(service: Booted, command: str) -> Iterator[Started]:
    with tempfile.TemporaryFile() as output:
        argv = [*service.prefix, "sh", "-c", f"cd /root && exec {command}"]
        process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
        try:
            yield Started(process, output)
        finally:
            process.kill()
            process.wait()


def ask_version(service: Booted) -> str:
    return service.must("lkhub --version").split()[-1]


def list_copies(service: Booted) -> list[str]:
    """The copies of lkhub, without what is being made."""
    return sorted(name for name in service.must("ls -A /opt/lkhub").split() if name[0].isdigit())


def test_what_is_no_newer_lkhub_is_refused_before_anything_is_changed(service: Booted, make: Make) -> None:
    wheel, pids = make("0.1.1", {}), list_pids(service)
    name = wheel.rsplit("/", 1)[1]
    service.must(f"mkdir cut mac && head -c 1000000 {wheel} >cut/{name}")
    tags = name.split("-")[-1]
    service.must(f"cp {wheel} mac/{name.replace(tags, 'macosx_11_0_arm64.whl')}")
    older, same = make("0.0.9", {}), make("0.1.0.0", {})
    for given, said in {
        f"cut/{name}": "is damaged",
        "mac/*": "is for another system",
        older: "--downgrade",
        same: "runs lkhub 0.1.0 already",
        "nowhere.whl": "there is no file",
        "latest": "neither a version nor a wheel",
        "0.1.0": "already",
    }.items():
        done = service.run(f"lkhub upgrade {given}")
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert (len(list_copies(service)), list_pids(service)) == (1, pids)


def test_upgrade_takes_the_hub_over(service: Booted, make: Make) -> None:
    pids = list_pids(service)
    done = service.run(f"lkhub upgrade {make('0.2.0', {})}")
    assert done.returncode == 0, done.stderr
    assert "lkhub 0.2.0 replaces" in done.stderr
    assert ask_version(service) == "0.2.0"
    assert set(list_pids(service).values()).isdisjoint(pids.values())
    assert service.show("lkhub", "ActiveState") == "active"
    assert service.run("lkhub status").returncode == 0
    assert len(list_copies(service)) == 2
    assert not service.must("ls -d /tmp/lkhub-* 2>/dev/null || true")


def test_upgrade_waits_for_calls_and_ctrl_c_leaves_all_as_it_was(service: Booted, make: Make, call: Call) -> None:
    pids, copies, before = list_pids(service), list_copies(service), ask_version(service)
    call.watch()
    with started(service, f"lkhub upgrade {make('0.3.0', {})}") as waiting:
        wait_until(lambda: "until 2 people in a call have left" in waiting.said(), "the upgrade waits", 120)
        assert (list_pids(service), ask_version(service)) == (pids, before)
        # As a terminal does at Ctrl-C.
        os.killpg(waiting.process.pid, signal.SIGINT)
        assert waiting.process.wait(30) != 0
        wait_until(lambda: "the service runs the previous version" in waiting.said(), "the upgrade ends", 30)
    assert list_copies(service) == copies
    assert list_pids(service) == pids
    assert service.run("lkhub status").returncode == 0
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_upgrade_that_does_not_wait_interrupts_a_call_for_a_moment(service: Booted, make: Make, call: Call) -> None:
    call.watch()
    service.must(f"lkhub upgrade --now {make('0.3.0', {})}")
    assert ask_version(service) == "0.3.0"
    gap, _ = call.disturbance()
    assert gap < REPLACED_SECONDS


def test_engine_that_does_not_start_is_refused(service: Booted, make: Make) -> None:
    pids, copies, before = list_pids(service), list_copies(service), ask_version(service)
    done = service.run(f"lkhub upgrade {make('0.4.0', {ENGINE: lambda _: BROKEN})}")
    assert (done.returncode, "lkhub 0.4.0 brings up no hub: media" in done.stderr) == (3, True), done.stderr
    assert (list_pids(service), list_copies(service), ask_version(service)) == (pids, copies, before)


def test_supervisor_that_does_not_start_is_taken_back(service: Booted, make: Make, call: Call) -> None:
    """It is another version that fails: no call ends, since the next supervisor of the earlier version adopts them."""
    pids, before = list_pids(service), ask_version(service)
    call.watch()
    done = service.run(f"lkhub upgrade --now {make('0.4.1', {UP: lambda _: FAILING})}")
    assert (done.returncode, "lkhub 0.4.1 was taken back" in done.stderr) == (1, True), done.stderr
    assert (list_pids(service), ask_version(service)) == (pids, before)
    assert service.run("lkhub status").returncode == 0
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_path_that_worked_before_is_a_reason_to_go_back(service: Booted, make: Make) -> None:
    def refuse_peers(text: bytes) -> bytes:
        assert b'"address": str(address)' in text
        return text.replace(b'"address": str(address)', b'"address": "192.0.2.9"')

    pids, before = list_pids(service), ask_version(service)
    done = service.run(f"lkhub upgrade {make('0.4.2', {'lkhub/render/relay.py': refuse_peers})}")
    assert (done.returncode, "turn-udp worked before, and does not" in done.stderr) == (1, True), done.stderr
    assert ask_version(service) == before
    assert set(list_pids(service).values()).isdisjoint(pids.values()), "the earlier processes run again"
    assert service.run("lkhub status").returncode == 0


def test_upgrade_that_is_killed_leaves_a_hub_that_works_and_the_next_one_succeeds(service: Booted, make: Make) -> None:
    luck = random.Random(12)
    began = time.monotonic()
    service.must(f"lkhub upgrade {make('0.5.0', {})}")
    whole = time.monotonic() - began
    for kill in range(10):
        version = f"0.5.{kill + 1}"
        wheel, after = make(version, {}), luck.uniform(0.2, whole)
        with started(service, f"lkhub upgrade {wheel}") as killed:
            time.sleep(after)
            # The command alone, or with all that it has started.
            if kill % 2:
                service.run("kill -9 $(pgrep --oldest --full 'lkhub upgrade ')")
            else:
                os.killpg(killed.process.pid, signal.SIGKILL)
            killed.process.wait(30)
            told = f"{version}, killed after {after:.1f} s of {whole:.1f}\n{killed.said()}"
        wait_until(lambda: service.run("lkhub status").returncode == 0, f"the hub is well: {told}", 60)
        # The killed command may have asked for a reload, which goes on.
        wait_until(lambda: service.show("lkhub", "ActiveState") == "active", f"the unit is active: {told}", 60)
        done = service.run(f"lkhub upgrade {wheel}")
        assert (done.returncode == 0 or "already" in done.stderr, ask_version(service)) == (True, version), told
        assert len(list_copies(service)) <= 2
        assert service.must("ls -A /opt/lkhub | grep -c -e '^[.]' -e json || true").strip() == "0", told
    assert not service.must("ls -d /tmp/lkhub-try-* /tmp/lkhub-store-* 2>/dev/null || true")
    # The supervisor, and four processes of the engine and the service.
    assert len(list_processes(service)) == 5


def test_service_that_is_stopped_and_disabled_is_upgraded_and_stays_so(service: Booted, make: Make) -> None:
    service.must("systemctl disable --now lkhub")
    done = service.run(f"lkhub upgrade {make('0.6.0', {})}")
    assert (done.returncode, "stays stopped" in done.stderr) == (0, True), done.stderr
    assert ask_version(service) == "0.6.0"
    assert (service.show("lkhub", "ActiveState"), service.show("lkhub", "UnitFileState")) == ("inactive", "disabled")
    assert list_processes(service) == []
    service.must("systemctl enable --now lkhub")
    wait_until(lambda: service.run("lkhub status").returncode == 0, "the hub is well", 60)


@pytest.fixture
def index(service: Booted, tmp_path: Path) -> Iterator[Path]:
    """A package index on the machine, with all that lkhub needs (PEP 503: a folder for each package)."""
    pack_needed(tmp_path)
    simple = service.root / "srv/index/simple"
    for wheel in tmp_path.glob("*.whl"):
        place = simple / canonicalize_name(wheel.name.split("-")[0])
        place.mkdir(parents=True)
        shutil.move(wheel, place)
    with started(service, f"python3 -m http.server --bind 127.0.0.1 --directory /srv/index {INDEX_PORT}") as server:
        wait_until(lambda: service.run(f"ss -Hlnt | grep -q :{INDEX_PORT}").returncode == 0, "the index is up", 30)
        yield simple
        assert "GET /simple/lkhub/" in server.said()
    shutil.rmtree(simple.parent)


def test_version_comes_from_the_index_that_pip_is_told_of(service: Booted, make: Make, index: Path) -> None:
    wheel = Path(make("0.7.0", {}))
    (index / "lkhub").mkdir()
    shutil.move(f"{service.root}{wheel}", index / "lkhub")
    upgrade = f"PIP_INDEX_URL=http://127.0.0.1:{INDEX_PORT}/simple lkhub upgrade"
    pids, copies, before = list_pids(service), list_copies(service), ask_version(service)
    missing = service.run(f"{upgrade} 9.9.9")
    assert missing.returncode != 0
    assert "pip can't install lkhub==9.9.9: " in missing.stderr
    assert "(from versions: 0.7.0); No matching distribution found" in missing.stderr
    assert (list_pids(service), list_copies(service), ask_version(service)) == (pids, copies, before)
    done = service.run(f"{upgrade} 0.7.0")
    assert done.returncode == 0, done.stderr
    assert f"the service runs lkhub 0.7.0, and what worked with lkhub {before} works" in " ".join(done.stderr.split())
    assert ask_version(service) == "0.7.0"
    assert set(list_pids(service).values()).isdisjoint(pids.values())
    assert service.run("lkhub status").returncode == 0
    kept = list_copies(service)
    assert len(kept) == 2, "the earlier one is there for a way back"
    assert f"{before}-" in "".join(kept)
    assert not service.must("ls -d /tmp/lkhub-* 2>/dev/null || true")


def test_a_reader_gets_where_the_guide_leads(service: Booted, make: Make) -> None:
    service.must(f"cp {make('0.9.0', {})} .")
    follow(ROOT / "docs/guides/upgrade.md", BootedDesk(service.root / "root", booted=service))
    assert ask_version(service) == "0.9.0"
