"""Units beside the hub's own, with a stand-in for systemctl."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.host import processes, systemd
from lkhub.hub.other_units import remove_folders, remove_others, start_others
from lkhub.hub.unit import is_older
from lkhub.plan.build import build_plan
from lkhub.plan.service import Service, user_service
from lkhub.spec.load import load_spec
from tests.hub.conftest import Systemctl, Told
from tests.machines import make_facts, make_installation


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    Path(made.unit_file).parent.mkdir(parents=True)
    machine = Service(made.installation, made.unit_file, made.programs, made.command)
    for name in ("lkhub-agent-a.service", "lkhub-agent-b.service"):
        Path(machine.unit_file).with_name(name).touch()
    return machine


def test_units_that_run_are_left_and_changed_ones_start_anew(
    service: Service, systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(service.unit_file).parent
    for name in "abc":
        (folder / name).touch()
    written = (folder / "b").stat().st_ctime
    started = {1: written + 9, 2: written - 9, 3: written - 9}
    monkeypatch.setattr(processes, "find_start", started.get)
    states = {"a": ("active", 1), "b": ("active", 2), "c": ("inactive", 3)}
    systemctl.shown = {unit: f"ActiveState={state}\nMainPID={pid}" for unit, (state, pid) in states.items()}
    start_others(service, systemd.Systemd(), ("a", "b", "c"), Told())
    assert systemctl.acts == ["start --no-block a", "restart --no-block b", "start --no-block c"]


def test_unit_is_older_than_what_was_written_after_its_start(tmp_path: Path) -> None:
    """Also by an install that was cut off before it could start the unit anew."""
    unit = tmp_path / "lkhub-agent-bmo.service"
    unit.touch()
    written = unit.stat().st_ctime
    judged = {start: is_older(start, [str(unit)]) for start in (written - 1, written + 1, None)}
    assert list(judged.values()) == [True, False, False]


def test_folders_of_what_is_gone_are_removed_and_no_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    installation = replace(make_installation(str(state), str(tmp_path)), agents="apart", user="lkhub")
    text = "reach: lan\nagents: [{name: a, project: a}]\nsites: [{name: b, root: b/dist, build: make, port: 3001}]\n"
    plan = build_plan(load_spec(text.encode()), make_facts(), installation)
    assert plan
    kept = {"for-agents/a", "for-sites/b", "for-agents/full"}
    for name in (*kept, "for-agents/gone", "for-sites/gone"):
        (state / name).mkdir(parents=True)
    (state / "for-agents/full/agent.json").touch()
    remove_folders(plan)
    assert {str(path.relative_to(state)) for path in state.glob("for-*/*")} == kept
    remove_folders(replace(plan, installation=replace(installation, state=str(tmp_path))))


def test_agent_that_is_gone_finishes_its_calls_before_its_unit_goes(service: Service, systemctl: Systemctl) -> None:
    systemctl.shown = {"lkhub-agent-b.service": "ActiveState=active"}
    told = Told()
    remove_others(service, systemd.Systemd(), told, {"lkhub-agent-a.service"})
    assert systemctl.acts == ["stop lkhub-agent-b.service", "reset-failed lkhub-agent-b.service"]
    assert "may finish its calls" in told.lines[0]
    left = os.listdir(os.path.dirname(service.unit_file))
    assert left == ["lkhub-agent-a.service"]


def test_build_of_a_site_that_is_gone_has_no_calls(service: Service, systemctl: Systemctl) -> None:
    Path(service.unit_file).with_name("lkhub-site-bmo.service").touch()
    systemctl.shown = {"lkhub-site-bmo.service": "ActiveState=active"}
    told = Told()
    remove_others(service, systemd.Systemd(), told, {"lkhub-agent-a.service", "lkhub-agent-b.service"})
    assert "stop lkhub-site-bmo.service" in systemctl.acts
    assert not [step for step in told.lines if "calls" in step]


def test_now_does_not_wait_for_its_calls(service: Service, systemctl: Systemctl) -> None:
    remove_others(service, systemd.Systemd(), Told(), {"lkhub-agent-a.service"}, now=True)
    assert systemctl.acts[0] == "kill --signal=SIGKILL lkhub-agent-b.service"
