"""What is judged before a hub becomes a service."""

import os
from pathlib import Path

import pytest

from lkhub.errors import InputError
from lkhub.findings.fault import SpecError
from lkhub.host import files
from lkhub.host.secrets import DamagedKeysError
from lkhub.plan.network import LookedUp
from lkhub.plan.paths import name_credential
from lkhub.plan.service import Service, user_service
from lkhub.prepare import agents, hub, service
from lkhub.prepare.service import prepare_service
from tests.prepare.service.conftest import write


def test_unit_and_variables_follow_from_the_spec(tmp_path: Path, machine: Service) -> None:
    named = f"{tmp_path}/key.secret"
    Path(named).write_text("s" * 40)
    source = write(tmp_path, f"keys: {{source: {{key: API, secret: {{file: {named}}}}}}}\ndrain: 2m\n")
    made = prepare_service(source, {"OTHER": "x"}, machine)
    assert made.spec == Path(source).read_text()
    assert f"LoadCredential={name_credential(named)}:{named}\n" in made.unit.text
    assert "TimeoutStopSec=150\n" in made.unit.text
    assert made.environment == ""
    assert sorted(os.listdir(tmp_path)) == ["etc", "hub.yaml", "key.secret"]


def test_spec_is_read_once(tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is judged is what is put in place, also while it is edited."""
    reads: list[str] = []
    real = files.read_input

    def read(path: str) -> bytes:
        reads.append(path)
        return real(path)

    for module in (service, hub):
        monkeypatch.setattr(module, "read_input", read)
    source = write(tmp_path, "reach: lan\n")
    prepare_service(source, {}, machine)
    assert reads.count(source) == 1


def test_variables_are_kept_for_the_next_installation(tmp_path: Path, machine: Service) -> None:
    source = write(tmp_path, "keys: {source: {env: [HUB_KEY, HUB_SECRET]}}\n")
    secret = 's"\\' + "s" * 40
    made = prepare_service(source, {"HUB_KEY": "API", "HUB_SECRET": secret, "OTHER": "x"}, machine)
    assert "EnvironmentFile=" in made.unit.text
    Path(machine.environment).write_text(made.environment)
    assert prepare_service(source, {}, machine) == made
    assert secret not in repr(made)


def test_damaged_keys_that_the_spec_does_not_use_keep_no_hub_from_becoming_a_service(
    tmp_path: Path, machine: Service
) -> None:
    Path(machine.installation.state).mkdir()
    Path(machine.installation.paths.managed_keys).write_text("damaged")
    with pytest.raises(DamagedKeysError):
        prepare_service(write(tmp_path, ""), {}, machine)
    (tmp_path / "keys.yaml").write_text(f"API: {'s' * 40}\n")
    assert prepare_service(write(tmp_path, f"keys: {{source: {{file: {tmp_path}/keys.yaml}}}}\n"), {}, machine)


def test_variable_that_is_not_set_is_a_fault(tmp_path: Path, machine: Service) -> None:
    with pytest.raises(SpecError, match="HUB_KEY, HUB_SECRET"):
        prepare_service(write(tmp_path, "keys: {source: {env: [HUB_KEY, HUB_SECRET]}}\n"), {}, machine)


def test_spec_that_is_not_there_says_how_to_make_one(tmp_path: Path, machine: Service) -> None:
    with pytest.raises(InputError) as refused:
        prepare_service(str(tmp_path / "hub.yaml"), {}, machine)
    assert "`lkhub init`" in refused.value.hints[0]


def test_service_of_a_user_needs_no_other_user_and_reads_secrets_itself(tmp_path: Path) -> None:
    own = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    (tmp_path / "key.secret").write_text("s" * 40)
    source = write(tmp_path, f"keys: {{source: {{key: API, secret: {{file: {tmp_path}/key.secret}}}}}}\n")
    unit = prepare_service(source, {}, own).unit.text
    assert f" up --spec {tmp_path}/.config/lkhub/hub.yaml --state {tmp_path}/state\n" in unit
    assert "LoadCredential" not in unit


def test_webhooks_are_signed_with_a_key_that_the_hub_has_made(tmp_path: Path, machine: Service) -> None:
    webhook = "{urls: ['http://127.0.0.1:9/'], api_key: APIours}"
    source = write(tmp_path, f"livekit: {{webhook: {webhook}}}\n")
    with pytest.raises(SpecError, match="names none"):
        prepare_service(source, {}, machine)
    os.mkdir(machine.installation.state)
    Path(machine.installation.paths.managed_keys).write_text(f"APIours: {'s' * 40}\n")
    assert prepare_service(source, {}, machine).plan


def test_name_servers_are_asked_once(tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def look_up(spec: object, *_: object, **__: object) -> LookedUp:
        asked.append(spec)
        return LookedUp()

    monkeypatch.setattr(hub, "look_up", look_up)
    prepare_service(write(tmp_path, ""), {}, machine)
    assert len(asked) == 1


@pytest.mark.parametrize("of_user", [False, True])
@pytest.mark.parametrize(
    ("spec", "unit"),
    [
        ("agents: [{{name: bmo, project: {}, command: node agent.js}}]\n", "lkhub-agent-bmo.service"),
        (
            "tls: {{mode: internal}}\nsites: [{{name: bmo, root: {}/dist, port: 3001, build: make}}]\n",
            "lkhub-site-bmo.service",
        ),
    ],
    ids=["agent", "build"],
)
def test_what_runs_in_the_unit_may_be_compiled_in_memory(
    tmp_path: Path, machine: Service, spec: str, unit: str, of_user: bool
) -> None:
    """Agents and builds of the machine's service have units of their own."""
    project = tmp_path / "project"
    project.mkdir()
    service = user_service(str(tmp_path / "home"), str(tmp_path / "state"), "ann") if of_user else machine
    assert "MemoryDenyWriteExecute" in prepare_service(write(tmp_path, ""), {}, service).unit.text
    made = prepare_service(write(tmp_path, spec.format(project)), {}, service)
    assert ("MemoryDenyWriteExecute" in made.unit.text) != of_user
    assert [each.name for each in made.others] == ([] if of_user else [unit])


def test_service_gets_the_uv_that_its_agents_need(
    tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent").mkdir()
    for name in ("pyproject.toml", "agent.py"):
        (tmp_path / "agent" / name).touch()
    monkeypatch.setattr(agents, "find_uv", lambda: "/somewhere/uv")
    spec = f"agents: [{{name: bmo, project: {tmp_path}/agent}}]\n"
    assert prepare_service(write(tmp_path, spec), {}, machine).uv == "/somewhere/uv"
