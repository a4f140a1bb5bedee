"""The daemon of macOS. There is no launchd here: keys and types are those of its manual."""

import os
import plistlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import InputError
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan
from lkhub.render.targets.launchd import render_launchd
from lkhub.render.targets.systemd import render_systemd
from tests.machines import MACHINES, plan_sound
from tests.render.targets.test_systemd import read_settings

HOME = "/Users/ann/Library/Application Support/lkhub"

MAC = Installation(
    engine="/Users/ann/venv/bin/lkhub-engine",
    python="/Users/ann/venv/bin/python",
    state=HOME,
    folder="/Users/ann/hub & co",
    user="ann",
    spec="/Users/ann/hub & co/hub.yaml",
)

# launchd.plist(5) of macOS 14: the keys that a daemon of ours may have, and their types.
MANUAL: dict[str, type] = {
    "Label": str,
    "UserName": str,
    "GroupName": str,
    "Program": str,
    "ProgramArguments": list,
    "EnvironmentVariables": dict,
    "WorkingDirectory": str,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "AbandonProcessGroup": bool,
    "ProcessType": str,
    "Umask": int,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "SoftResourceLimits": dict,
    "HardResourceLimits": dict,
}
KEEP_ALIVE: dict[str, type] = {"SuccessfulExit": bool, "PathState": dict, "OtherJobEnabled": dict, "Crashed": bool}
PROCESS_TYPES = {"Background", "Standard", "Adaptive", "Interactive"}


def make_plan(spec: str) -> Plan:
    return plan_sound(spec, MACHINES["laptop"], MAC)


def render(spec: str) -> dict[str, Any]:
    read: dict[str, Any] = plistlib.loads(render_launchd(make_plan(spec)).text.encode())
    return read


def test_daemon_is_exactly_this() -> None:
    file = render_launchd(make_plan("drain: 10m"))
    path = Path(__file__).parents[2] / "golden/units/lkhub.plist"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(file.text)
    assert file.text == path.read_text()
    assert (file.name, file.mode) == ("lkhub.plist", 0o644), "launchd refuses a file that others may write"


def test_every_key_is_in_the_manual_with_its_type() -> None:
    job = render("drain: 0s")
    for known, read in ((MANUAL, job), (KEEP_ALIVE, job["KeepAlive"])):
        assert {name: type(value) for name, value in read.items()} == {name: known[name] for name in read}
    assert job["ProcessType"] in PROCESS_TYPES
    assert all(isinstance(word, str) for word in job["ProgramArguments"])


def test_it_is_what_the_unit_of_systemd_is() -> None:
    plan = make_plan("drain: 10m")
    job, unit = render("drain: 10m"), read_settings(render_systemd(plan).text)
    assert job["ProgramArguments"][:5] == unit["ExecStart"].split()[:5]
    assert job["ProgramArguments"][5:] == ["--spec", MAC.spec, "--state", MAC.state]
    assert job["ExitTimeOut"] == int(unit["TimeoutStopSec"]) > 600
    assert job["ThrottleInterval"] == int(unit["RestartSec"])
    assert (job["KeepAlive"], unit["Restart"]) == ({"SuccessfulExit": False}, "on-failure")
    assert (job["AbandonProcessGroup"], unit["KillMode"]) == (True, "process")
    assert (job["Umask"], unit["UMask"]) == (0o077, "0077")
    assert (job["UserName"], job["WorkingDirectory"]) == (unit["User"], unit["WorkingDirectory"])


def test_log_is_the_one_that_lkhub_shows() -> None:
    job, plan = render(""), make_plan("")
    assert job["StandardOutPath"] == job["StandardErrorPath"] == plan.paths.log("hub")


def test_secret_of_the_environment_is_refused_and_one_in_a_file_is_not_in_it() -> None:
    with pytest.raises(InputError, match="HUB_KEY, HUB_SECRET"):
        render("keys: {source: {env: [HUB_KEY, HUB_SECRET]}}")
    assert "hub.secret" not in str(render("keys: {source: {key: API, secret: {file: hub.secret}}}"))


def test_hub_without_a_spec_has_no_daemon() -> None:
    plan = make_plan("")
    with pytest.raises(InputError, match="no spec"):
        render_launchd(replace(plan, installation=replace(MAC, spec="")))
