import json
import os
import socket
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError, UnwellError
from lkhub.host import files
from lkhub.plan.model import Listener
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.ports import PortRange
from lkhub.state.applied import load_applied
from lkhub.state.identity import read_record
from lkhub.supervise import change
from lkhub.supervise.adopt import adopt
from lkhub.supervise.watch import watchers
from lkhub.wire.control import Outcome, Restarted
from tests.supervise.conftest import (
    CONFIGS,
    IN_A_CALL,
    MakeHub,
    list_running,
    pids,
    states,
    status_of,
    supervising,
    watch,
    watchers_of,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_hub_is_started_as_planned(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        all_of_it = ("media", "relay", "serve")
        assert await supervisor.apply(make_hub()) == Outcome(all_of_it, new=all_of_it)
        assert states(supervisor) == {"media": "running", "relay": "running", "serve": "running"}
        assert len(list_running(paths)) == 3
    assert list_running(paths) == []


async def test_files_are_written_private(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    hub = make_hub()
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        for path, text in hub.files.items():
            assert Path(path).read_text() == text
            assert os.stat(path).st_mode & 0o777 == 0o600


async def test_files_of_a_change_in_which_the_supervisor_was_killed_are_no_edits(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    before = make_hub(media={})
    livekit = paths.render("livekit.yaml")
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(before)
        begun = replace(before, files={**before.files, livekit: "begun: true\n"})
        supervisor.in_force.keep_edited(begun)
        supervisor.fleet.write(begun.files)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(before)
        assert Path(livekit).read_text() == before.files[livekit]
        assert os.listdir(paths.rendered) == ["livekit.yaml"]
        record = load_applied(paths)
        assert record is not None
        assert record.begun == {}, "the change is made"


async def test_secret_that_the_spec_no_longer_has_does_not_stay(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    def with_files(*names: str) -> PreparedHub:
        hub = make_hub(media={}, relay={})
        return replace(hub, files={**hub.files, **{paths.render(name): "x" for name in names}})

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_files("turn-1.secret", "turn-2.secret"))
        await supervisor.apply(with_files("turn-1.secret"))
        assert set(os.listdir(paths.rendered)) == {"livekit.yaml", "relay.json", "turn-1.secret"}
        await supervisor.apply(make_hub(media={}))
        assert set(os.listdir(paths.rendered)) == {"livekit.yaml"}


async def test_files_of_a_change_that_fails_are_taken_back_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    """As the record that the root is another one."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        bad = make_hub(media={"exit": 1})
        with pytest.raises(MachineError):
            await supervisor.apply(replace(bad, files={**bad.files, paths.root_change: "x"}))
        assert not Path(paths.root_change).exists()
        assert states(supervisor) == {"media": "running"}


async def test_applying_twice_is_applying_once(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
        before = pids(supervisor)
        assert await supervisor.apply(make_hub()) == Outcome(())
        assert pids(supervisor) == before


async def test_applying_again_mends_a_file(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    hub = make_hub()
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        removed, damaged = list(hub.files)[:2]
        os.unlink(removed)
        Path(damaged).write_text("damage")
        assert await supervisor.apply(hub) == Outcome(())
        assert {path: Path(path).read_text() for path in hub.files} == hub.files


async def test_only_what_changed_is_restarted(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
        before = pids(supervisor)
        changed = make_hub(media={}, relay={}, serve={"say": "new"})
        assert await supervisor.apply(changed) == Outcome(("serve",))
        after = pids(supervisor)
        assert (after["media"], after["relay"]) == (before["media"], before["relay"])
        assert after["serve"] != before["serve"]


async def test_what_is_no_longer_planned_is_ended(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
        assert await supervisor.apply(make_hub(media={}, serve={})) == Outcome(("relay",), gone=("relay",))
        assert not os.path.exists(paths.socket("relay")), "nothing would answer there"
        assert os.path.exists(paths.socket("media"))
        assert set(states(supervisor)) == {"media", "serve"}
        assert len(list_running(paths)) == 2
        assert not os.path.exists(paths.record("relay"))


async def test_hub_that_does_not_start_leaves_nothing_running(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        with pytest.raises(MachineError, match="no luck"):
            await supervisor.apply(make_hub(media={}, serve={"exit": 1, "say": "no luck"}))
        assert list_running(paths) == []
        assert supervisor.children == {}
        assert load_applied(paths) is None


async def test_every_process_that_fails_is_reported(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        with pytest.raises(MachineError) as failed:
            await supervisor.apply(make_hub(media={"exit": 1, "say": "one"}, serve={"exit": 2, "say": "two"}))
    assert "one" in failed.value.message
    assert "two" in failed.value.message


async def test_change_that_fails_is_taken_back(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    hub = make_hub()
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        before, record = pids(supervisor), load_applied(paths)
        with pytest.raises(MachineError, match="what ran before is running again"):
            await supervisor.apply(make_hub(media={"exit": 1}, relay={}, serve={}))
        assert states(supervisor) == {"media": "running", "relay": "running", "serve": "running"}
        after = pids(supervisor)
        assert (after["relay"], after["serve"]) == (before["relay"], before["serve"])
        assert {path: Path(path).read_text() for path in hub.files} == hub.files
        applied = load_applied(paths)
        assert applied is not None
        assert replace(applied, begun={}) == record
        assert await supervisor.apply(hub) == Outcome(())


async def test_refused_change_leaves_every_record_of_what_runs(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    """Its new processes were never started, and must not take the records of those that run with them."""
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub(media={}, relay={}, serve={}, edge={}))
        before = pids(first)
        refused = make_hub(media={"say": "new"}, relay={"say": "new"}, serve={"say": "new"}, edge={"refuse": "no"})
        with pytest.raises(MachineError, match="the change was not made"):
            await first.apply(refused)
        assert pids(first) == before
    assert {name: identity.process.pid for name in before if (identity := read_record(paths, name))} == before
    async with supervising(paths, said) as second:
        await adopt(second)
        assert pids(second) == before


@pytest.mark.parametrize("ports", [("serve",), ("serve", "media")])
async def test_change_that_finds_a_port_taken_leaves_every_record(
    paths: StatePaths, said: list[str], make_hub: MakeHub, ports: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = PortRange(holder.getsockname()[1], holder.getsockname()[1])
        listeners = tuple(Listener(name, "tcp", ip_address("127.0.0.1"), taken, "web", ("web",)) for name in ports)
        async with supervising(paths, said) as supervisor:
            await supervisor.apply(make_hub())
            changed: dict[str, dict[str, Any]] = {name: {"say": "new"} for name in ports}
            wanted = make_hub(listeners=listeners, **{"media": {}, "relay": {}, "serve": {}, **changed})
            with pytest.raises(MachineError, match="the change was not made"):
                await supervisor.apply(wanted)
            recorded = {name: identity.process.pid for name in CONFIGS if (identity := read_record(paths, name))}
            assert recorded == pids(supervisor)
            assert set(states(supervisor).values()) == {"running"}


async def test_bug_in_a_change_is_undone_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ran before was stopped by then."""

    def fail(*_: object, but: object = None) -> None:
        if but is None:
            raise RuntimeError("a secret")

    hub = make_hub()
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        monkeypatch.setattr(change, "require_free_ports", fail)
        with pytest.raises(RuntimeError):
            await supervisor.apply(make_hub(media={"say": "new"}, relay={"say": "new"}, serve={}))
        assert states(supervisor) == {"media": "running", "relay": "running", "serve": "running"}
        assert {path: Path(path).read_text() for path in hub.files} == hub.files
        assert await supervisor.apply(hub) == Outcome(())
        assert "a secret" not in "\n".join(said)


async def test_what_ran_before_is_started_again_though_its_files_can_not_be_put_back(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in the middle of a change."""

    def fill_disk(*_: object, but: object = None) -> None:
        if but is None:
            monkeypatch.setattr(files, "write_private", refuse)
            raise MachineError("the port is taken")

    def refuse(*_: object) -> bool:
        raise MachineError("the disk is full")

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        monkeypatch.setattr(change, "require_free_ports", fill_disk)
        with pytest.raises(MachineError, match=r"the port is taken\n.*the disk is full"):
            await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        assert states(supervisor) == {"media": "running", "serve": "running"}
        monkeypatch.undo()
        monkeypatch.setattr(change, "require_free_ports", lambda *_, **__: None)
        assert (await supervisor.apply(make_hub(media={}, serve={}))).changed == ("media",)


async def test_nothing_is_changed_any_more_once_the_hub_stops(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        await supervisor.stop("now")
        with pytest.raises(UnwellError, match="is stopping"):
            await supervisor.apply(make_hub())
        with pytest.raises(UnwellError, match="is stopping"):
            await supervisor.restart(["media"])
        await supervisor.apply_pending()
        assert list_running(paths) == []


async def test_taken_port_is_reported_before_anything_starts(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        listener = Listener("serve", "tcp", ip_address("127.0.0.1"), PortRange(port, port), "web", ("web",))
        async with supervising(paths, said) as supervisor:
            with pytest.raises(MachineError, match=f"port {port} .* in use by .*pid {os.getpid()}") as failed:
                await supervisor.apply(make_hub(listeners=(listener,)))
            assert failed.value.hints
            assert not os.path.exists(paths.log("media"))


async def test_large_logs_are_rotated(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "rotate_logs", lambda paths: rotated.extend(paths))
    rotated: list[str] = []
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        watch(supervisor, watchers_of(supervisor).rotate_logs)
        await until(lambda: len(rotated) >= 3, "a look at the logs")
    assert set(rotated[:3]) == {paths.log(name) for name in ("media", "serve", "hub")}


async def test_restart_that_fails_is_tried_again_like_a_crash(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        Path(paths.render("livekit.yaml")).write_text('{"exit": 3, "say": "the port is taken"}')
        with pytest.raises(MachineError, match="the port is taken") as failed:
            await supervisor.restart(["media", "serve"])
        assert "started again by itself" in failed.value.hints[0]
        await until(lambda: supervisor.children["media"].restarts >= 3, "three tries")
        assert states(supervisor)["serve"] == "running"
        Path(paths.render("livekit.yaml")).write_text("{}")
        await until(lambda: states(supervisor)["media"] == "running", "the recovery")


async def test_what_ran_before_a_failed_change_is_tried_again_until_it_runs(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program that took its port in between may end."""
    broken = Path(paths.root) / "broken"
    good = make_hub(media={"die_when": str(broken)}, serve={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(good)
        broken.touch()
        with pytest.raises(MachineError, match="does not start again"):
            await supervisor.apply(make_hub(media={"exit": 1}, serve={}), now=True)
        broken.unlink()
        await until(lambda: states(supervisor) == {"media": "running", "serve": "running"}, "the recovery")


async def test_restart_gives_new_processes_and_counts_who_noticed(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        before = pids(supervisor)
        assert await supervisor.restart(["serve"]) == Restarted(("serve",), 0)
        assert await supervisor.restart(["media"]) == Restarted(("media",), 2)
        after = pids(supervisor)
        assert set(states(supervisor).values()) == {"running"}
        assert before["media"] != after["media"]
        assert before["serve"] != after["serve"]


async def test_status_is_what_other_commands_are_told(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
        status = json.loads(json.dumps(status_of(supervisor)))
    assert [process["name"] for process in status["processes"]] == ["media", "relay", "serve"]
    assert status["pid"] == os.getpid()


async def test_media_stops_first(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    """Relayed people stay connected while it drains."""
    order: list[str] = []
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
        # As after a change that was undone, or what was taken over.
        supervisor.children["media"] = supervisor.children.pop("media")
        for name, child in supervisor.children.items():

            async def stop(how: Any, name: str = name, stop_child: Any = child.stop) -> None:
                order.append(name)
                await stop_child(how)

            child.stop = stop  # type: ignore[method-assign]
        await supervisor.stop("drain")
    assert order[:3] == ["media", "relay", "serve"]
