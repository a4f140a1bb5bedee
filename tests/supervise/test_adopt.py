"""Which processes a supervisor takes over from an earlier one, and which it ends."""

import errno
import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host import files, processes
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.state.identity import read_record
from lkhub.supervise import adopt as adopt_module
from lkhub.supervise.adopt import adopt
from lkhub.supervise.ending import FOREVER_SECONDS, end_process
from lkhub.supervise.left import find_running, make_mark
from lkhub.wire.control import Outcome
from tests.supervise.conftest import (
    ACTOR,
    IN_A_CALL,
    QUICK,
    MakeHub,
    list_running,
    pids,
    plan_actor,
    states,
    status_of,
    supervising,
    watchers_of,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_everything_is_taken_over_from_a_supervisor_that_was_killed(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        before = pids(first)
    assert len(list_running(paths)) == 3
    async with supervising(paths, said) as second:
        await adopt(second)
        assert pids(second) == before
        assert await second.apply(make_hub()) == Outcome(()), "nothing changed, nothing is touched"
        assert sum("taking it over" in line for line in said) == 3
    assert list_running(paths) == []


async def test_change_after_taking_over_restarts_only_what_changed(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        before = pids(first)
    async with supervising(paths, said) as second:
        await adopt(second)
        assert (await second.apply(make_hub(media={}, relay={}, serve={"say": "new"}))).changed == ("serve",)
        assert pids(second)["media"] == before["media"]


async def test_keys_that_wait_for_a_change_after_taking_over_say_how_it_is_made(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain `lkhub up` waits once more, for as long as the thief of a key stays in a call."""
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
    async with supervising(paths, said) as second:

        async def count() -> int:
            return 1

        monkeypatch.setattr(second.calls, "count", count)
        await adopt(second)
        assert (await second.apply(make_hub(media={"say": "new"}, relay={}, serve={}))).pending
        with pytest.raises(MachineError, match="change is made that waits for the end of the calls") as refused:
            await second.take_keys(lambda keys: keys)
        assert "`lkhub status` says what makes it at once" in refused.value.hints[0]


async def test_process_that_died_meanwhile_is_started_by_the_next_apply(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        serve = first.children["serve"].process
    assert serve is not None
    os.kill(serve.pid, signal.SIGKILL)
    async with supervising(paths, said) as second:
        await adopt(second)
        assert set(states(second)) == {"media", "relay"}
        assert (await second.apply(make_hub())).changed == ("serve",)


async def test_process_that_died_too_runs_again_though_a_change_is_pending(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    hub = make_hub(media={"rooms": IN_A_CALL}, serve={})
    digests = {
        name: Fingerprint("actor", files.digest(print.files.encode())) for name, print in hub.fingerprints.items()
    }
    async with supervising(paths, said, leave=True) as first:
        await first.apply(replace(hub, fingerprints=digests))
        before = pids(first)
    assert before["serve"] is not None
    os.kill(before["serve"], signal.SIGKILL)
    async with supervising(paths, said) as second:
        returned: list[str] = []

        async def note(plan: ProcessPlan) -> None:
            returned.append(plan.name)

        second.shared.returned = note
        await adopt(second)
        assert returned == ["serve"], "what follows from that is done: a relay's clients are told, people are expected"
        assert (await second.apply(make_hub(media={"say": "new"}, serve={"say": "new"}))).pending
        assert states(second) == {"media": "running", "serve": "running"}
        assert pids(second)["media"] == before["media"]


@pytest.mark.parametrize("ends", [False, True])
async def test_hanging_process_is_taken_over_and_reported_like_an_own_one(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """It may go on, and its calls with it."""
    timings = replace(QUICK, ready=0.2, answer=0.2, participants=0.2, hanging_patience=0.0)
    hub = make_hub(media={"rooms": IN_A_CALL}, serve={})
    async with supervising(paths, said, leave=True) as first:
        await first.apply(hub)
        media = first.children["media"].process
    assert media is not None
    os.kill(media.pid, signal.SIGSTOP)
    async with supervising(paths, said) as second:
        second.shared.timings = timings
        await adopt(second)
        second.shared.timings = replace(timings, ready=QUICK.ready)
        await second.apply(hub)
        assert pids(second)["media"] == media.pid
        assert f"media (pid {media.pid}) is there and does not answer; it is not ended" in said
        looks = watchers_of(second).hanging
        await looks.look()
        assert status_of(second)["processes"][0]["state"] == "hanging"
        assert (await second.apply(make_hub(media={"say": "new"}, serve={}))).pending, "nobody knows who is in a call"
        if ends:
            os.kill(media.pid, signal.SIGKILL)
            await until(lambda: pids(second)["media"] not in (None, media.pid), "the next one")
        else:
            second.shared.timings = replace(QUICK, answer=20.0, hanging_patience=0.0)
            os.kill(media.pid, signal.SIGCONT)
            await looks.look()
            assert status_of(second)["processes"][0]["state"] == "running"
            assert pids(second)["media"] == media.pid


@pytest.mark.parametrize("draining", [True, False])
async def test_stopping_process_is_told_to_wait_for_its_calls(
    paths: StatePaths, said: list[str], make_hub: MakeHub, draining: bool
) -> None:
    """The supervisor died while the hub was going down, and `up` says that the hub is up."""
    hub = make_hub(media={"drains": True, "draining": draining, "rooms": IN_A_CALL}, serve={})
    async with supervising(paths, said, leave=True) as first:
        await first.apply(hub)
        before = pids(first)
    async with supervising(paths, said) as second:
        await adopt(second)
        asked = re.findall(r"^drain (.*)$", Path(paths.log("media")).read_text(), re.MULTILINE)
        assert [json.loads(line) for line in asked] == [{"version": 1, "seconds": FOREVER_SECONDS}] * draining
        assert any("was being stopped; it goes on" in line for line in said) == draining
        await second.apply(hub)
        assert pids(second) == before


async def test_stopping_process_that_can_not_be_reached_is_taken_over_all_the_same(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    hub = make_hub(media={"draining": True, "rooms": IN_A_CALL})
    async with supervising(paths, said, leave=True) as first:
        await first.apply(hub)
        before = pids(first)
    async with supervising(paths, said) as second:
        await adopt(second)
        assert pids(second) == before
        assert not any("it goes on" in line for line in said)


@pytest.mark.parametrize("record", [None, "", "{}", "nonsense", b"\xff"], ids=repr)
async def test_process_whose_record_is_lost_is_recognised_by_its_mark_and_taken_over(
    paths: StatePaths, said: list[str], make_hub: MakeHub, record: Any
) -> None:
    """It may carry a call."""
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub(media={}, serve={}, edge={}))
        before = pids(first)
    for name in ("media", "edge"):
        if record is None:
            os.unlink(paths.record(name))
        else:
            Path(paths.record(name)).write_bytes(record if isinstance(record, bytes) else record.encode())
    async with supervising(paths, said) as second:
        await adopt(second)
        assert pids(second) == before
        assert await second.apply(make_hub(media={}, serve={}, edge={})) == Outcome(())
        assert second.children["media"].plan == make_hub().plan.processes[0], "what its command line does not tell"
        recorded = {name: identity.process.pid for name in before if (identity := read_record(paths, name))}
        assert recorded == before


async def test_one_of_another_version_without_a_record_is_taken_over_and_a_change_like_any_other(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub(media={"rooms": IN_A_CALL}))
        before = pids(first)
    os.unlink(paths.record("media"))
    async with supervising(paths, said) as second:
        await adopt(second)
        applied = await second.apply(make_hub(media={}, program="newer"))
        assert (applied.pending, pids(second)) == (True, before), "people are in a call"


async def test_process_is_found_though_the_applied_record_can_not_be_read(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        before = pids(first)
    os.unlink(paths.record("media"))
    os.unlink(paths.applied)
    os.mkdir(paths.applied)
    async with supervising(paths, said) as second:
        await adopt(second)
        assert pids(second) == before


@pytest.mark.parametrize("words", [("tail", "-f"), ("tail", "-f", "--config"), ("less", "--config")], ids=" ".join)
@pytest.mark.parametrize("config", ["livekit.yaml", "relay.json", "serve.json", "caddy.json"])
async def test_stranger_with_a_file_of_the_hubs_on_its_command_line_is_left_alone(
    paths: StatePaths, said: list[str], make_hub: MakeHub, words: tuple[str, ...], config: str
) -> None:
    Path(paths.render(config)).write_text("{}")
    argv = [*words, paths.render(config), "--control", paths.socket("media")]
    stranger = processes.start(["sh", "-c", "sleep 60; :", *argv], paths.log("stranger"), os.environ)
    async with supervising(paths, said) as supervisor:
        await adopt(supervisor)
        assert supervisor.children == {}
        assert stranger.poll() is None
    os.killpg(stranger.pid, signal.SIGKILL)


@pytest.mark.parametrize("drains", [True, False])
async def test_second_of_a_kind_ends_when_its_calls_are_over_and_the_one_on_record_stays(
    paths: StatePaths, said: list[str], make_hub: MakeHub, drains: bool
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub(media={"drains": drains}))
        before = pids(first)
    argv = [*plan_actor(paths, "media").argv[:-1], f"{paths.run}/second.sock"]
    second = processes.start(
        argv,
        paths.log("media"),
        {**os.environ, **make_mark(paths, plan_actor(paths, "media"), Fingerprint("program", "files"))},
    )
    # The system shows its environment a moment after it was started.
    await until(lambda: second.pid in {each.process.pid for each in processes.list_running()}, "its mark")
    async with supervising(paths, said) as supervisor:
        await adopt(supervisor)
        assert pids(supervisor) == before
        await until(lambda: second.poll() is not None, "the end of the second")
        assert second.poll() in (0, -signal.SIGTERM), "asked to, and not killed"
        assert any("left over" in line for line in said)
        assert "drain" not in Path(paths.log("media")).read_text(), "the other one was not told"


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), RuntimeError("a bug")], ids=repr)
@pytest.mark.parametrize("has_better", [True, False])
async def test_process_that_can_not_be_ended_ends_no_other(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    monkeypatch: pytest.MonkeyPatch,
    has_better: bool,
    error: Exception,
) -> None:
    """As when no descriptor is free."""
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        before = pids(first)
    one, *others = find_running(paths)
    extra = replace(one, adoptable=False)
    found = [one, *others, extra] if has_better else [extra, *others]
    monkeypatch.setattr(adopt_module, "find_running", lambda _: found)

    async def refuse(*_: object) -> None:
        raise error

    async with supervising(paths, said) as supervisor:
        with monkeypatch.context() as refusing:
            refusing.setattr(adopt_module, "end_process", refuse)
            await adopt(supervisor)
            await until(lambda: any(line.startswith("can't end") for line in said), "the refusal")
        assert any(f"can't end {one.name} (pid {one.process.pid}): {type(error).__name__} (" in line for line in said)
        kept = {each.name: before[each.name] for each in (others if not has_better else [one, *others])}
        assert pids(supervisor).items() >= kept.items()
        await end_process(one.process, "now", one.plan, QUICK)


@pytest.mark.parametrize("recorded", [True, False])
async def test_what_a_process_has_started_itself_is_its_own(
    paths: StatePaths, said: list[str], make_hub: MakeHub, recorded: bool
) -> None:
    """As a script that is `engine`."""
    hub = make_hub(media={})
    [actor] = hub.plan.processes
    script = f"{paths.root}/engine"
    Path(script).write_text(f'#!/bin/sh\n{actor.argv[0]} -ISs {ACTOR} "$@" &\nwait\n')
    os.chmod(script, 0o700)
    wrapped = replace(actor, argv=(script, *actor.argv[3:]))
    hub = replace(hub, plan=replace(hub.plan, processes=(wrapped,)))
    async with supervising(paths, said, leave=True) as first:
        await first.apply(hub)
        before = set(list_running(paths))
    if not recorded:
        os.unlink(paths.record("media"))
    async with supervising(paths, said) as second:
        await adopt(second)
        assert len(before) == 2
        assert set(list_running(paths)) == before
        assert not any("left over" in line for line in said)
        for process in before:
            process.kill()


async def test_copy_of_a_state_directory_takes_over_nothing_of_the_hub_that_it_was_copied_from(
    paths: StatePaths, said: list[str], make_hub: MakeHub, short_dir: Path
) -> None:
    async with supervising(paths, said) as first:
        await first.apply(make_hub())
        before = pids(first)
        shutil.copytree(paths.root, short_dir / "copy", ignore=shutil.ignore_patterns("*.sock"))
        async with supervising(StatePaths(str(short_dir / "copy")), said) as other:
            await adopt(other)
            assert other.children == {}
        assert pids(first) == before
        assert len(list_running(paths)) == 3


async def test_state_directory_by_another_name_is_the_same(
    paths: StatePaths, said: list[str], make_hub: MakeHub, short_dir: Path
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        before = pids(first)
    os.symlink(paths.root, short_dir / "alias")
    async with supervising(StatePaths(str(short_dir / "alias")), said) as second:
        await adopt(second)
        assert pids(second) == before


async def test_process_of_another_state_directory_is_left_alone(
    paths: StatePaths, said: list[str], make_hub: MakeHub, short_dir: Path
) -> None:
    other = StatePaths(str(short_dir / "o"))
    for folder in (other.root, other.rendered, other.run, other.logs):
        Path(folder).mkdir()
    Path(other.render("livekit.yaml")).write_text("{}")
    stranger = processes.start(plan_actor(other, "media").argv, other.log("media"), os.environ)
    async with supervising(paths, said) as supervisor:
        await adopt(supervisor)
        assert supervisor.children == {}
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
