"""From a spec file to everything a hub needs, and what happens to the state directory on the way."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub import prepare
from lkhub.errors import InputError, SpecError
from lkhub.host.engine import ConfigMessage
from lkhub.plan.facts import NodeFacts
from lkhub.prepare import PreparedHub, prepare_hub
from lkhub.spec.secret import Secret
from tests.machines import make_facts

SECRET = "XYZ" * 15

Prepare = Callable[..., PreparedHub]


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What LiveKit's parser would say: text of a line → complaint."""
    found: dict[str, str] = {}

    def check(engine: str, text: str) -> tuple[ConfigMessage, ...]:
        lines = [
            ConfigMessage(number, found[line.strip()])
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() in found
        ]
        # As on a machine where the hub has never been up.
        key_file = next(number for number, line in enumerate(text.splitlines(), 1) if "key_file" in line)
        return (ConfigMessage(key_file, "key_file: no such file or directory"), *lines)

    monkeypatch.setattr(prepare, "check_config", check)
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaints: dict[str, str]) -> Prepare:
    """`run("web: 9000")` prepares that spec for a laptop; its state is in `state` of the test's folder."""

    def gather(state: str, folder: str) -> NodeFacts:
        return replace(make_facts(), state=state, folder=folder)

    monkeypatch.setattr(prepare, "gather_node_facts", gather)
    monkeypatch.chdir(tmp_path)

    def run_one(text: str | None = "", **environ: str) -> PreparedHub:
        if text is not None:
            Path("hub.yaml").write_text(text)
        return prepare_hub(None if text is None else "hub.yaml", str(tmp_path / "state"), environ)

    return run_one


def refuse(run: Prepare, text: str, **environ: str) -> list[tuple[int | None, str]]:
    """The faults of a spec; that it changed nothing is checked."""
    with pytest.raises(SpecError) as refused:
        run(text, **environ)
    assert not os.path.exists("state"), "a spec that is wrong changes nothing"
    return [(fault.line, fault.key) for fault in refused.value.faults]


def test_hub_without_a_spec_is_the_default_one(run: Prepare) -> None:
    hub = run(None)
    assert hub.spec is None
    assert hub.plan.reach == "local"


def test_spec_is_known_by_its_absolute_path(run: Prepare, tmp_path: Path) -> None:
    assert run("web: 9000").spec == str(tmp_path / "hub.yaml")


def test_files_are_everything_that_the_processes_read(run: Prepare) -> None:
    hub = run()
    wanted = {path for process in hub.plan.processes for path in process.files}
    assert wanted <= set(hub.files)
    assert set(hub.fingerprints) == {"media", "relay", "serve"}
    assert not os.path.exists(hub.plan.paths.rendered), "in memory: writing them is the supervisor's"


def test_preparing_again_changes_nothing(run: Prepare) -> None:
    first, second = run(), run()
    assert (first.files, first.fingerprints, first.keys) == (second.files, second.fingerprints, second.keys)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("# a comment\n", set()),
        ("web: 9000", {"serve"}),
        ("media: {signal: 9000}", {"media", "serve"}),
        ("media: {udp: 9000}", {"media", "relay"}),
        ("turn: {udp: 9000}", {"media", "relay"}),
        ("turn: {relay: 9000-9010}", {"relay"}),
        ("livekit: {room: {auto_create: false}}", {"media"}),
        (f"keys: {{source: {{key: API, secret: {SECRET}}}}}", {"media", "serve"}),
        ("name: other", {"relay", "serve"}),
    ],
)
def test_only_what_a_change_concerns_becomes_another_process(run: Prepare, text: str, changed: set[str]) -> None:
    before, after = run().fingerprints, run(text).fingerprints
    assert {name for name in before if before[name] != after[name]} == changed


def test_another_build_of_the_engine_is_another_process(run: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run().fingerprints
    monkeypatch.setattr(prepare, "engine_build", lambda path: "another" if "engine" in path else "")
    after = run().fingerprints
    assert {name for name in before if before[name] != after[name]} >= {"media", "relay"}


def test_all_faults_come_together(run: Prepare) -> None:
    text = "web: 0\nengine: ./nowhere\nkeys: {source: {file: nowhere.yaml}}\nmedia: {advertise: 10.1.2.3}\nxyz: 1\n"
    assert refuse(run, text) == [(1, "web"), (2, "engine"), (3, "keys.source"), (4, "media.advertise"), (5, "xyz")]


def test_every_wrong_pair_of_a_key_file_is_a_fault_in_its_order(run: Prepare) -> None:
    Path("keys.yaml").write_text(f"A: short\nB:\n{'#' * 9 + chr(10)}C: {SECRET}\n" + "\n" * 6 + f"{SECRET}: D\n")
    with pytest.raises(SpecError) as refused:
        run("keys: {source: {file: keys.yaml}}")
    assert [fault.key for fault in refused.value.faults] == ["keys.source"] * 3
    assert [fault.problem.split(": ")[0] for fault in refused.value.faults] == [
        "keys.yaml:1",
        "keys.yaml:2",
        "keys.yaml:11",
    ]
    assert SECRET not in str(refused.value)


def test_managed_keys_outlive_a_time_with_other_ones(run: Prepare) -> None:
    managed = run().keys
    assert run(f"keys: {{source: {{key: API, secret: {SECRET}}}}}").keys == {"API": Secret(SECRET)}
    assert run().keys == managed


def test_raw_keys_are_judged_at_their_own_lines(run: Prepare, complaints: dict[str, str]) -> None:
    complaints["nonsense: 1"] = "field nonsense not found"
    complaints["num_tracks: x"] = "cannot unmarshal x"
    text = "livekit:\n  room: {}\n  nonsense: 1\n  limit:\n    num_tracks: x\n"
    assert refuse(run, text) == [(3, "livekit.nonsense"), (5, "livekit.limit.num_tracks")]


def test_raw_keys_and_the_rest_of_the_spec_are_judged_together(run: Prepare, complaints: dict[str, str]) -> None:
    complaints["nonsense: 1"] = "field nonsense not found"
    assert refuse(run, "livekit: {nonsense: 1}\nweb: 0\n") == [(1, "livekit.nonsense"), (2, "web")]


def test_raw_keys_that_are_right_are_taken_before_the_hub_was_ever_up(run: Prepare) -> None:
    assert "development: true" in run("livekit: {development: true}").files[run().plan.paths.render("livekit.yaml")]


@pytest.mark.parametrize("engine", ["nowhere", "/", '""', '"a\\0b"', '"\\ud800"', "hub.yaml"])
def test_engine_that_is_no_program_is_a_fault(run: Prepare, engine: str) -> None:
    assert refuse(run, f"name: a\nengine: {engine}\n") == [(2, "engine")]


def test_engine_is_found_beside_the_spec(run: Prepare, tmp_path: Path) -> None:
    program = tmp_path / "livekit-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert run("engine: ./livekit-server").plan.processes[0].argv[0] == str(program)


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_spec_that_cannot_be_read_is_the_users_fault(run: Prepare, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        prepare_hub(name, str(tmp_path / "state"), {})
    assert not os.path.exists("state")


def test_variables_that_the_spec_names_go_along_and_no_others(run: Prepare) -> None:
    """The supervisor's own environment is another."""
    hub = run("keys: {source: {env: [K, S]}}", K="API", S=SECRET, HOME="/home/me")
    assert hub.environ == {"K": "API", "S": SECRET}
    assert list(hub.keys) == ["API"]
    assert run("", HOME="/home/me").environ == {}


def test_secrets_are_in_private_files_and_in_no_representation(run: Prepare) -> None:
    hub = run("keys: {source: {env: [K, S]}}", K="API", S=SECRET)
    holders = [path for path, text in hub.files.items() if SECRET in text]
    assert holders == [hub.plan.paths.keys]
    relay_secret = Path(hub.plan.paths.relay_secret).read_text().strip()
    shown: dict[str, Any] = {"hub": repr(hub), "plan": repr(hub.plan), "fingerprints": repr(hub.fingerprints)}
    for name, text in shown.items():
        assert SECRET not in text, name
        assert relay_secret not in text, name
