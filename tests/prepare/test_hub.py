"""From a spec file to everything a hub needs, and what happens to the state directory on the way."""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import InputError, MachineError
from lkhub.findings.fault import SpecError
from lkhub.host.kernel import require_load_figures
from lkhub.plan.installation import Installation
from lkhub.plan.network import LookedUp
from lkhub.prepare import hub as prepare
from lkhub.prepare.hub import plan_elsewhere, plan_hub, prepare_again, prepare_hub
from lkhub.secret import Secret
from lkhub.spec.model import Spec
from lkhub.wire.engine import ConfigMessage
from tests.machines import LOOPBACK, MACHINES, OTHER_LAN, make_facts, make_installation
from tests.prepare.conftest import LAN, SECRET, Run, keys_of, refuse


def test_hub_without_a_spec_is_the_default_one(run: Run) -> None:
    hub = run(None)
    assert hub.spec is None
    assert hub.plan.reach == "local"


def test_spec_is_known_by_its_absolute_path(run: Run, tmp_path: Path) -> None:
    assert run("web: 9000").spec == str(tmp_path / "hub.yaml")


def test_files_are_everything_that_the_processes_read(run: Run) -> None:
    hub = run()
    wanted = {path for process in hub.plan.processes for path in process.files}
    assert wanted <= set(hub.files)
    assert set(hub.fingerprints) == {"media", "relay", "serve"}
    assert not os.path.exists(hub.plan.paths.rendered), "in memory: writing them is the supervisor's"


def test_preparing_again_changes_nothing(run: Run) -> None:
    first, second = run(), run()
    assert (first.files, first.fingerprints) == (second.files, second.fingerprints)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("# a comment\n", set()),
        ("web: 9000", {"serve"}),
        ("media: {signal: 9000}", {"media", "serve"}),
        ("media: {udp: 9000}", {"media", "relay"}),
        ("turn: {udp: 9000}", {"media", "relay"}),
        ("turn: {relay: 9000-9010}", {"relay"}),
        ("livekit: {room: {auto_create: false}}", {"media", "serve"}),
        ("access: {create: operator}", {"media", "serve"}),
        (f"keys: {{source: {{key: API, secret: {SECRET}}}}}", {"media"}),
        ("name: other", {"relay", "serve"}),
    ],
)
def test_only_what_a_change_concerns_becomes_another_process(run: Run, text: str, changed: set[str]) -> None:
    before, after = run().fingerprints, run(text).fingerprints
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("text", "changed", "reloaded"),
    [
        ("web: 9000", {"serve", "edge"}, {"edge"}),
        ("media: {signal: 9000}", {"media", "serve", "edge"}, {"edge"}),
        ("media: {udp: 9000}", {"media", "relay", "edge"}, {"edge"}),
        ("tls: {http: off}", {"serve", "edge"}, {"edge"}),
        ("tls: {listen: 8443}", {"media", "serve", "edge"}, {"edge"}),
        # TURN over UDP has the ports of TURN over TLS, too.
        ("turn: {tls: false}", {"media", "relay", "edge"}, {"edge"}),
        (f"keys: {{source: {{key: API, secret: {SECRET}}}}}", {"media"}, {"media"}),
    ],
)
def test_edge_takes_a_change_of_its_file_over_and_media_is_left_alone_where_it_can_be(
    run: Run, text: str, changed: set[str], reloaded: set[str]
) -> None:
    run.apply(LAN)
    before, hub = run(LAN).fingerprints, run(LAN + text)
    after = hub.fingerprints
    assert {name for name in before if before[name] != after[name]} == changed
    can = {process.name for process in hub.plan.processes if process.reloads}
    can |= {process.name for process in hub.plan.processes if after[process.name].files == before[process.name].files}
    same_program = {name for name in changed if before[name].program == after[name].program}
    assert can & same_program == reloaded


def test_addresses_that_are_arguments_make_another_program(run: Run) -> None:
    before, after = run(LAN), run(LAN + "media: {advertise: [192.168.1.5, 192.168.1.6]}")
    assert before.fingerprints["media"].program != after.fingerprints["media"].program


def test_planning_alone_writes_nothing_and_needs_no_keys(run: Run, tmp_path: Path) -> None:
    Path("hub.yaml").write_text(LAN + "keys: {source: {file: nowhere.yaml}}\n")
    hub = plan_hub("hub.yaml", str(tmp_path / "state"))
    assert (hub.plan.reach, hub.plan.installation.folder, hub.network) == ("lan", str(tmp_path), make_facts())
    assert hub.raw == Path("hub.yaml").read_bytes()
    assert not os.path.exists("state")
    Path("hub.yaml").write_text("web: 0\n")
    with pytest.raises(SpecError):
        plan_hub("hub.yaml", str(tmp_path / "state"))


@pytest.mark.parametrize("starts", [False, True])
def test_agents_are_judged_where_the_installation_starts_them(run: Run, tmp_path: Path, starts: bool) -> None:
    Path("hub.yaml").write_text(LAN + "agents: [{name: bmo, image: a}]\n")
    plans = (
        partial(plan_hub, "hub.yaml", str(tmp_path / "state")),
        partial(plan_elsewhere, "hub.yaml", make_installation("state", str(tmp_path))),
    )
    for plan in plans:
        if starts:
            with pytest.raises(SpecError, match="an agent that is an image needs a hub in containers"):
                plan(starts=True)
        else:
            assert plan().plan.agents


def test_preparing_again_uses_the_text_of_then_on_the_machine_of_now(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = run("reach: lan\nweb: 9000\nkeys: {source: {env: [K, S]}}", K="API", S=SECRET)
    Path("hub.yaml").write_text("nonsense: 1\n")
    monkeypatch.setattr(prepare, "gather_network", lambda: make_facts(LOOPBACK, OTHER_LAN))
    again = prepare_again(hub)
    assert again.plan.serve.port == 9000
    assert [str(address) for address in again.plan.media.advertise] == ["10.0.0.9"]
    assert (again.spec, keys_of(again), again.environ) == (hub.spec, keys_of(hub), hub.environ)
    assert again.plan.installation == hub.plan.installation


@pytest.mark.parametrize(
    ("text", "machine", "asked"),
    [
        ("reach: public\ndomain: rtc.example.com", "home", True),
        ("reach: public\ndomain: rtc.example.com", "vps", False),
        ("reach: lan\ndomain: rtc.example.com", "home", False),
    ],
)
def test_name_servers_are_asked_where_the_plan_needs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, text: str, machine: str, asked: bool
) -> None:
    seen: list[bool] = []

    def look_up(spec: Spec, installation: Installation, *, ask_domain: bool) -> LookedUp:
        seen.append(ask_domain)
        return MACHINES[machine].looked_up

    network = replace(MACHINES[machine], looked_up=LookedUp())
    monkeypatch.setattr(prepare, "gather_network", lambda: network)
    monkeypatch.setattr(prepare, "look_up", look_up)
    hub = run(text)
    assert seen == [asked]
    assert str(hub.plan.media.advertise[0]) in ("1.2.3.4", "192.168.1.5")


def test_another_build_of_the_engine_is_another_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run().fingerprints
    monkeypatch.setattr(prepare, "engine_build", lambda path: "another" if "engine" in path else "")
    after = run().fingerprints
    assert {name for name in before if before[name] != after[name]} >= {"media", "relay"}


def test_all_faults_come_together(run: Run) -> None:
    text = "web: 0\nengine: ./nowhere\nkeys: {source: {file: nowhere.yaml}}\nmedia: {advertise: 10.1.2.3}\nxyz: 1\n"
    assert refuse(run, text) == [(1, "web"), (2, "engine"), (3, "keys.source"), (4, "media.advertise"), (5, "xyz")]


def test_every_wrong_pair_of_a_key_file_is_a_fault_in_its_order(run: Run) -> None:
    Path("keys.yaml").write_text(f"A: short\nB:\n{'#' * 9 + chr(10)}C: {SECRET}\n" + "\n" * 6 + f"{SECRET}: D\n")
    with pytest.raises(SpecError) as refused:
        run("keys: {source: {file: keys.yaml}}")
    assert [fault.key for fault in refused.value.faults] == ["keys.source"] * 3
    assert [fault.title.split(": ")[0] for fault in refused.value.faults] == [
        "keys.yaml:1",
        "keys.yaml:2",
        "keys.yaml:11",
    ]
    assert SECRET not in str(refused.value)


def test_managed_keys_outlive_a_time_with_other_ones(run: Run) -> None:
    managed = keys_of(run())
    assert keys_of(run(f"keys: {{source: {{key: API, secret: {SECRET}}}}}")) == {"API": Secret(SECRET)}
    assert keys_of(run()) == managed


def test_raw_keys_are_judged_at_their_own_lines(run: Run, complaints: dict[str, str]) -> None:
    complaints["nonsense: 1"] = "field nonsense not found"
    complaints["num_tracks: x"] = "cannot unmarshal x"
    text = "livekit:\n  room: {}\n  nonsense: 1\n  limit:\n    num_tracks: x\n"
    assert refuse(run, text) == [(3, "livekit.nonsense"), (5, "livekit.limit.num_tracks")]


@pytest.mark.parametrize(
    ("given", "known", "hint"),
    [
        ("rooms", ("port", "room", "rtc"), "did you mean room?"),
        ("nonsense", ("port", "room"), "known here: port, room"),
    ],
)
def test_raw_key_that_livekit_has_not_comes_with_a_near_match(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: str, known: tuple[str, ...], hint: str
) -> None:
    def check(engine: str, text: str) -> tuple[ConfigMessage, ...]:
        lines = text.splitlines()
        found = [number for number, line in enumerate(lines, 1) if line.startswith(f"{given}:")]
        return tuple(
            ConfigMessage("unknown-key", line, "field x not found in type config.Config", known) for line in found
        )

    monkeypatch.setattr(prepare, "check_config", check)
    with pytest.raises(SpecError) as refused:
        run(f"name: hub\nlivekit:\n  room: {{}}\n  {given}: {{}}\n")
    [fault] = refused.value.faults
    assert (fault.line, fault.key) == (4, f"livekit.{given}")
    assert (fault.title, fault.hint) == ("LiveKit has no such key", hint)


WEBHOOK = "livekit:\n  webhook:\n    urls: ['http://127.0.0.1:9/x']\n"
OWN_KEY = f"keys: {{source: {{key: APIown, secret: {SECRET}}}}}\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "hint"),
    [
        (WEBHOOK, 2, "livekit.webhook", "write `webhooks: [{url: …}]` at the top"),
        (WEBHOOK + "    api_key: mykey\n", 4, "livekit.webhook.api_key", "write `webhooks: [{url: …}]` at the top"),
        (WEBHOOK + "    api_key: mykey\n" + OWN_KEY, 4, "livekit.webhook.api_key", "one of its keys: APIown"),
    ],
)
def test_webhook_that_is_signed_with_no_key_of_the_hub_is_a_fault(
    run: Run, text: str, line: int, key: str, hint: str
) -> None:
    with pytest.raises(SpecError) as refused:
        run(text)
    [fault] = refused.value.faults
    assert (fault.line, fault.key) == (line, key)
    assert hint in fault.hint
    assert not os.path.exists("state"), "a spec that is wrong changes nothing"


def test_engines_own_complaint_of_it_is_not_told_beside_in_whatever_words(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(engine: str, text: str) -> tuple[ConfigMessage, ...]:
        return (ConfigMessage("no-webhook-key", None, "reworded"),) if "webhook" in text else ()

    monkeypatch.setattr(prepare, "check_config", check)
    assert refuse(run, WEBHOOK) == [(2, "livekit.webhook")]


def test_webhook_that_is_signed_with_a_key_of_the_hub_is_none(run: Run) -> None:
    assert run(WEBHOOK + "    api_key: APIown\n" + OWN_KEY)
    managed = next(iter(keys_of(run(""))))
    assert run(WEBHOOK + f"    api_key: {managed}\n")


def test_raw_keys_and_the_rest_of_the_spec_are_judged_together(run: Run, complaints: dict[str, str]) -> None:
    complaints["nonsense: 1"] = "field nonsense not found"
    assert refuse(run, "livekit: {nonsense: 1}\nweb: 0\n") == [(1, "livekit.nonsense"), (2, "web")]


def test_raw_keys_that_are_right_are_taken_before_the_hub_was_ever_up(run: Run) -> None:
    assert "development: true" in run("livekit: {development: true}").files[run().plan.paths.render("livekit.yaml")]


@pytest.mark.parametrize("engine", ["nowhere", "/", '""', '"a\\0b"', '"\\ud800"', "hub.yaml"])
def test_engine_that_is_no_program_is_a_fault(run: Run, engine: str) -> None:
    assert refuse(run, f"name: a\nengine: {engine}\n") == [(2, "engine")]


def test_engine_is_found_beside_the_spec(run: Run, tmp_path: Path) -> None:
    program = tmp_path / "livekit-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert run("engine: ./livekit-server").plan.processes[0].argv[0] == str(program)


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_spec_that_cannot_be_read_is_the_users_fault(run: Run, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        prepare_hub(name, str(tmp_path / "state"), {})
    assert not os.path.exists("state")


def test_variables_that_the_spec_names_go_along_and_no_others(run: Run) -> None:
    """The supervisor's own environment is another."""
    hub = run("keys: {source: {env: [K, S]}}", K="API", S=SECRET, HOME="/home/me")
    assert hub.environ == {"K": "API", "S": SECRET}
    assert list(keys_of(hub)) == ["API"]
    assert run("", HOME="/home/me").environ == {}


def test_secrets_are_in_private_files_and_in_no_representation(run: Run) -> None:
    hub = run("keys: {source: {env: [K, S]}}", K="API", S=SECRET)
    holders = [path for path, text in hub.files.items() if SECRET in text]
    assert holders == [hub.plan.paths.keys]
    relay_secret = Path(hub.plan.paths.relay_secret).read_text().strip()
    shown: dict[str, Any] = {"hub": repr(hub), "plan": repr(hub.plan), "fingerprints": repr(hub.fingerprints)}
    for name, text in shown.items():
        assert SECRET not in text, name
        assert relay_secret not in text, name


TURN = """
turn:
  external:
  - {url: "turn:a", secret: {file: coturn.secret}}
  - {url: "turn:b", username: hub, credential: {env: CREDENTIAL}}
"""


def test_secrets_of_other_peoples_turn_servers_reach_livekit_and_nobody_else(run: Run) -> None:
    Path("coturn.secret").write_text("XYZshared\n")
    hub = run(TURN, CREDENTIAL="XYZcredential", OTHER="x")
    assert hub.files[hub.plan.paths.turn_secret(0)] == "XYZshared\n"
    livekit_yaml = hub.files[hub.plan.paths.render("livekit.yaml")]
    assert "credential: XYZcredential" in livekit_yaml
    assert "XYZshared" not in livekit_yaml
    rest = [text for path, text in hub.files.items() if not path.endswith(("livekit.yaml", "turn-1.secret"))]
    assert "XYZ" not in "".join(rest) + repr(hub)
    assert hub.environ == {"CREDENTIAL": "XYZcredential"}


def test_a_changed_turn_secret_is_another_media_process(run: Run) -> None:
    Path("coturn.secret").write_text("one")
    first = run(TURN, CREDENTIAL="c")
    Path("coturn.secret").write_text("two")
    second, third = run(TURN, CREDENTIAL="c"), run(TURN, CREDENTIAL="d")
    prints = [hub.fingerprints["media"] for hub in (first, second, third)]
    assert len(set(prints)) == 3
    assert len({hub.fingerprints["serve"] for hub in (first, second, third)}) == 1


def test_turn_secrets_that_are_not_there_are_faults_at_their_server(run: Run) -> None:
    with pytest.raises(SpecError) as refused:
        run(TURN)
    assert [(fault.key, fault.line) for fault in refused.value.faults] == [
        ("turn.external[0]", 4),
        ("turn.external[1]", 5),
    ]
    Path("coturn.secret").write_text("\n")
    with pytest.raises(SpecError, match=r"turn\.external\[0\]: the secret is empty"):
        run(TURN, CREDENTIAL="c")


def test_machine_that_hides_its_load_is_told_before_anything_starts(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ProcSubset=pid of systemd: LiveKit ends at once there."""
    monkeypatch.setattr(prepare, "require_load_figures", lambda: require_load_figures(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(MachineError) as refused:
        run("")
    assert "stat is hidden" in refused.value.message
    assert "ProcSubset=pid" in refused.value.hints[0]
    (tmp_path / "stat").touch()
    assert run("")
