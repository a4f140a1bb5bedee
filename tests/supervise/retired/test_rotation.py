"""Agents that get another key."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lkhub.host.keyfile import Keys, add_current
from lkhub.plan.model import AgentPlan
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Variable
from lkhub.prepare.hub import PreparedHub, fingerprint
from lkhub.prepare.ring import replace_keys
from lkhub.secret import Secret
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Outcome
from tests.supervise.conftest import MakeHub, pids, status_of, supervising
from tests.supervise.retired.conftest import AGENT, busy, started, with_agent

pytestmark = pytest.mark.anyio


OLD: Keys = {"APIold": Secret("o" * 32)}
NEW = "APInew", Secret("n" * 32)


def keyed(paths: StatePaths, hub: PreparedHub) -> PreparedHub:
    """The hub with generated keys: media reads them again, and the agent has the current one in its environment."""
    media, agent = hub.plan.processes
    media = replace(media, rereads=(paths.keys,))
    agent = replace(agent, variables=(Variable("KEY", file=paths.agent_key),))
    files = {**hub.files, paths.managed_keys: "", paths.keys: "", paths.agent_key: "", paths.agent_secret: ""}
    planned = (AgentPlan(AGENT, "", (), "", None, (), ()),)  # that there are agents
    hub = replace(hub, plan=replace(hub.plan, processes=(media, agent), agents=planned), files=files)
    hub = replace_keys(hub, OLD)
    prints = {each.name: fingerprint(each, hub.files, {}) for each in hub.plan.processes}
    return replace(hub, fingerprints=prints)


def read_key(supervisor: Supervisor) -> str:
    """The key in the environment of the agent that runs."""
    process = supervisor.children[AGENT].process
    assert process is not None
    return psutil.Process(process.pid).environ().get("KEY", "")


async def test_rotation_starts_agents_anew_and_nothing_else(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(keyed(paths, with_agent(make_hub(media={"keys": paths.keys}, serve=busy(calls)))))
        before = pids(supervisor)
        await started(paths, "old")
        assert read_key(supervisor) == "APIold"
        await supervisor.take_keys(lambda keys: add_current(keys, *NEW))
        assert pids(supervisor)["media"] == before["media"]
        assert pids(supervisor)[AGENT] != before[AGENT]
        assert read_key(supervisor) == "APInew"
        assert [row["pid"] for row in status_of(supervisor)["retired"]] == [before[AGENT]]
        # What is in force now is what the next `up` prepares.
        assert supervisor.in_force.hub is not None
        assert await supervisor.apply(supervisor.in_force.hub) == Outcome(())


async def test_rotation_stays_where_an_agent_does_not_start(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(keyed(paths, with_agent(make_hub(media={"keys": paths.keys}, serve=busy(calls)))))
        await started(paths, "old")
        child = supervisor.children[AGENT]
        Path(paths.log(AGENT)).unlink()
        Path(paths.log(AGENT)).mkdir()  # where its log can't be written it does not start
        changed = await supervisor.take_keys(lambda keys: add_current(keys, *NEW))
        assert changed.current == "APInew"
        assert any("serve could not be started with the new key" in line for line in said)
        assert supervisor.children[AGENT] is child
        os.rmdir(paths.log(AGENT))


async def test_rotation_is_no_failure_where_the_machine_refuses_what_an_agent_needs_to_start(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no descriptor is free. The new key is the current one by then."""

    async def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(keyed(paths, with_agent(make_hub(media={"keys": paths.keys}, serve=busy(calls)))))
        await started(paths, "old")
        with monkeypatch.context() as patch:
            patch.setattr("lkhub.supervise.supervisor.Change.make", refuse)
            changed = await supervisor.take_keys(lambda keys: add_current(keys, *NEW))
        assert changed.current == "APInew"
        assert any(
            "serve could not be started with the new key: OSError (Too many open files)" in each for each in said
        )
