"""Files and folders that a spec names are judged for the service that uses them."""

from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.errors import InputError
from lkhub.host import system_user
from lkhub.host.commands import Done
from lkhub.plan.service import SYSTEM, Service, user_service
from lkhub.prepare import service
from lkhub.prepare.service import prepare_service
from tests.certificates import make
from tests.prepare.service.conftest import write


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


def test_project_of_an_agent_has_to_be_where_the_service_finds_it(tmp_path: Path, machine: Service) -> None:
    project = tmp_path / "agent"
    project.mkdir()
    agent = "agents: [{{name: bmo, project: {}, command: node agent.js}}]\n"
    assert prepare_service(write(tmp_path, agent.format(project)), {}, machine).uv == ""
    with pytest.raises(InputError, match=r"agents\[0\].project: .* a service does not see"):
        prepare_service(write(tmp_path, agent.format(project)), {}, replace(machine, hidden=(str(tmp_path),)))


def test_project_that_is_built_has_to_be_where_the_service_finds_it(tmp_path: Path, machine: Service) -> None:
    machine = replace(machine, hidden=())
    project = tmp_path / "frontend"
    project.mkdir()
    site = "tls: {{mode: internal}}\nsites: [{{name: bmo, root: {}/dist, port: 3001, build: make}}]\n"
    made = prepare_service(write(tmp_path, site.format(project)), {}, machine)
    assert [unit.name for unit in made.others] == ["lkhub-site-bmo.service"]
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
