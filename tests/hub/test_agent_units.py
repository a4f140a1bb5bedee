"""Units of agents, with a stand-in for systemctl."""

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from lkhub.checks.checks import check_processes
from lkhub.errors import MachineError
from lkhub.host import systemd
from lkhub.host.commands import Done
from lkhub.host.given import write_given
from lkhub.hub import agent_units
from lkhub.hub.agent_units import (
    add_given,
    list_given,
    require_free_health_ports,
    restart_given,
)
from lkhub.hub.agents import list_rows, look_at_agents
from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths
from lkhub.spec.load import load_spec
from lkhub.wire.agent import GivenAgent, dump_given
from lkhub.wire.control import HubReport
from lkhub.wire.message import dump_message, parse_message
from tests.hub.conftest import Systemctl
from tests.kit.ports import free_port
from tests.machines import make_facts, make_installation
from tests.reports import hub_report


@pytest.fixture
def apart(tmp_path: Path) -> Callable[[str], Plan]:
    """The plan of a hub whose agents are units, with these agents in its spec."""

    def build(agents: str) -> Plan:
        spec = load_spec(f"agents: [{agents}]".encode())
        plan = build_plan(
            spec, make_facts(), dataclasses.replace(make_installation(str(tmp_path / "hub")), agents="apart")
        )
        assert plan, spec.faults
        return plan

    return build


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has at every address."""
    code = "import socket, sys; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); input()"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        yield int(other.stdout.readline())
        other.kill()


def test_health_port_that_is_taken_is_refused(apart: Callable[[str], Plan], taken: int, systemctl: Systemctl) -> None:
    plan = apart(f"{{name: a, project: a, health: {free_port()}}}, {{name: bmo, project: b, health: {taken}}}")
    with pytest.raises(
        MachineError, match=rf"tcp port {taken} \(health of agent bmo\) is in use by .* \(pid"
    ) as refused:
        require_free_health_ports(plan, systemd.Systemd())
    assert refused.value.hints[0].endswith("or give agents[1].health another port")
    # Its code says where this one listens.
    require_free_health_ports(apart(f"{{name: bmo, project: b, command: x, health: {taken}}}"), systemd.Systemd())


@pytest.mark.parametrize(("health", "refused"), [(0, False), (1, True)], ids=["as before", "another port"])
def test_agent_that_runs_has_found_a_port(
    apart: Callable[[str], Plan], taken: int, systemctl: Systemctl, health: int, refused: bool
) -> None:
    plan = apart(f"{{name: bmo, project: b, health: {taken}}}")
    agent = GivenAgent("bmo", "x", (), "x", "", "", {"agent-bmo": taken + health}, {})
    write_given(f"{plan.paths.for_agent('bmo')}/agent.json", dump_given(agent))
    systemctl.shown = {"lkhub-agent-bmo.service": "ActiveState=active"}
    with pytest.raises(MachineError) if refused else contextlib.nullcontext():
        require_free_health_ports(plan, systemd.Systemd())
    systemctl.shown = {}
    with pytest.raises(MachineError):
        require_free_health_ports(plan, systemd.Systemd())


def test_port_may_be_that_of_another_agent_before(
    apart: Callable[[str], Plan], taken: int, systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_units, "find_unit", lambda _: "lkhub-agent-other.service")
    require_free_health_ports(apart(f"{{name: bmo, project: b, health: {taken}}}"), systemd.Systemd())
    monkeypatch.setattr(agent_units, "find_unit", lambda _: "nginx.service")
    with pytest.raises(MachineError):
        require_free_health_ports(apart(f"{{name: bmo, project: b, health: {taken}}}"), systemd.Systemd())


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    paths = StatePaths(str(tmp_path / "hub"))
    agent = GivenAgent("bmo", "x", (), "x", "", "", {"agent-bmo": 8081}, {})
    write_given(f"{paths.for_agent('bmo')}/agent.json", dump_given(agent))
    write_given(f"{paths.for_agent('damaged')}/agent.json", "{")
    return paths


def test_processes_are_known_from_what_they_are_given(paths: StatePaths) -> None:
    assert list_given(paths) == {"agent-bmo": paths.for_agent("bmo")}
    assert list_given(StatePaths("/nowhere")) == {}


def test_restart_is_asked_for_in_the_folder_of_the_agent(paths: StatePaths) -> None:
    assert restart_given(paths, "agent-bmo")
    assert Path(paths.for_agent("bmo"), "restart").exists()
    assert not restart_given(paths, "agent-other")


Report = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def show(paths: StatePaths, systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch) -> Report:
    """The processes of a report with what systemd says of the unit: name, pid, state, restarts."""
    monkeypatch.setattr(agent_units, "has_units", lambda _: True)

    def made(**shown: Any) -> list[tuple[Any, ...]]:
        systemctl.shown = {"lkhub-agent-bmo.service": "".join(f"{name}={each}\n" for name, each in shown.items())}
        report = add_given(hub_report({"processes": [{"name": "media"}]}), paths)
        assert report.processes[0].name == "media"
        found = [*report.processes[1:], *report.retired]
        return [(each.name, each.pid, each.state, each.restarts) for each in found]

    return made


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "backoff"),
        ({"ActiveState": "activating", "SubState": "start"}, "starting"),
        ({"ActiveState": "inactive"}, "stopped"),
        ({"ActiveState": "failed"}, "failed"),
        ({"ActiveState": "deactivating"}, "stopping"),
        ({}, "stopped"),
    ],
)
def test_state_of_a_unit_that_runs_nothing(show: Report, shown: dict[str, str], state: str) -> None:
    assert show(**shown, NRestarts=2) == [("agent-bmo", None, state, 2)]


@pytest.fixture
def keeper() -> Iterator[int]:
    """A process that has started two others, one after the other."""
    code = (
        "import subprocess, sys, time\n"
        "for _ in range(2):\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']); time.sleep(0.05)\n"
        "print('ready', flush=True); time.sleep(1000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as popen:
        assert popen.stdout
        popen.stdout.readline()
        try:
            yield popen.pid
        finally:
            subprocess.run(["pkill", "-9", "-s", str(popen.pid)])


def test_newest_worker_is_the_one_that_takes_calls(show: Report, keeper: int) -> None:
    shown = {"ActiveState": "active", "MainPID": keeper, "NRestarts": 1}
    current, retired = show(**shown, StatusText="running; 3 restarts")
    assert (current[2:], retired[2]) == (("running", 4), "stopping")
    assert current[1] > retired[1]
    waiting, *retired_ones = show(**shown, StatusText="starts again soon; 3 restarts")
    assert waiting == ("agent-bmo", None, "backoff", 4)
    assert len(retired_ones) == 2


def test_what_a_unit_tells_of_its_workers_is_reported(show: Report, keeper: int, paths: StatePaths) -> None:
    first, second = sorted(child.pid for child in psutil.Process(keeper).children())
    far = 9_999_999_999  # later than any process of this machine
    told = f"pid {first} runs since 5 from 127.0.0.1:4711; pid {second} runs since {far}; pid 1 ends"
    shown = {"ActiveState": "active", "MainPID": keeper, "StatusText": f"running; 0 restarts; {told}"}
    assert [each[2] for each in show(**shown)] == ["running", "running"], "the earlier one takes rooms"
    report = add_given(hub_report({"processes": []}), paths)
    [current], [before] = report.processes, report.retired
    assert (current.pid, current.since, current.worker and current.worker.address) == (second, far, "")
    assert (before.pid, before.worker and before.worker.address) == (first, "127.0.0.1:4711")
    worker = {"id": "AW_1", "agent": "", "kind": "room", "free": True, "draining": False, "load": 0.0}
    worker |= {"address": "127.0.0.1:4711", "since": 1.0}
    media = hub_report({"processes": [], "media": {"agents": {"workers": [worker]}}}).media
    rows = list_rows(paths, replace(report, media=media))
    assert [(row.process and row.process.pid, row.worker and row.worker.id) for row in rows] == [
        (second, None),
        (first, "AW_1"),
    ]
    [seen] = look_at_agents(paths, replace(report, media=media))
    assert (seen.worker, seen.seen, seen.replaces) == (None, True, True)


def test_failure_to_install_is_known_from_the_unit(show: Report, paths: StatePaths) -> None:
    why = "can't install its dependencies: uv ended with exit code 1"
    show(ActiveState="active", StatusText=f"starts again soon; 2 restarts; not installed at 1796000000: {why}")
    report = add_given(hub_report({"processes": []}), paths)
    [row] = list_rows(paths, report)
    assert row.failure
    assert (row.failure.at, row.failure.why) == (1_796_000_000, why)
    assert [seen.failure for seen in look_at_agents(paths, report)] == [why]


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[Done]:
    """What journalctl answers."""
    answers = [Done(0, "", "")]
    monkeypatch.setattr("lkhub.host.journal.run_command", lambda _: answers[-1])
    return answers


FAILS = {"ActiveState": "activating", "SubState": "auto-restart"}
WAITS = {"ActiveState": "active", "StatusText": "starts again soon; 2 restarts"}


@pytest.mark.parametrize(
    ("shown", "how"),
    [
        ({**FAILS, "Result": "exit-code", "ExecMainCode": 1, "ExecMainStatus": 226}, "ended with exit code 226"),
        ({**FAILS, "Result": "signal", "ExecMainCode": 2, "ExecMainStatus": 9}, "was killed by signal 9"),
        ({**FAILS, "Result": "core-dump", "ExecMainCode": 3, "ExecMainStatus": 11}, "was killed by signal 11"),
        (
            {**FAILS, "ActiveState": "failed", "Result": "oom-kill", "ExecMainCode": 2, "ExecMainStatus": 9},
            "was killed by signal 9 (systemd: oom-kill)",
        ),
        ({**FAILS, "Result": "resources", "ExecMainCode": 0, "ExecMainStatus": 0}, "ended (systemd: resources)"),
        (
            {**WAITS, "StatusText": "starts again soon; the last ended with exit code 3"},
            "ended with exit code 3",
        ),
        (
            {**WAITS, "StatusText": "starts again soon; the last ended by signal 9"},
            "was killed by signal 9",
        ),
        (WAITS, "has no worker"),
    ],
    ids=str,
)
def test_agent_that_does_not_stay_up_is_described_as_other_processes_are(
    show: Report, paths: StatePaths, journal: list[Done], shown: dict[str, Any], how: str
) -> None:
    """The first line says how it ended; then come the last lines of its log, where they can be read."""

    def find() -> str:
        [(_, pid, state, _)] = show(**shown)
        assert pid is None
        assert state in ("backoff", "failed")
        report = add_given(hub_report({"processes": [], "failures": {"media": "x"}}), paths)
        assert report.failures["media"] == "x"
        assert parse_message(HubReport, dump_message(report)) == report
        [finding] = check_processes(report.processes, report.failures)
        return finding.detail

    assert find() == f"agent-bmo {how}"
    said = "2026-11-29T15:30:05+0000 host python[90]: "
    journal.append(Done(0, f"{said}ValueError: x\n{said}the worker ended\n-- cursor: s=1\n", ""))
    assert find().split("\n") == [
        f"agent-bmo {how}",
        "the end of the journal of lkhub-agent-bmo.service:",
        "2026-11-29T15:30:05+0000 ValueError: x",
        "2026-11-29T15:30:05+0000 the worker ended",
    ]
    journal.append(Done(1, "", "No journal files were opened due to insufficient permissions."))
    assert find().startswith(f"agent-bmo {how}; can't read the journal of lkhub-agent-bmo.service: No journal files")


def test_what_an_agent_prints_of_its_variables_is_in_no_finding(
    show: Report, paths: StatePaths, journal: list[Done]
) -> None:
    """An agent is given the hub's key, and a traceback may show it. In a line that is cut, too."""
    key = "SECRETofthehub" * 3
    agent = GivenAgent("bmo", "x", (), "x", "", "", {"agent-bmo": 8081}, {"LIVEKIT_API_SECRET": key, "DEBUG": "1"})
    write_given(f"{paths.for_agent('bmo')}/agent.json", dump_given(agent))
    said = f"2026-11-29T15:30:05+0000 host python[90]: key={key} 1 {'x' * 230} {key}\n"
    journal.append(Done(0, said, ""))
    show(**WAITS)
    [line] = add_given(hub_report({"processes": []}), paths).failures["agent-bmo"].split("\n")[2:]
    assert "key=[LIVEKIT_API_SECRET] 1 xx" in line
    assert "SECRET" not in line.replace("LIVEKIT_API_SECRET", "").replace("[LIVEKIT_API", "")
    assert len(line) <= 300


@pytest.mark.parametrize("shown", [{"ActiveState": "inactive"}, {"ActiveState": "deactivating"}, {}], ids=str)
def test_agent_that_has_not_failed_has_no_failure(
    show: Report, paths: StatePaths, journal: list[Done], shown: dict[str, Any]
) -> None:
    journal.append(Done(0, "2026-11-29T15:30:05+0000 host python[90]: x\n", ""))
    show(**shown, Result="success", ExecMainCode=1, ExecMainStatus=1)
    assert add_given(hub_report({"processes": []}), paths).failures == {}


HOSTILE = ["9" * 4000, "9" * 400, "1" * 11, "-1", "1e999", "inf", "nan", "٣", "²", "0x1", "", " ", "\x1b[2J", "\ud800"]


@pytest.mark.parametrize("number", HOSTILE)
def test_numbers_that_an_agent_makes_up_are_none(show: Report, keeper: int, paths: StatePaths, number: str) -> None:
    """An agent is the user of what tells of it, and can tell anything."""
    first, second = sorted(child.pid for child in psutil.Process(keeper).children())
    workers = f"pid {first} runs since {number}; pid {second} ends since {number}; pid {number} runs from {number}"
    told = f"running; {number} restarts; {workers}; not installed at {number}: {number}"
    show(ActiveState="active", MainPID=keeper, StatusText=told)
    report = add_given(hub_report({"processes": []}), paths)
    assert parse_message(HubReport, dump_message(report)) == report
    rows = list_rows(paths, report)
    assert {row.process and row.process.restarts for row in rows} == {0}
    assert [row.failure for row in rows] == [None, None]
    for row in rows:
        assert row.process
        datetime.fromtimestamp(row.process.since, UTC)
    look_at_agents(paths, report)


def test_agents_in_containers_are_not_reported_as_if_they_were_known(paths: StatePaths) -> None:
    report = hub_report({"processes": [{"name": "media"}]})
    assert add_given(report, paths) == report
