"""Which running processes are those of a hub."""

import os
from pathlib import Path

import pytest

from lkhub.host import processes
from lkhub.host.processes import ProcessId, Running
from lkhub.plan.paths import StatePaths
from lkhub.supervise.left import find_running
from tests.supervise.conftest import ACTOR, MakeHub, supervising

pytestmark = pytest.mark.anyio


async def test_program_whose_environment_is_hidden_is_known_by_all_its_words(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like the environment of an engine with a file capability, which may listen below 1024."""
    hub = make_hub(media={})
    [actor] = hub.plan.processes
    engine = f"{paths.root}/engine"
    Path(engine).write_text(f'#!/bin/sh\nshift\nexec {actor.argv[0]} -ISs {ACTOR} "$@"\n')
    argv = (engine, "media", *actor.argv[3:])
    running = Running(ProcessId(1, "x"), argv, None, 1, 0.0)
    strangers = [Running(ProcessId(2, "x"), ("tail", "-f", argv[3]), None, 2, 0.0)]
    strangers.append(Running(ProcessId(3, "x"), ("tail", "--config", argv[3], "--control", argv[5]), None, 3, 0.0))
    monkeypatch.setattr(processes, "list_running", lambda: [running, *strangers])
    [found] = find_running(paths)
    assert (found.name, found.process) == ("media", running.process)
    assert found.plan.argv == argv


@pytest.mark.parametrize(("command", "name"), [("serve", "serve"), ("build-site", "site-bmo")])
def test_lkhub_whose_environment_is_hidden_is_known_by_all_its_words(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    """Like that of a service with a capability, for root at work with its user's rights."""
    argv = ("/opt/lkhub/bin/python", "-P", "-m", "lkhub", command, "--config", paths.render(f"{name}.json"))
    running = Running(ProcessId(1, "x"), (*argv, "--listen-fd", "7"), None, 1, 0.0)
    strangers = [Running(ProcessId(2, "x"), ("tail", *argv[-2:]), None, 2, 0.0)]
    strangers.append(Running(ProcessId(3, "x"), (*argv[:-1], f"/elsewhere/{name}.json"), None, 3, 0.0))
    monkeypatch.setattr(processes, "list_running", lambda: [running, *strangers])
    [found] = find_running(paths)
    assert (found.name, found.process) == (name, running.process)
    assert found.plan.argv == argv


async def test_process_for_which_the_state_directory_is_another_is_none_of_ours(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two units with PrivateTmp have each a /tmp/hub."""
    async with supervising(paths, said) as first:
        await first.apply(make_hub())
        for name in ("media", "relay", "serve"):
            os.unlink(paths.record(name))
        assert len(find_running(paths)) == 3
        monkeypatch.setattr(processes, "means_the_same", lambda path, _: path != paths.root)
        assert find_running(paths) == []
