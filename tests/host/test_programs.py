"""Copies of lkhub that a service runs."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from lkhub import __version__
from lkhub.errors import MachineError
from lkhub.host import programs
from lkhub.host.programs import add_uv, copy_programs, name_build, point_to, remove_half_made, remove_programs


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opt") / name_build()
    umask = os.umask(0o077)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # The Python that runs the tests may be for this user alone.
            patch.setattr(programs, "_is_open", lambda _: True)
            assert copy_programs(str(folder))
    finally:
        os.umask(umask)
    return folder


def test_uv_is_put_beside_the_python_of_a_copy(tmp_path: Path) -> None:
    """Also in one that is there already, and in place of another one."""
    uv, place = tmp_path / "uv", tmp_path / "copy/bin/uv"
    place.parent.mkdir(parents=True)
    for version in ("1", "2"):
        uv.write_text(version)
        uv.chmod(0o700)
        add_uv(f"{tmp_path}/copy", str(uv))
        assert place.read_text() == version
        assert place.stat().st_mode & 0o777 == 0o755
    inode = place.stat().st_ino
    add_uv(f"{tmp_path}/copy", str(uv))
    assert (os.listdir(place.parent), place.stat().st_ino) == (["uv"], inode)


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"]}
    return subprocess.run([copy / "bin/lkhub", *arguments], env=environ, cwd="/", capture_output=True, text=True)


@pytest.mark.integration
def test_copy_runs_by_itself(copy: Path) -> None:
    assert run(copy, "--version").stdout == f"lkhub {__version__}\n"
    where = "import lkhub, sys; print(lkhub.__file__)"
    found = subprocess.run([copy / "bin/python", "-c", where], cwd="/", capture_output=True, text=True, env={})
    assert found.stdout.startswith(str(copy))
    engine = subprocess.run([copy / "bin/lkhub-engine", "version"], capture_output=True)
    assert engine.returncode == 0


@pytest.mark.integration
def test_every_command_of_the_copy_can_be_loaded(copy: Path) -> None:
    """A package that is missing in the copy would be missed by one command alone."""
    from lkhub.cli.main import COMMANDS

    load = f"from lkhub.cli.main import _load\nfor name, module in {COMMANDS!r}.items(): _load(module, name)"
    done = subprocess.run([copy / "bin/python", "-c", load], cwd="/", capture_output=True, text=True, env={})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.integration
def test_copy_has_what_lkhub_needs_and_every_user_can_read_it(copy: Path) -> None:
    [packages] = copy.glob("lib/python*/site-packages")
    assert not {"pytest", "mypy", "ruff"} & {path.name for path in packages.iterdir()}
    found = {path: path.stat().st_mode for path in (copy, *copy.rglob("*")) if not path.is_symlink()}
    assert [path for path, mode in found.items() if not mode & 0o004] == []
    assert [path for path, mode in found.items() if path.is_dir() and not mode & 0o001] == []


@pytest.mark.integration
def test_copy_takes_no_module_from_the_working_folder(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('planted')\n")
    done = subprocess.run([copy / "bin/lkhub", "--version"], cwd=tmp_path, capture_output=True, text=True, env={})
    assert (done.returncode, done.stdout) == (0, f"lkhub {__version__}\n")


@pytest.mark.soak
@pytest.mark.integration
def test_copy_that_does_not_run_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of the system, whose Python is another one."""
    monkeypatch.setattr(programs, "_is_open", lambda _: True)
    folder = tmp_path / "opt" / "build"
    assert copy_programs(str(folder))
    (folder / "bin/python").unlink()
    assert copy_programs(str(folder))
    assert run(folder, "--version").returncode == 0
    assert [path.name for path in folder.parent.iterdir()] == ["build"]


def test_other_copies_are_removed_and_nothing_else(tmp_path: Path) -> None:
    """An environment of the operator's may be in the same folder."""
    old, before, now = (f"0.1.0-{digit * 8}" for digit in "abc")
    for name in (old, before, now, ".lkhub-new-x1y2z3", "bin", "lib", ".git", "0.1.0"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to(tmp_path / now)
    remove_programs(str(tmp_path), [str(tmp_path / now), str(tmp_path / before)])
    assert {path.name for path in tmp_path.iterdir()} == {before, now, "current", "bin", "lib", ".git", "0.1.0"}


def test_copy_that_another_command_is_making_is_not_removed(tmp_path: Path) -> None:
    left = tmp_path / ".lkhub-new-left"
    left.mkdir()

    def look(made: str) -> str:
        assert left.exists()
        remove_half_made(str(tmp_path))
        remove_programs(str(tmp_path))
        assert (Path(made).exists(), left.exists()) == (True, False)
        raise MachineError("enough was seen")

    with pytest.raises(MachineError, match="enough was seen"), programs._new_folder(str(tmp_path)) as made:
        look(made)
    assert list(tmp_path.iterdir()) == []


def test_name_of_a_build_is_one_that_is_removed(tmp_path: Path) -> None:
    (tmp_path / name_build()).mkdir()
    remove_programs(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_copy_that_is_there_is_left_alone(copy: Path) -> None:
    before = (copy / "bin/lkhub").stat().st_mtime_ns
    assert not copy_programs(str(copy))
    assert (copy / "bin/lkhub").stat().st_mtime_ns == before


def test_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(programs, "_is_open", lambda _: True)
    monkeypatch.setattr(programs, "_add_programs", fail)
    with pytest.raises(MachineError, match="the disk is full"):
        copy_programs(str(tmp_path / "opt" / "build"))
    assert list((tmp_path / "opt").iterdir()) == []


def test_python_that_other_users_cannot_run_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python3").symlink_to(os.path.realpath(sys.executable))
    copied = closed / "python"
    copied.write_bytes(b"")
    monkeypatch.setattr(sys, "executable", str(copied))
    own = sysconfig.get_config_var("EXT_SUFFIX")
    monkeypatch.setattr(programs, "_ask_suffix", lambda path: own if path == str(copied) else "another version")
    with pytest.raises(MachineError, match="the service could not run"):
        copy_programs(str(tmp_path / "opt" / "build"))


def test_link_leads_to_the_last_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        point_to(str(tmp_path / name), str(tmp_path / "current"))
    assert os.readlink(tmp_path / "current") == str(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["current"]
