"""What is judged before a hub becomes a service."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.errors import InputError
from lkhub.findings.fault import SpecError
from lkhub.host import files, system_user
from lkhub.host.commands import Done
from lkhub.host.secrets import DamagedKeysError
from lkhub.plan.network import LookedUp
from lkhub.plan.paths import name_credential
from lkhub.plan.service import INSTALLED, SYSTEM, Service, user_service
from lkhub.prepare import agents, hub, service
from lkhub.prepare.service import prepare_service
from tests.certificates import make


@pytest.fixture(autouse=True)
def all_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user can read every file, and execute it."""
    for name in ("can_read", "can_execute"):
        monkeypatch.setattr(service, name, lambda *_: True)


@pytest.fixture
def machine(tmp_path: Path) -> Service:
    """A service of a machine on which none is installed."""
    folder, state = tmp_path / "etc", tmp_path / "state"
    folder.mkdir()
    installation = replace(INSTALLED, folder=str(folder), state=str(state), spec=f"{folder}/hub.yaml")
    return replace(SYSTEM, installation=installation, hidden=())


def write(folder: Path, text: str) -> str:
    path = folder / "hub.yaml"
    path.write_text(text)
    return str(path)


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


@pytest.mark.parametrize("of_user", [False, True])
def test_relative_paths_are_absolute_where_the_spec_goes_to(tmp_path: Path, machine: Service, of_user: bool) -> None:
    here = tmp_path / "here"
    for folder in ("agent", "frontend", "dist"):
        (here / folder).mkdir(parents=True)
    (here / "dist/index.html").write_text("")
    (here / "key.secret").write_text("s" * 40)
    pair = make("", names=["hub.example.com"])
    for name, text in (("cert.pem", pair.pem), ("key.pem", pair.key_pem)):
        (here / name).write_text(text)
    source = write(
        here,
        "domain: hub.example.com\n"
        "keys: {source: {key: API, secret: {file: key.secret}}}  # of ours\n"
        "tls: {mode: files, cert: cert.pem, key: key.pem}\n"
        "agents: [{name: a, project: agent, command: node agent.js}]\n"
        "sites:\n"
        "- {name: b, root: frontend/out, port: 3001, build: make}\n"
        "- {name: c, root: dist, port: 3002}\n",
    )
    own = user_service(str(tmp_path / "home"), str(tmp_path / "state"), "ann")
    made = prepare_service(source, {}, own if of_user else machine)
    assert made.absolute == {
        "keys.source.secret.file": f"{here}/key.secret",
        "tls.cert": f"{here}/cert.pem",
        "tls.key": f"{here}/key.pem",
        "agents[0].project": f"{here}/agent",
        "sites[0].root": f"{here}/frontend/out",
        "sites[1].root": f"{here}/dist",
    }
    assert f"secret: {{file: {here}/key.secret}}}}}}  # of ours\n" in made.spec
    assert made.plan.agents[0].project == f"{here}/agent"
    assert made.plan.edge
    assert made.plan.edge.sites[0].build
    assert made.plan.edge.sites[0].build.project == f"{here}/frontend"
    installed = write(Path(machine.folder), made.spec)
    again = prepare_service(installed, {}, machine)
    assert (again.spec, again.absolute) == (made.spec, {})


def test_paths_of_the_spec_that_is_installed_start_from_its_folder(tmp_path: Path, machine: Service) -> None:
    folder = Path(machine.folder)
    (folder / "key.secret").write_text("s" * 40)
    source = write(folder, "keys: {source: {key: API, secret: {file: key.secret}}}\n")
    made = prepare_service(source, {}, machine)
    assert made.spec == Path(source).read_text()
    assert f":{folder}/key.secret\n" in made.unit.text


def test_path_that_cannot_be_replaced_is_refused_with_the_right_one(tmp_path: Path, machine: Service) -> None:
    (tmp_path / "agent").mkdir()
    agents = "[{name: &n agent, project: *n, command: node agent.js}]"
    with pytest.raises(InputError) as refused:
        prepare_service(write(tmp_path, f"agents: {agents}\n"), {}, machine)
    first, *_, last = refused.value.message.splitlines()
    assert first == f"agents[0].project: agent is relative; write {tmp_path}/agent"
    assert last == "nothing was changed"


@pytest.mark.parametrize(
    ("named", "home", "hint"),
    [
        ("agent", False, "`cp -r {here} /srv/ && lkhub install --spec /srv/here/hub.yaml` copies all of it"),
        ("agent", True, "`cp -r {here}/agent /srv/` copies it to where a service sees it; then write /srv/agent"),
        ("../agent", False, "`cp -r {above}/agent /srv/` copies it to where a service sees it; then write /srv/agent"),
    ],
    ids=["beside the spec", "in a home directory", "elsewhere"],
)
def test_folder_that_a_service_does_not_see_comes_with_the_command_that_copies_it(
    named: str, home: bool, hint: str, tmp_path: Path, machine: Service
) -> None:
    here = tmp_path / "here"
    for folder in (here / "agent", tmp_path / "agent"):
        folder.mkdir(parents=True)
    hidden = (f"{here}/",) if home else (f"{tmp_path}/",)
    source = write(here, f"agents: [{{name: a, project: {named}, command: node agent.js}}]\n")
    with pytest.raises(InputError, match=r"agents\[0\].project: .*/agent: a service does not see ") as refused:
        prepare_service(source, {}, replace(machine, hidden=hidden))
    assert len(refused.value.hints) == 1
    assert refused.value.hints[0].startswith(hint.format(here=here, above=tmp_path))


def test_certificate_that_the_services_user_cannot_read_is_named_with_its_key(
    tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make("", names=["hub.example.com"])
    for name, text in (("cert.pem", pair.pem), ("key.pem", pair.key_pem)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    tls = f"{{mode: files, cert: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}"
    source = write(tmp_path, f"domain: hub.example.com\ntls: {tls}\n")
    assert prepare_service(source, {}, machine).plan.edge
    machine = replace(machine, hidden=("/home/", "/root/", f"{tmp_path}/"))
    monkeypatch.setattr(service, "has_user", lambda _: False)
    monkeypatch.setattr(service, "can_read", lambda _, path: not path.endswith("key.pem"))
    with pytest.raises(InputError) as refused:
        prepare_service(source, {}, machine)
    [line, last] = refused.value.message.splitlines()
    assert line.startswith(f"tls.key: the service's user lkhub can't read {tmp_path}/key.pem")
    assert "a service does not see /home/, /root/" in line
    assert last == "nothing was changed"
    machine = replace(machine, hidden=())
    with pytest.raises(InputError) as refused:
        prepare_service(source, {}, machine)
    said = refused.value.message
    assert "`useradd --system" in said
    assert " lkhub && setfacl -m u:lkhub:x /" in said, "each closed folder above"
    assert f" && setfacl -m u:lkhub:r {tmp_path}/key.pem` lets it" in said
    assert "-R" not in said


@pytest.fixture
def elsewhere(tmp_path: Path, machine: Service) -> Service:
    """Lkhub goes below a folder of the test's."""
    (tmp_path / "opt").mkdir()
    return replace(machine, programs=f"{tmp_path}/opt/lkhub")


def test_closed_folder_above_lkhubs_copy_is_said_before_anything_is_copied(
    tmp_path: Path, elsewhere: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    opt = tmp_path / "opt"
    opt.chmod(0o700)
    monkeypatch.setattr(service, "can_execute", lambda _, path: path != str(opt))
    with pytest.raises(InputError) as refused:
        prepare_service(write(tmp_path, "reach: lan\n"), {}, elsewhere)
    assert f"the service's user lkhub can't enter {opt}" in refused.value.message
    assert f"`chmod o+x {opt}" in refused.value.message
    assert refused.value.message.endswith("nothing was changed")
    assert not (opt / "lkhub").exists()


def test_link_to_where_a_service_does_not_see_is_refused(tmp_path: Path, elsewhere: Service) -> None:
    opt = tmp_path / "opt"
    opt.rmdir()
    (tmp_path / "home").mkdir()
    opt.symlink_to("home")
    assert prepare_service(write(tmp_path, "reach: lan\n"), {}, elsewhere), "a link alone is no fault"
    hidden = replace(elsewhere, hidden=(f"{tmp_path}/home/",))
    with pytest.raises(InputError, match=f"{opt}/lkhub leads to {tmp_path}/home/lkhub, and a service does not see"):
        prepare_service(write(tmp_path, "reach: lan\n"), {}, hidden)


def test_engine_of_the_operators_is_judged_for_the_services_user(
    tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tmp_path / "livekit-server"
    engine.write_text("#!/bin/sh\n")
    engine.chmod(0o755)
    source = write(tmp_path, f"reach: lan\nengine: {engine}\n")
    assert prepare_service(source, {}, machine)
    hidden = replace(machine, hidden=(f"{tmp_path}/",))
    with pytest.raises(InputError, match="engine: a service does not see"):
        prepare_service(source, {}, hidden)
    monkeypatch.setattr(service, "can_execute", lambda _, path: path != str(engine))
    with pytest.raises(InputError, match=f"engine: the service's user lkhub can't execute {engine}"):
        prepare_service(source, {}, machine)
    with pytest.raises(InputError, match=f"engine: the service's user lkhub can't execute {engine}"):
        prepare_service(write(tmp_path, "reach: lan\nengine: ./livekit-server\n"), {}, machine)


def test_spec_that_is_not_there_says_how_to_make_one(tmp_path: Path, machine: Service) -> None:
    with pytest.raises(InputError) as refused:
        prepare_service(str(tmp_path / "hub.yaml"), {}, machine)
    assert "`lkhub init`" in refused.value.hints[0]


def test_certificate_of_certbot_is_allowed_with_those_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "has_user", lambda _: True)
    assert service._tell_how_to_allow("/etc/letsencrypt/live/hub.example.com/privkey.pem", SYSTEM) == (
        "`setfacl -R -m u:lkhub:rX /etc/letsencrypt/archive /etc/letsencrypt/live"
        " && setfacl -R -d -m u:lkhub:rX /etc/letsencrypt/archive /etc/letsencrypt/live` lets it"
    )


def test_site_has_to_be_where_the_service_finds_it(
    tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/index.html").write_text("")
    site = "tls: {{mode: internal}}\nsites: [{{name: bmo, root: {}, port: 3001}}]\n"
    assert prepare_service(write(tmp_path, site.format(tmp_path / "dist")), {}, machine)
    with pytest.raises(InputError, match=r"sites\[0\].root: .*/dist: a service does not see"):
        prepare_service(write(tmp_path, site.format("dist")), {}, replace(machine, hidden=(f"{tmp_path}/",)))
    monkeypatch.setattr(service, "can_read", lambda *_: False)
    with pytest.raises(InputError, match=r"can't read .*/dist/index\.html"):
        prepare_service(write(tmp_path, site.format(tmp_path / "dist")), {}, machine)


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
    "spec",
    [
        "agents: [{{name: bmo, project: {}, command: node agent.js}}]\n",
        "tls: {{mode: internal}}\nsites: [{{name: bmo, root: {}/dist, port: 3001, build: make}}]\n",
    ],
    ids=["agent", "build"],
)
def test_what_runs_in_the_unit_may_be_compiled_in_memory(
    tmp_path: Path, machine: Service, spec: str, of_user: bool
) -> None:
    """Agents of the machine's service have units of their own."""
    project = tmp_path / "project"
    project.mkdir()
    service = user_service(str(tmp_path / "home"), str(tmp_path / "state"), "ann") if of_user else machine
    assert "MemoryDenyWriteExecute" in prepare_service(write(tmp_path, ""), {}, service).unit.text
    made = prepare_service(write(tmp_path, spec.format(project)), {}, service)
    assert ("MemoryDenyWriteExecute" in made.unit.text) == bool(made.agents)
    assert bool(made.agents) == ("agents" in spec and not of_user)


def test_project_of_an_agent_has_to_be_where_the_service_finds_it(tmp_path: Path, machine: Service) -> None:
    project = tmp_path / "agent"
    project.mkdir()
    agent = "agents: [{{name: bmo, project: {}, command: node agent.js}}]\n"
    assert prepare_service(write(tmp_path, agent.format(project)), {}, machine).uv == ""
    with pytest.raises(InputError, match=r"agents\[0\].project: .* a service does not see"):
        prepare_service(write(tmp_path, agent.format(project)), {}, replace(machine, hidden=(str(tmp_path),)))


def test_service_gets_the_uv_that_its_agents_need(
    tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent").mkdir()
    for name in ("pyproject.toml", "agent.py"):
        (tmp_path / "agent" / name).touch()
    monkeypatch.setattr(agents, "find_uv", lambda: "/somewhere/uv")
    spec = f"agents: [{{name: bmo, project: {tmp_path}/agent}}]\n"
    assert prepare_service(write(tmp_path, spec), {}, machine).uv == "/somewhere/uv"


def test_project_that_is_built_has_to_be_where_the_service_finds_it(tmp_path: Path, machine: Service) -> None:
    machine = replace(machine, hidden=())
    project = tmp_path / "frontend"
    project.mkdir()
    site = "tls: {{mode: internal}}\nsites: [{{name: bmo, root: {}/dist, port: 3001, build: make}}]\n"
    made = prepare_service(write(tmp_path, site.format(project)), {}, machine)
    assert "MemoryDenyWriteExecute" not in made.unit.text, "what Node runs is compiled in memory"
    with pytest.raises(InputError, match="a service does not see"):
        prepare_service(write(tmp_path, site.format(project)), {}, replace(machine, hidden=(str(tmp_path),)))


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ("agents: [{{name: a, project: {}, command: node agent.js}}]\n", "agents[0].project"),
        (
            "tls: {{mode: internal}}\nsites: [{{name: a, root: {}/dist, port: 3001, build: make}}]\n",
            "sites[0].build",
        ),
    ],
)
def test_project_that_the_user_cannot_read_says_all_that_lets_it(
    spec: str, key: str, tmp_path: Path, machine: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right to read alone lets nobody into a folder, nor does a right to a folder in a closed one."""
    project = tmp_path / "closed" / "code"
    project.mkdir(parents=True)
    project.parent.chmod(0o700)
    monkeypatch.setattr(service, "has_user", lambda _: True)
    monkeypatch.setattr(service, "can_read", lambda *_: False)
    with pytest.raises(InputError) as refused:
        prepare_service(write(tmp_path, spec.format(project)), {}, machine)
    said = refused.value.message.splitlines()[0]
    assert said.startswith(f"{key}: the service's user lkhub can't read {project}; `setfacl -m u:lkhub:x /")
    assert f"{project.parent} && setfacl -R -m u:lkhub:rX {project}` lets it" in said
    with pytest.raises(InputError, match="a service does not see"):
        prepare_service(write(tmp_path, spec.format(project)), {}, replace(machine, hidden=(str(tmp_path),)))


def test_folder_is_readable_where_it_can_be_entered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_user, "HIDDEN", ("/nowhere/",))
    monkeypatch.setattr(system_user, "run_command", lambda command: Done(0 if "-r" in command.argv else 1, "", ""))
    (tmp_path / "file").touch()
    assert system_user.can_read("lkhub", str(tmp_path / "file"))
    assert not system_user.can_read("lkhub", str(tmp_path))
