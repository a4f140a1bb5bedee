"""The commands in hints: about which hub they are, and what that takes."""

import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.cli import main as main_module
from lkhub.cli.shared.show import name_hub
from lkhub.host import systemd
from lkhub.host.files import write_private
from lkhub.host.sealed import MAGIC
from lkhub.hub import locate, restore
from lkhub.hub.locate import find_typed
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import SYSTEM, Service, user_service
from tests.cli.conftest import Run


@pytest.mark.parametrize("given", [("--state", "{}"), ("--state={}",)], ids=" ".join)
def test_commands_in_hints_are_about_the_hub_that_was_asked_about(
    run: Run, tmp_path: Path, given: tuple[str, ...]
) -> None:
    """Typed without --state, `lkhub down` would stop another hub."""
    other = str(tmp_path / "other")
    asked = [part.format(other) for part in given]
    for command in ("env", "verify", "logs", "restart", "trust", "down"):
        done = run(command, *asked)
        hints = re.findall(r"`(lkhub [^`]+)`", done.err)
        assert all(hint.endswith(f" --state {other}") for hint in hints), done.err
        assert hints or command == "down", done.err
    default = run("env").err
    assert "`lkhub up` starts it" in default, "it is the default hub"
    assert run("env", "--state", str(tmp_path / "state")).err == default


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("`lkhub down`, then `lkhub up`, starts it", "`lkhub down --state /s`, then `lkhub up --state /s`, starts it"),
        ("`lkhub down && lkhub up --detach`", "`lkhub down --state /s && lkhub up --detach --state /s`"),
        ("`lkhub down --state /other` stops that hub", "`lkhub down --state /other` stops that hub"),
        ("`lkhub verify --url ws://h` there", "`lkhub verify --url ws://h` there"),
        ("`lkhub --help` lists the commands", "`lkhub --help` lists the commands"),
        ("`kill 5` stops the hub", "`kill 5` stops the hub"),
        ("`lkhub down && lkhub install --now`", "`lkhub down --state /s && lkhub install --now`"),
    ],
)
def test_hint_that_names_its_hub_stays_as_it_is(hint: str, shown: str) -> None:
    assert name_hub(hint, ["status", "--state", "/s"]) == shown
    assert name_hub(hint, ["status"]) == hint


@pytest.mark.parametrize("name", main_module.COMMANDS)
def test_hint_has_no_option_that_its_command_does_not_take(name: str) -> None:
    """`lkhub upgrade --state DIR` is refused."""
    command = main_module._load(main_module.COMMANDS[name], name)
    leaves = {f"{name} {leaf}": each for leaf, each in getattr(command, "commands", {}).items()} or {name: command}
    for typed, leaf in leaves.items():
        takes = any("--state" in parameter.opts for parameter in leaf.params)
        assert takes or "--state" not in name_hub(f"`lkhub {typed}`", ["status", "--state", "/s"]), typed


def test_hint_of_a_hub_for_development_starts_that_one(applied: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LKHUB_STATE", applied.root)
    assert name_hub("`lkhub up` starts it", ["status"]) == "`lkhub up` starts it"
    write_private(
        applied.applied, json.dumps({**json.loads(Path(applied.applied).read_text()), "spec": applied.dev_spec})
    )
    for hint, shown in (
        ("`lkhub up` starts it", "`lkhub up --dev` starts it"),
        ("`lkhub up --now` does it", "`lkhub up --now --dev` does it"),
        ("`lkhub down && lkhub up --detach`", "`lkhub down && lkhub up --detach --dev`"),
        ("`lkhub up --spec x` runs by that", "`lkhub up --spec x` runs by that"),
        ("`lkhub up --dev` again", "`lkhub up --dev` again"),
    ):
        assert name_hub(hint, ["status"]) == shown
    assert find_typed(applied).type("lkhub up") == "lkhub up --dev", "a finding says it too"


def test_hint_of_a_hub_for_development_that_was_never_up_starts_one(paths: StatePaths) -> None:
    assert name_hub(STARTS, ["up", "--dev", "--state", paths.root]).startswith("`lkhub up --now --dev --state ")


@pytest.fixture
def service(paths: StatePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The hub of `paths` as a service of its user."""
    made = user_service(str(tmp_path / "home"), paths.root, "ann")
    Path(made.unit_file).parent.mkdir(parents=True)
    Path(made.unit_file).write_text("")
    monkeypatch.setattr(locate, "find_own_service", lambda: made)
    monkeypatch.setenv("LKHUB_STATE", paths.root)
    return made


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("`lkhub up` starts it", "`lkhub install` starts it"),
        ("`lkhub down`, then `lkhub up`, starts it", "`lkhub down`, then `lkhub install`, starts it"),
        ("`kill 5 && lkhub up --detach`, or `lkhub up --now`", "`kill 5 && lkhub install`, or `lkhub install --now`"),
        ("`lkhub down && lkhub up --detach`", "`lkhub down && lkhub install`"),
        ("`lkhub up --spec x` makes it run by that", "`lkhub install --spec x` makes it run by that"),
        ("`lkhub up --dev` again", "`lkhub up --dev` again"),
    ],
)
@pytest.mark.usefixtures("service")
def test_hint_about_a_service_tells_no_command_that_a_service_refuses(paths: StatePaths, hint: str, shown: str) -> None:
    assert name_hub(hint, ["status"]) == shown
    assert name_hub(hint, ["status", "--state", f"{paths.root}-of-another"]).count("lkhub up") == hint.count("lkhub up")


def test_service_of_the_machine_is_applied_as_root(
    paths: StatePaths, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "SYSTEM", replace(service, of_user=False, command="/usr/local/bin/lkhub"))
    for uid, shown in ((0, "lkhub install"), (1000, "sudo /usr/local/bin/lkhub install")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        assert name_hub("`lkhub up` starts it", ["status", "--state", paths.root]) == f"`{shown}` starts it"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A hub that is this machine's service, which this user without root does not see."""
    unit = tmp_path / "lkhub.service"
    unit.touch()
    service = replace(SYSTEM, unit_file=str(unit))
    monkeypatch.setattr(locate, "SYSTEM", service)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return service


ABOUT_A_HUB = [
    ("agents", "list"),
    ("agents", "dispatch", "my room"),
    ("rooms", "list"),
    ("token", "--room", "my room", "--identity", "ann"),
    ("env",),
    ("verify",),
    ("logs", "media", "-n", "5"),
    ("restart", "media"),
    ("trust",),
    ("down",),
    ("keys", "list"),
    ("access", "list"),
    ("invite", "create", "lobby"),
    ("webhooks", "list"),
]


@pytest.mark.parametrize("typed", ABOUT_A_HUB, ids=" ".join)
@pytest.mark.usefixtures("machine")
def test_command_without_root_names_the_hub_that_is_the_service_of_the_machine(
    run: Run, typed: tuple[str, ...]
) -> None:
    first = f"hint: `sudo /usr/local/bin/lkhub {shlex.join(typed)}` is about the hub that is this machine's service\n"
    for given in ((), ("--state", "/nowhere/hub")):
        assert first in run(*typed, *given).err


@pytest.mark.parametrize("typed", [("agents", "list"), ("restart",)], ids=" ".join)
@pytest.mark.usefixtures("machine", "applied")
def test_hub_that_was_up_names_the_one_of_the_machine_too(run: Run, typed: tuple[str, ...]) -> None:
    assert f"`sudo /usr/local/bin/lkhub {' '.join(typed)}`" in run(*typed).err


def test_hub_of_the_machine_is_named_only_where_it_is_another_one(
    run: Run, machine: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert f"`lkhub env --state {machine.installation.state}` is about" in run("env").err
    assert f"`lkhub env --state {machine.installation.state}` is about" in run("env", "--state=/nowhere/hub").err
    os.remove(machine.unit_file)
    assert "is about" not in run("env").err


@pytest.mark.usefixtures("service", "applied")
def test_commands_tell_of_a_service_what_it_takes(run: Run) -> None:
    assert "`lkhub install --spec hub.yaml` makes it run" in run("init").err
    for command in (["restart"], ["agents", "list"], ["keys", "rotate"], ["webhooks", "list"]):
        said = run(*command).err
        assert "`lkhub install" in said, command
        assert "lkhub up" not in said, command


STARTS = "`lkhub up --now` starts it"


def set_spec(paths: StatePaths, spec: str | None) -> None:
    record = json.loads(Path(paths.applied).read_text())
    Path(paths.applied).write_text(json.dumps(record | {"spec": spec}))


def test_hub_is_started_by_its_spec_where_this_folder_has_none(run: Run, applied: StatePaths) -> None:
    set_spec(applied, "/srv/a b/hub.yaml")
    arguments = ["status", "--state", applied.root]
    named = "`lkhub up --now --spec '/srv/a b/hub.yaml'"
    assert name_hub(STARTS, arguments).startswith(named)
    assert find_typed(applied).spec == " --spec '/srv/a b/hub.yaml'"
    assert "`lkhub up --spec '/srv/a b/hub.yaml'" in run("agents", "list").err
    Path("hub.yaml").touch()
    assert name_hub(STARTS, arguments).startswith(named), "the one here is that of another hub"
    assert "--spec" not in name_hub(STARTS, ["up", *arguments[1:]]), "`up` has taken the one here"


@pytest.mark.parametrize("command", [*main_module.COMMANDS])
@pytest.mark.parametrize("given", [("--spec", "/srv/new hub.yaml"), ("--spec=/srv/new hub.yaml",)], ids=len)
def test_spec_that_was_named_is_meant(applied: StatePaths, run: Run, command: str, given: tuple[str, ...]) -> None:
    set_spec(applied, "/srv/hub.yaml")
    Path("hub.yaml").touch()
    assert name_hub(STARTS, [command, *given]) == "`lkhub up --now --spec '/srv/new hub.yaml'` starts it"


@pytest.mark.parametrize("spec", ["here", "none"])
def test_spec_is_not_named_where_it_is_taken_anyway(applied: StatePaths, run: Run, spec: str) -> None:
    set_spec(applied, {"here": os.path.abspath("hub.yaml"), "none": None}[spec])
    assert find_typed(applied).spec == ""
    assert "--spec" not in name_hub(STARTS, ["status", "--state", applied.root])


@pytest.mark.parametrize("runs", [True, False], ids=["systemd", "no systemd"])
@pytest.mark.usefixtures("service", "applied")
def test_systemctl_is_told_only_where_systemd_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: bool
) -> None:
    """A container may have the units of a machine, and no systemd."""
    monkeypatch.setattr(systemd, "_BOOTED", str(tmp_path if runs else "/nowhere"))
    monkeypatch.setattr(systemd, "has_program", lambda _: True)
    Path("hub.age").write_bytes(MAGIC[0])
    monkeypatch.setattr(restore, "is_running", lambda _: True)
    refused = run("up")
    assert (refused.code, "this hub is a service" in refused.err) == (2, True)
    assert "`lkhub up" not in refused.err, "it would be the answer to itself"
    assert ("where systemd runs" in refused.err) != runs
    for done in (refused, run("down"), run("restore", "hub.age")):
        assert ("systemctl" in done.err) == runs, done.err
