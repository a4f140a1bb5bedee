"""Agents of a running hub: which worker is which process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.agent_home import AgentCopy, AgentHome
from lkhub.host.files import write_private
from lkhub.hub import agents
from lkhub.hub.agents import list_rows, look_at_agents
from lkhub.hub.gather import read_status
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import AgentConfig, dump_agent
from lkhub.wire.control import HubReport
from tests.reports import hub_report

# It connects from a port of its own, or listens at all addresses, and tells the port.
CONNECTS = "import socket, sys; s = socket.create_connection(('127.0.0.1', {})); print(s.getsockname()[1], flush=True)"
LISTENS = "import socket; s = socket.create_server(('{}', 0)); print(s.getsockname()[1], flush=True)"
LISTENS_AT_ONE = (
    "import socket; s = socket.socket(); s.setsockopt(socket.IPPROTO_IP, 15, 1)"  # IP_FREEBIND of linux/in.h
    "; s.bind(('192.0.2.7', 0)); s.listen(); print(s.getsockname()[1], flush=True)"
)
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@contextmanager
def process(*argv: str) -> Iterator[tuple[int, int]]:
    """A process that has a socket, or one that has started one: its pid, and the port."""
    code = f"{argv[-1]}; import time; time.sleep(1000)"
    words = [sys.executable, "-c", *argv[:-1], code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as popen:
        assert popen.stdout
        try:
            yield popen.pid, int(popen.stdout.readline())
        finally:
            subprocess.run(["pkill", "-9", "-s", str(popen.pid)])


def report(pid: int | None, port: int, host: str = "127.0.0.1", **said: Any) -> HubReport:
    agent = {"name": "agent-bmo", "pid": pid, "state": "running", "since": 5.0, "roles": ["registers"], **said}
    worker = {"id": "AW_1", "agent": "", "kind": "room", "free": True, "draining": False, "load": 0.0}
    worker |= {"address": f"{host}:{port}", "since": 1.0}
    return hub_report({"processes": [{"name": "media"}, agent], "media": {"agents": {"workers": [worker]}}})


@pytest.fixture
def media() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("above", [(), (CHILD,)], ids=["itself", "child"])
def test_worker_is_found_by_the_port_that_it_comes_from(paths: StatePaths, media: int, above: tuple[str, ...]) -> None:
    with process(*above, CONNECTS.format(media)) as (pid, port):
        told = report(pid, port)
        [row] = list_rows(paths, told)
        assert (row.process and row.process.name, row.worker and row.worker.id) == ("agent-bmo", "AW_1")
        [seen] = look_at_agents(paths, told)
        assert (seen.name, seen.since, seen.worker, seen.installing, seen.exposed) == (
            ("agent-bmo", 5.0, row.worker, False, ())
        )


def test_worker_that_runs_elsewhere_has_no_process(paths: StatePaths, media: int) -> None:
    with process(CONNECTS.format(media)) as (pid, port):
        own, other = list_rows(paths, report(pid, port + 1))
        same_port, _ = list_rows(paths, report(pid, port, "192.0.2.1"))
    assert same_port.worker is None
    assert own.process
    assert (own.worker, other.process, other.worker and other.worker.id) == (None, None, "AW_1")


def test_ports_that_others_can_reach_are_seen(paths: StatePaths) -> None:
    with process(LISTENS.format("0.0.0.0")) as (pid, port):
        assert look_at_agents(paths, report(pid, 1))[0].exposed == (port,)
    with process(LISTENS.format("127.0.0.1")) as (pid, _):
        assert look_at_agents(paths, report(pid, 1))[0].exposed == ()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, this machine must have the address")
def test_port_of_ice_is_no_health_check(paths: StatePaths) -> None:
    """An agent in a call listens at each address of this machine by itself, where ICE may connect it over TCP."""
    with process(LISTENS_AT_ONE) as (pid, _):
        assert look_at_agents(paths, report(pid, 1))[0].exposed == ()


def test_process_that_still_installs_is_known_by_its_command_line(paths: StatePaths) -> None:
    words = [sys.executable, "-c", "import time; time.sleep(1000)", "run-agent"]
    with subprocess.Popen(words) as popen:
        try:
            [seen] = look_at_agents(paths, report(popen.pid, 1))
        finally:
            popen.kill()
    assert seen.installing


@pytest.mark.parametrize("said", [{"state": "backoff"}, {"state": "stopping"}, {"pid": None}])
def test_process_that_does_not_run_is_not_looked_at(paths: StatePaths, said: dict[str, Any]) -> None:
    assert look_at_agents(paths, report(said.pop("pid", 1), 1, **said)) == ()


def write_home(paths: StatePaths, why: str = "") -> AgentCopy:
    """The rendered file of an agent, and its folder, in which the version could not be installed, or was."""
    home = AgentHome(f"{paths.root}/agents/bmo", None)
    config = AgentConfig("bmo", "/src", (), home.path, None, 8081, {}, "d" * 64, "", "agent.py")
    write_private(paths.render("agent-bmo.json"), dump_agent(config))
    with home.hold():
        copy = home.find_copy(config.inputs)
        Path(copy.folder).mkdir()
    if why:
        home.note_failure(config.inputs, why)
    else:
        copy.note_installed()
    return copy


def test_version_that_could_not_be_installed_is_told_with_the_worker_of_before(paths: StatePaths) -> None:
    write_home(paths, "uv ended with exit code 1")
    told = report(None, 1, state="backoff")
    [seen] = look_at_agents(paths, told)
    assert (seen.failure, seen.replaces, seen.installing) == ("uv ended with exit code 1", False, False)
    [row, _] = list_rows(paths, told)
    assert row.failure
    assert row.failure.why == "uv ended with exit code 1"
    agent = {"name": "agent-bmo", "pid": None, "since": 5.0, "roles": ["registers"]}
    said = {"processes": [agent | {"state": "backoff"}], "retired": [agent | {"state": "running"}]}
    log = [*"abcdef", "no such package", "error: uv ended with exit code 1", "copying /src again"]
    write_private(paths.log("agent-bmo"), "\n".join(log))
    [seen] = look_at_agents(paths, hub_report(said))
    shown = ["uv ended with exit code 1", *"bcdef", "no such package"]
    assert (seen.failure.split("\n"), seen.replaces) == (shown, True)


def test_failure_of_another_version_is_none_of_this_one(paths: StatePaths) -> None:
    copy = write_home(paths, "uv ended with exit code 1")
    AgentHome(f"{paths.root}/agents/bmo", None).note_failure("another", "long ago")
    assert look_at_agents(paths, report(None, 1, state="backoff")) == ()
    assert copy.find_start() is None


def test_time_of_its_installation_is_no_time_that_it_ran(paths: StatePaths) -> None:
    copy = write_home(paths)
    os.utime(copy.folder, (0, 700.0))
    assert [each.since for each in look_at_agents(paths, report(os.getpid(), 1))] == [700.0]
    os.utime(copy.folder, (0, 1.0))
    assert [each.since for each in look_at_agents(paths, report(os.getpid(), 1))] == [5.0], "it was started again"


def test_without_a_status_of_media_nothing_is_known(paths: StatePaths) -> None:
    agent = {"name": "agent-bmo", "pid": None, "state": "backoff", "roles": ["registers"]}
    [row] = list_rows(paths, hub_report({"processes": [agent]}))
    assert row.worker is None


def test_those_that_retired_are_listed_and_not_judged(paths: StatePaths) -> None:
    told = report(None, 1)
    retired = {"name": "agent-bmo", "pid": 4711, "state": "stopping", "since": 1.0, "roles": ["registers"]}
    told = hub_report({"processes": [], "retired": [retired], "media": told.media})
    assert [row.process and row.process.pid for row in list_rows(paths, told)] == [4711, None]
    assert look_at_agents(paths, told) == ()


def test_hub_without_agents_is_not_looked_at(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "look_at_agents", lambda _, __: pytest.fail("it is looked at"))
    assert read_status(paths).agents == ()
