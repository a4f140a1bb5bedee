"""Two versions of livekit-server beside each other, with Redis and two media ports: the call of the old process goes
on, and both understand each other over Redis.

The engine is built once more with the version before, which takes two edits. A build takes minutes where Go has nothing
of it in its cache; LKHUB_OTHER_ENGINE names one that is there.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.to_thread import run_sync
from livekit.rtc._proto.room_pb2 import SIMULATE_FULL_RECONNECT, SIMULATE_SIGNAL_RECONNECT

import lkhub
from tests.documents import ROOT
from tests.integration.test_calls import start_call
from tests.integration.test_keys import reconnect
from tests.integration.test_two_media import (
    GAP_SECONDS,
    join,
    note_interruptions,
    report,
    retired,
    rooms_of,
    write_spec,
)
from tests.kit.hub import Hub, kill_supervisor, make_hub
from tests.kit.redis import RedisServer, run_redis
from tests.targets.test_upgrade import REPLACED_SECONDS
from tests.waiting import until

pytestmark = pytest.mark.anyio

BEFORE = "v1.13.10"

# What that version does not have, each as file, pattern and replacement.
EDITS = (
    ("internal/sfu/signal/tokens.go", r"\binit\.APIKey\b", "r.keys.Current().ID"),
    ("internal/judge/turn.go", r"\t\tif server\.CredentialsFile != .*?\n\t\t}\n", ""),
)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an lkhub of its own, whose engine has the other version."""
    folder, package = tmp_path_factory.mktemp("other"), Path(lkhub.__file__).parent
    shutil.copytree(package, folder / "lkhub", ignore=shutil.ignore_patterns("bin", "__pycache__"))
    place = folder / "lkhub/bin/lkhub-engine"
    place.parent.mkdir()
    if given := os.environ.get("LKHUB_OTHER_ENGINE"):
        shutil.copy(given, place)
    else:
        _build(folder / "source", place)
    return folder


def _build(source: Path, place: Path) -> None:
    shutil.copytree(ROOT / "engine", source / "engine")
    shutil.copytree(ROOT / "build/pion-webrtc", source / "build/pion-webrtc")
    for name, pattern, replacement in EDITS:
        file = source / "engine" / name
        edited, count = re.subn(pattern, replacement, file.read_text(), flags=re.DOTALL)
        assert count, f"{name} has changed, or the engine has another version of livekit-server: see EDITS"
        file.write_text(edited)
    environ = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    require = ["go", "mod", "edit", f"-require=github.com/livekit/livekit-server@{BEFORE}"]
    build = ["go", "build", "-trimpath", "-pgo=off", "-ldflags=-s -w -X main.version=0.1.0", "-o", str(place), "."]
    for command in (require, build):
        subprocess.run(command, cwd=source / "engine", env=environ, check=True)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with make_hub() as made:
        yield made


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def change(hub: Hub, python_path: Path) -> None:
    """Have another lkhub take the hub over."""
    hub.environ["PYTHONPATH"] = str(python_path)
    await run_sync(kill_supervisor, hub)
    await run_sync(hub.up, "--no-verify")


@pytest.mark.parametrize("upwards", [True, False])
async def test_call_of_the_old_version_goes_on(hub: Hub, redis: RedisServer, other: Path, upwards: bool) -> None:
    first, second = (other, ROOT) if upwards else (ROOT, other)
    write_spec(hub, redis)
    hub.environ["PYTHONPATH"] = str(first)
    await run_sync(hub.up, "--no-verify")
    before = await run_sync(hub.pids)
    ann, bob = await start_call(hub, "old")
    people = [ann, bob]
    try:
        began, interrupted = time.monotonic(), note_interruptions(ann, bob)
        await change(hub, second)
        after = await run_sync(hub.pids)
        programs = [os.readlink(f"/proc/{pids['media']}/exe") for pids in (before, after)]
        assert programs == [f"{folder}/lkhub/bin/lkhub-engine" for folder in (first, second)]
        assert await run_sync(retired, hub) == [before["media"]]

        # Signalling of both goes through the new one, and Redis.
        cem = await join(hub, "old", "cem")
        people.append(cem)
        await cem.wait_heard("ann")
        await cem.speak()
        await bob.wait_heard("cem")
        dan, eva = await join(hub, "new", "dan"), await join(hub, "new", "eva")
        people += [dan, eva]
        await dan.speak()
        await eva.wait_heard("dan")
        assert await run_sync(rooms_of, hub) == {"new"}
        listed = (await run_sync(hub.run, "rooms", "list")).stdout
        assert {line.split()[0] for line in listed.splitlines()[1:] if line} == {"new", "old"}
        for command in (("mute", "old", "cem"), ("remove", "old", "cem")):
            done = await run_sync(hub.run, "rooms", *command)
            assert done.returncode == 0, done.stderr

        await bob.wait_heard("ann", 50)
        gap = bob.ear_of("ann").longest_gap(began, time.monotonic())
        print(f"{programs}: longest gap of the call that went on: {gap:.3f} s")
        assert interrupted == []
        assert gap < GAP_SECONDS
        for scenario in (SIMULATE_SIGNAL_RECONNECT, SIMULATE_FULL_RECONNECT):
            began = time.monotonic()
            await reconnect(bob, scenario, "ann")
            print(f"scenario {scenario}: heard again after {time.monotonic() - began:.2f} s")
    finally:
        for person in people:
            await person.leave()
    await until(lambda: not os.path.exists(f"/proc/{before['media']}"), "the end of the old process")
    await until(lambda: not report(hub).retired, "the report")


@pytest.mark.parametrize("upwards", [True, False])
async def test_without_redis_it_waits_and_clients_come_back_to_the_other_version(
    hub: Hub, other: Path, upwards: bool
) -> None:
    first, second = (other, ROOT) if upwards else (ROOT, other)
    hub.environ["PYTHONPATH"] = str(first)
    await run_sync(hub.up, "--no-verify")
    before = (await run_sync(hub.pids))["media"]
    ann, bob = await start_call(hub, "old")
    try:
        began, interrupted = time.monotonic(), note_interruptions(ann, bob)
        await change(hub, second)
        assert (await run_sync(hub.pids))["media"] == before
        assert await run_sync(lambda: report(hub).pending)
        await bob.wait_heard("ann", 50)
        assert bob.ear_of("ann").longest_gap(began, time.monotonic()) < GAP_SECONDS
        assert interrupted == []

        ear, began = bob.ear_of("ann"), time.monotonic()
        await run_sync(hub.up, "--no-verify", "--now")
        assert (await run_sync(hub.pids))["media"] != before
        await until(lambda: interrupted and ear.heard and ear.heard[-1] > began, "sound after the change")
        await bob.wait_heard("ann", 100)
        gap = ear.longest_gap(began, time.monotonic())
        print(f"from {first} to {second} without Redis: a gap of {gap:.2f} s, {interrupted}")
        assert gap < REPLACED_SECONDS
    finally:
        await ann.leave()
        await bob.leave()
