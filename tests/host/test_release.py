"""Where the packages of a copy of another lkhub come from."""

import errno
import subprocess
from collections.abc import Callable
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import pytest
from packaging.version import Version

from lkhub import __version__
from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import programs, release
from lkhub.host.commands import Done
from lkhub.host.programs import find_needed, list_distributions
from lkhub.host.release import ask_name, copy_version, copy_wheel
from lkhub.host.wheel import Wheel
from tests.kit.wheels import make_wheels


class Installed(Distribution):
    """A distribution of this name and version, with requirements."""

    def __init__(self, name: str, version: str, *requires: str) -> None:
        self._name, self._version, self._requires = name, version, requires

    @property
    def metadata(self) -> Message:  # type: ignore[override]
        message = Message()
        message["Name"], message["Version"] = self._name, self._version
        for each in self._requires:
            message["Requires-Dist"] = each
        return message

    def read_text(self, filename: str) -> str | None:
        return self.metadata.as_string() if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


def finding(*installed: Installed) -> Callable[[str], Distribution]:
    known = {each.metadata["Name"]: each for each in installed}

    def find(name: str) -> Distribution:
        if name not in known:
            raise PackageNotFoundError(name)
        return known[name]

    return find


FIND = finding(
    Installed("a", "1.5", "b>=2", "d; extra == 'more'"),
    Installed("b", "2.0", "a", "c; python_version < '3'"),
    Installed("d", "1.0"),
    Installed("early", "2.0rc1"),
)


@pytest.mark.parametrize(
    ("requires", "met", "unmet"),
    [
        ((), set(), set()),
        (("a>=1",), {"a", "b"}, set()),
        (("A",), {"a", "b"}, set()),
        (("a[more]",), {"a", "b", "d"}, set()),
        (("a", "a[more]"), {"a", "b", "d"}, set()),
        (("d; extra == 'x'",), set(), set()),
        (("early>=1",), {"early"}, set()),
        (("a>=2",), {"a", "b"}, {"a>=2"}),
        (("e",), set(), {"e"}),
        (("a", "e>1", "d<1"), {"a", "b", "d"}, {"e>1", "d<1"}),
    ],
)
def test_requirements_are_met_by_what_is_installed(requires: tuple[str, ...], met: set[str], unmet: set[str]) -> None:
    needed = find_needed(requires, FIND)
    assert ({each.metadata["Name"] for each in needed.met}, set(needed.unmet)) == (met, unmet)


def test_lkhub_itself_has_what_it_needs() -> None:
    names = [each.metadata["Name"] for each in list_distributions("lkhub")]
    assert {"lkhub", "anyio", "packaging"} <= set(names)
    assert len(names) == len(set(names))
    with pytest.raises(PackageNotFoundError):
        list(list_distributions("no-such-package"))


def test_network_is_asked_only_for_what_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Command] = []

    def run(command: Command, *_: object, **__: object) -> Done:
        asked.append(command)
        return Done(0, "", "")

    monkeypatch.setattr(release, "run_command", run)
    monkeypatch.setattr(release, "make_copy", lambda *_, **__: "made")
    assert copy_wheel(Wheel("w", Version("2"), ("anyio",)), str(tmp_path)) == "made"
    assert asked == []
    copy_wheel(Wheel("w.whl", Version("2"), ("anyio", "not-here>=1")), str(tmp_path))
    assert [command.argv[-1] for command in asked if "pip" in command.argv] == ["w.whl"]
    copy_version("0.2.0", str(tmp_path))
    assert [command.argv[-1] for command in asked if "pip" in command.argv] == ["w.whl", "lkhub==0.2.0"]


def test_pip_says_why_it_can_not_and_gets_the_operators_settings_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, str] = {}

    def run(command: Command, *_: object, environ: dict[str, str] | None = None) -> Done:
        given.update(environ or {})
        return Done(1, "", "Looking …\nERROR: no versions\nERROR: none for lkhub==9\n") if environ else Done(0, "", "")

    monkeypatch.setattr(release, "run_command", run)
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    monkeypatch.setenv("TURN_SECRET", "secret")
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN", "PIP_NO_DEPS", "PIP_PLATFORM"):
        monkeypatch.setenv(name, "elsewhere")
    with pytest.raises(MachineError, match="pip can't install lkhub==9: no versions; none for lkhub==9"):
        copy_version("9", str(tmp_path))
    assert {"PIP_INDEX_URL", "https_proxy"} <= given.keys()
    assert "elsewhere" not in given.values()
    assert "TURN_SECRET" not in given


def test_what_pip_has_put_elsewhere_is_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As with `install.target` in pip.conf, which no option takes back."""
    monkeypatch.setattr(release, "run_command", lambda *_, **__: Done(0, str(tmp_path), ""))
    monkeypatch.setattr(release, "make_copy", lambda _, fill, *__, **___: fill(str(tmp_path)))
    with pytest.raises(MachineError, match="but lkhub is not there") as refused:
        copy_version("9", str(tmp_path))
    assert "pip config list" in refused.value.hints[0]


def test_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python's venv and pip say other things about it."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lkhub.host.files.tempfile.TemporaryFile", refuse)
    for failed in ("venv", "pip"):

        def run(command: Command, *_: object, failed: str = failed, **__: object) -> Done:
            return Done(int(failed in command.argv), "", "?")

        monkeypatch.setattr(release, "run_command", run)
        with pytest.raises(MachineError, match="the disk is full") as refused:
            copy_version("9", str(tmp_path))
        assert "df -h" in refused.value.hints[0]


@pytest.mark.parametrize("said", ["", "../evil", "0.2.0-1234567", "0.2.0-12345678\nx"])
def test_name_that_is_none_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "run_command", lambda *_: Done(0, said, ""))
    with pytest.raises(MachineError, match="which build"):
        release.ask_name("/opt/x")


@pytest.mark.field
@pytest.mark.integration
def test_pip_gets_what_is_not_here_from_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of wheels is as good as a registry to pip."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheels(wheels)
    monkeypatch.setattr(programs, "_is_open", lambda _: True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    # Not a module of the working folder.
    (tmp_path / "pip.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MachineError, match=r"lkhub==9\.9: .* \(from versions: .*\); No matching"):
        copy_version("9.9", str(tmp_path / "opt"))
    made = copy_version(__version__, str(tmp_path / "opt"))
    assert ask_name(made) == Path(made).name
    shown = subprocess.run([f"{made}/bin/lkhub", "--version"], capture_output=True, text=True)
    assert shown.stdout == f"lkhub {__version__}\n"
    assert [path.name for path in (tmp_path / "opt").iterdir()] == [Path(made).name]
