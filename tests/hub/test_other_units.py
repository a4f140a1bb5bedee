"""Units beside the hub's own, with a stand-in for systemctl."""

import os
from pathlib import Path

import pytest

from lkhub.host import systemd
from lkhub.hub.other_units import remove_others, start_others
from lkhub.plan.service import Service, user_service
from tests.hub.conftest import Systemctl, Told


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    Path(made.unit_file).parent.mkdir(parents=True)
    machine = Service(made.installation, made.unit_file, made.programs, made.command)
    for name in ("lkhub-agent-a.service", "lkhub-agent-b.service"):
        Path(machine.unit_file).with_name(name).touch()
    return machine


def test_units_that_run_are_left_and_changed_ones_start_anew(systemctl: Systemctl) -> None:
    systemctl.shown = {"a": "ActiveState=active", "b": "ActiveState=active", "c": "ActiveState=inactive"}
    start_others(systemd.Systemd(), ("a", "b", "c"), {"b", "c"}, Told())
    assert systemctl.acts == ["start --no-block a", "restart --no-block b", "start --no-block c"]


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
