"""The commands in hints: about which hub they are, and what that takes."""

import json
import re
from pathlib import Path

import pytest

from lkhub.cli import main as main_module
from lkhub.cli.shared.show import name_hub
from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
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
        ("`lkhub up --now` does it", "`lkhub up --dev --now` does it"),
        ("`lkhub down && lkhub up --detach`", "`lkhub down && lkhub up --dev --detach`"),
        ("`lkhub up --spec x` runs by that", "`lkhub up --spec x` runs by that"),
        ("`lkhub up --dev` again", "`lkhub up --dev` again"),
    ):
        assert name_hub(hint, ["status"]) == shown
