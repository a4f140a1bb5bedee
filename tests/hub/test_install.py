"""What a service that does not start says. `tests/targets` installs one."""

import ast
import errno
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from lkhub.errors import MachineError
from lkhub.host import programs
from lkhub.host.commands import Done
from lkhub.host.files import FIXED_PLACE, explain_os_errors
from lkhub.host.processes import ProcessId
from lkhub.hub import copies, install, other_units, unit
from lkhub.hub.locate import name_apply, name_command
from lkhub.plan.build import build_plan
from lkhub.plan.process import UNKNOWN, ProcessPlan
from lkhub.plan.service import SYSTEM, Service, user_service
from lkhub.spec.load import load_spec
from lkhub.state.identity import Identity, write_record, write_retired
from tests.machines import make_facts


class Systemd:
    """Its unit does not start."""

    def run(self, *_: str) -> str:
        return ""

    def ask(self, *_: str) -> Done:
        return Done(1, "", "Job for lkhub.service failed")

    def is_active(self, _: str) -> bool:
        return False

    def require_for_removal(self, _: str) -> None:
        pass


class Steps:
    """What a person is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, step: str, detail: str = "") -> None:
        self.told.append(f"{step}{detail}")

    def warn(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.parametrize("enforces", [True, False])
def test_selinux_is_named_where_it_may_be_why(
    enforces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[Service], bool]
) -> None:
    monkeypatch.setattr(install, "is_enforcing", lambda: enforces)
    service = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    (tmp_path / ".local/share/lkhub").mkdir(parents=True)
    with pytest.raises(MachineError, match="203/EXEC") as refused:
        start(service)
    assert any("SELinux" in hint for hint in refused.value.hints) == enforces
    assert f"edit {tmp_path}/.config/lkhub/hub.yaml" in refused.value.hints[0]


@pytest.mark.parametrize("of_user", [True, False])
def test_what_selinux_denies_is_told_with_what_to_type(
    of_user: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[Service], bool]
) -> None:
    monkeypatch.setattr(install, "is_enforcing", lambda: True)
    monkeypatch.setattr(install, "find_denied", lambda *_: [("/opt/x", "u:object_r:user_home_t:s0")])
    service = replace(user_service(str(tmp_path), str(tmp_path / "state"), "ann"), of_user=of_user)
    (tmp_path / ".local/share/lkhub").mkdir(parents=True)
    with pytest.raises(MachineError) as refused:
        start(service)
    # A user's own systemd runs what the user may run.
    assert any("`restorecon -RF /opt/x`" in hint for hint in refused.value.hints) != of_user


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[Service], bool]:
    monkeypatch.setattr(install, "read_journal", lambda *_, **__: (["status=203/EXEC"], ""))
    return lambda service: install._start(None, service, Systemd(), f"{service.programs}/1")  # type: ignore[arg-type]


@pytest.mark.parametrize(("of_user", "upgrades"), [(False, False), (False, True), (True, False)])
def test_ports_are_judged_before_anything_is_changed(
    of_user: bool, upgrades: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the machine's service by the service itself, but for those of agents, which no supervisor judges."""
    service = replace(user_service(str(tmp_path), str(tmp_path / "state"), "ann"), of_user=of_user)
    plan = build_plan(load_spec(b""), make_facts(), service.installation)
    assert plan
    judged = []
    monkeypatch.setattr(install, "require_free_health_ports", lambda *_: judged.append("health"))
    monkeypatch.setattr(install, "require_free_ports", lambda *_: judged.append("all"))
    monkeypatch.setattr(install, "is_held", lambda _: upgrades)
    install._require_free(plan, service, Systemd())  # type: ignore[arg-type]
    assert judged == ([] if upgrades else ["all"] if of_user else ["health"])


def test_nothing_is_stopped_where_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "Systemd", lambda _: Systemd())
    service, steps = user_service(str(tmp_path), str(tmp_path / "state"), "ann"), Steps()
    assert install.uninstall_service(service, steps) == ()
    assert steps.told == []
    Path(service.unit_file).parent.mkdir(parents=True)
    Path(service.unit_file).touch()
    install.uninstall_service(service, steps)
    assert steps.told == ["stopping lkhub.service"]
    assert not Path(service.unit_file).exists()


def test_service_has_a_command_of_its_own_that_applies_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    assert name_apply(service.installation.paths) == "lkhub up"
    monkeypatch.setattr("lkhub.hub.locate.find_own_service", lambda: service)
    Path(service.unit_file).parent.mkdir(parents=True)
    Path(service.unit_file).write_text("")
    assert name_apply(service.installation.paths) == "lkhub install"


@pytest.mark.parametrize(
    ("of_user", "uid", "begins"),
    [(True, 1000, "lkhub"), (False, 0, "lkhub"), (False, 1000, "sudo /usr/local/bin/lkhub")],
)
def test_command_about_a_service_is_found_where_sudo_has_another_path(
    monkeypatch: pytest.MonkeyPatch, of_user: bool, uid: int, begins: str
) -> None:
    """As on Fedora, whose sudo does not look into /usr/local/bin."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert name_command(replace(SYSTEM, of_user=of_user)) == begins


def test_spec_in_the_current_folder_is_another_one_only_if_it_says_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = user_service(str(tmp_path / "home"), str(tmp_path / "state"), "ann")
    Path(service.folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not install.is_another_here(service)
    Path("hub.yaml").write_text("agents: [{name: a, project: agent}]\n")
    assert not install.is_another_here(service), "none is installed"
    Path(service.spec).write_text(f"agents: [{{name: a, project: {tmp_path}/agent}}]\n")
    assert not install.is_another_here(service), "the same, for another folder"
    Path("hub.yaml").write_text("agents: [{name: a, project: other}]\n")
    assert install.is_another_here(service)


def test_copy_by_which_a_process_runs_is_kept(tmp_path: Path) -> None:
    """As by one that waits for the end of its calls, while another version is installed, and yet another. A home
    directory may be below a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "real")
    service = user_service(f"{tmp_path}/home", str(tmp_path / "state"), "ann")
    paths, programs = service.installation.paths, f"{tmp_path}/real/.local/share/lkhub"
    Path(paths.run).mkdir(parents=True)
    for number, (name, folder) in enumerate({"one": "0.1.0-aaaaaaaa", "two": "0.2.0-bbbbbbbb"}.items()):
        plan = ProcessPlan(name, (f"{programs}/{folder}/lib/engine", name))
        identity = Identity(ProcessId(number, "1"), paths.root, plan, UNKNOWN, 0.0)
        (write_record if number else write_retired)(paths, identity)
    write_record(paths, Identity(ProcessId(9, "1"), paths.root, ProcessPlan("own", ("/usr/bin/own",)), UNKNOWN, 0.0))
    assert install.list_used(service) == (f"{programs}/0.1.0-aaaaaaaa", f"{programs}/0.2.0-bbbbbbbb")


def test_copy_by_which_an_agent_is_kept_is_kept(tmp_path: Path) -> None:
    """An upgrade does not restart the unit of an agent, and there is no record of its process."""
    service = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    folder = f"{Path(service.programs).resolve()}/0.1.0-aaaaaaaa"
    argv = [f"{folder}/bin/python", "-c", "read line"]
    with subprocess.Popen(argv, executable="/bin/sh", stdin=subprocess.PIPE):
        assert install.list_used(service) == (folder,)
    assert install.list_used(service) == ()


# Of a service every path is fixed, and `lkhub install` takes no --state.
@pytest.mark.parametrize("module", [install, unit, programs, other_units, copies], ids=lambda each: each.__name__)
def test_what_a_service_consists_of_is_never_said_to_be_placed_by_state(module: ModuleType) -> None:
    calls = [node for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())) if isinstance(node, ast.Call)]
    checked = 0
    for call in calls:
        if getattr(call.func, "id", "") in ("explain_os_errors", "read_text", "write_private", "remove"):
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            names = {each.id for each in given if isinstance(each, ast.Name)}
            assert names & {"FIXED_PLACE", "_SPEC_PLACE"}, f"{module.__name__}:{call.lineno}"
            checked += 1
    assert checked


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_refusal_at_a_fixed_path_says_what_can_be_done(number: int) -> None:
    with pytest.raises(MachineError) as refused, explain_os_errors("/opt/lk hub", "write", FIXED_PLACE):
        raise OSError(number, os.strerror(number))
    [hint] = refused.value.hints
    assert hint == ("remount it writable" if number == errno.EROFS else CLOSED)


CLOSED = "`namei -l '/opt/lk hub'` shows which folder does not allow it"
