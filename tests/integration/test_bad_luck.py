"""What happens to a hub and its call when files that it needs are removed, or its supervisor is killed."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import replace

import pytest
from anyio.to_thread import run_sync

from lkhub.host.lock import is_held
from lkhub.host.processes import identify
from lkhub.plan.paths import StatePaths
from lkhub.supervise.left import find_running
from tests.integration.test_calls import UNDISTURBED_SECONDS, start_call
from tests.kit.hub import Hub, kill_supervisor
from tests.waiting import wait_until


@pytest.mark.timing
@pytest.mark.anyio
async def test_state_directory_that_is_removed_cuts_no_call_and_every_command_tells_the_truth(running: Hub) -> None:
    before, keys = await run_sync(running.pids), await run_sync(running.env)
    ann, bob = await start_call(running)
    try:
        removed = time.monotonic()
        shutil.rmtree(running.state)
        assert await run_sync(running.pids) == before
        done = await run_sync(running.run, "up", "--no-verify")
        assert done.returncode == 0, done.stderr
        assert "restarted" not in done.stderr
        assert (await run_sync(running.pids), await run_sync(running.env)) == (before, keys)
        verified = await run_sync(running.run, "verify")
        assert verified.returncode == 0, verified.stderr
        await bob.wait_heard("ann", 50)
        assert bob.ear_of("ann").longest_gap(removed, time.monotonic()) < UNDISTURBED_SECONDS
        assert [each["code"] for each in (await run_sync(running.status))["findings"]] == ["state-removed"]
        assert "was removed while the hub runs" in running.log("hub")
    finally:
        await ann.leave()
        await bob.leave()
    done = running.run("down", "--now")
    assert done.returncode == 0, done.stderr
    assert not any(identify(pid) for pid in before.values())


@pytest.mark.field
@pytest.mark.parametrize("copied", [False, True])
def test_state_directory_that_is_moved_or_replaced_has_one_supervisor(running: Hub, copied: bool) -> None:
    """`mv STATE X && lkhub up`, before the supervisor can have noticed."""
    before, keys, supervisor = running.pids(), running.env(), running.supervisor_pid()
    moved = running.state.with_name("moved")
    running.state.rename(moved)
    try:
        if copied:
            subprocess.run(["cp", "-a", moved, running.state], check=True)
        done = running.run("up", "--detach", "--no-verify")
        assert done.returncode == 0, done.stderr
        assert (running.pids(), running.env(), running.supervisor_pid()) == (before, keys, supervisor)
        assert running.run("down", "--now").returncode == 0
        wait_until(lambda: not any(identify(pid) for pid in (*before.values(), supervisor)), "the end of all")
    finally:
        shutil.rmtree(moved)


@pytest.mark.timing
@pytest.mark.anyio
async def test_state_directory_that_is_moved_while_no_supervisor_lives_costs_no_call(running: Hub) -> None:
    """Its keys are gone with it: media can only be started anew, with others, and is not while people are in a call."""
    media = (await run_sync(running.pids))["media"]
    ann, bob = await start_call(running)
    moved = running.state.with_name("moved")
    try:
        began = time.monotonic()
        await run_sync(kill_supervisor, running)
        running.state.rename(moved)
        done = await run_sync(running.run, "up", "--detach", "--no-verify")
        assert done.returncode == 3
        assert "2 people are in a call" in done.stderr
        assert "a hub runs here" in done.stderr
        status = await run_sync(running.status)
        assert "change-pending" in [finding["code"] for finding in status["findings"]]
        assert {process["name"]: process["pid"] for process in status["processes"]}["media"] == media
        await bob.wait_heard("ann", 50)
        assert bob.ear_of("ann").longest_gap(began, time.monotonic()) < UNDISTURBED_SECONDS
    finally:
        await ann.leave()
        await bob.leave()
        shutil.rmtree(moved)
    done = await run_sync(running.run, "up", "--detach", "--now")
    assert done.returncode == 0, done.stderr


def test_down_while_the_hub_starts_leaves_nothing_behind(hub: Hub) -> None:
    lock = hub.state / "run/lock"
    with hub.start("up", "--detach", "--no-verify") as starting:
        wait_until(lambda: is_held(str(lock)), "it starts")
        down = hub.run("down")
        starting.communicate()
    assert down.returncode == 0, down.stderr
    assert hub.status()["hub"]["state"] == "stopped"
    assert find_running(StatePaths(str(hub.state))) == []


@pytest.mark.field
def test_reader_of_a_rendered_file_is_left_alone_and_what_has_lost_its_record_is_taken_over(running: Hub) -> None:
    before = running.pids()
    kill_supervisor(running)
    (running.state / "run/media.json").unlink()
    with subprocess.Popen(["tail", "-f", running.state / "rendered/livekit.yaml"], stdout=subprocess.DEVNULL) as reader:
        try:
            running.up("--no-verify")
            assert running.pids() == before
            assert reader.poll() is None
        finally:
            reader.kill()


@pytest.mark.field
def test_refused_change_and_a_killed_supervisor_lose_no_process(hub: Hub) -> None:
    hub.write_spec(hub.tls_lines, reach="lan")
    hub.up("--no-verify")
    before = hub.pids()
    with socket.create_server(("", 0)) as holder:
        taken = {**hub.ports, "https": holder.getsockname()[1]}
        other = replace(hub, ports=taken)
        other.write_spec(other.tls_lines + "livekit: {room: {max_participants: 7}}\n", reach="lan")
        done = hub.run("up", "--detach", "--no-verify")
    assert done.returncode == 3
    assert "the change was not made" in done.stderr
    assert hub.pids() == before
    kill_supervisor(hub)
    assert hub.pids() == before, "status knows what runs without a supervisor"
    hub.write_spec(hub.tls_lines, reach="lan")
    hub.up("--no-verify")
    assert hub.pids() == before


def test_down_without_a_supervisor_ends_all_also_what_is_on_no_record(running: Hub) -> None:
    before = running.pids()
    kill_supervisor(running)
    shutil.rmtree(running.state / "run")
    (running.state / "run").mkdir(mode=0o700)
    done = running.run("down")
    assert done.returncode == 0, done.stderr
    assert not any(identify(pid) for pid in before.values())
    assert running.status()["hub"]["state"] == "stopped"


@pytest.mark.soak  # it waits until the supervisor has lost its patience
def test_media_that_was_stopped_is_shown_with_the_remedy(running: Hub) -> None:
    media = running.pids()["media"]
    os.kill(media, signal.SIGSTOP)
    try:
        status = wait_until(lambda: told if (told := running.status())["findings"] else None, "the finding")
        [finding] = status["findings"]
        assert (finding["code"], finding["fix"][0]["command"]) == ("process-hangs", f"kill -CONT {media}")
        assert status["hub"]["state"] == "degraded"
        assert running.run("verify").returncode == 1
        by_code = {finding["code"]: finding for finding in running.findings()}
        assert by_code["path-fails"]["depends_on"] == ["process-hangs"]
        shown = running.run("status").stderr
        assert "error: media is there and does not answer [process-hangs]" in shown
        assert "\n  so: no call gets through on the paths udp and turn-udp [path-fails]" in shown
    finally:
        os.kill(media, signal.SIGCONT)
    wait_until(lambda: running.status()["hub"]["state"] == "running", "its answer")
    assert running.pids()["media"] == media


@pytest.mark.field
def test_media_that_dies_on_a_full_disk_is_back_once_and_on_record_when_there_is_room(hub: Hub) -> None:
    hub.state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", hub.state], check=True)
    try:
        hub.up("--no-verify")
        before = hub.pids()["media"]
        filler = hub.state / "logs/old.log"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: hub.status()["hub"]["state"] == "running" and hub.pids()["media"] != before, "media")
        status = hub.status()
        assert [process["restarts"] for process in status["processes"] if process["name"] == "media"] == [1]
        assert "no-record" in [finding["code"] for finding in status["findings"]]
        filler.unlink()
        wait_until(lambda: hub.findings() == [], "the record")
        kill_supervisor(hub)
        after = hub.pids()
        hub.up("--no-verify")
        assert hub.pids() == after
    finally:
        hub.run("down", "--now")
        subprocess.run(["umount", "-l", hub.state], check=True)


@pytest.mark.field
def test_all_that_die_on_a_file_system_that_became_read_only_are_back_once(hub: Hub) -> None:
    hub.write_spec(hub.tls_lines, reach="lan")
    hub.up("--no-verify")
    before = hub.pids()
    # What is open stays writable, as no file system is made read-only under it; what is opened from now on is not.
    subprocess.run(["mount", "--bind", hub.state, hub.state], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", hub.state], check=True)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(before.values()) & set(hub.pids().values()), "their end")
        wait_until(lambda: hub.status()["hub"]["state"] == "running", "all of them")
        status = hub.status()
        assert {process["name"]: process["restarts"] for process in status["processes"]} == dict.fromkeys(before, 1)
        found = {finding["subject"]: finding for finding in status["findings"] if finding["code"] == "no-record"}
        assert set(found) == set(before)
        assert "the file system is read-only" in found["media"]["detail"]
        subprocess.run(["mount", "-o", "remount,bind,rw", hub.state], check=True)
        wait_until(lambda: hub.findings() == [], "the records")
    finally:
        hub.run("down", "--now")
        subprocess.run(["umount", "-l", hub.state], check=True)


@pytest.mark.field
def test_supervisor_that_was_stopped_is_reported_and_goes_on_or_is_replaced(running: Hub) -> None:
    before, supervisor = running.pids(), running.supervisor_pid()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for command in ("status", "down", "up"):
            done = running.run(command)
            assert done.returncode == 1
            assert f"the hub's supervisor does not answer (pid {supervisor}, stopped)" in done.stderr
            assert f"`kill -CONT {supervisor}` lets it go on" in done.stderr
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert running.pids() == before
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    running.up("--no-verify")
    assert running.pids() == before, "the next supervisor has taken them over"
