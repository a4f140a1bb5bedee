import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.files import write_private
from lkhub.host.half_written import make_half_written
from lkhub.host.state_directory import ensure_state_dir, remove_half_written
from tests.host.modes import mode


def test_new_or_empty_folder_becomes_a_state_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ensure_state_dir(str(tmp_path))
    ensure_state_dir(str(tmp_path / "new"))
    assert mode(tmp_path) == mode(tmp_path / "new") == 0o700


def test_state_directory_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("")
    (tmp_path / ".keys.yaml.x1y2z3_4.part").write_text("what a supervisor was writing when it was killed")
    (tmp_path / "run").mkdir()
    tmp_path.chmod(0o755)
    ensure_state_dir(str(tmp_path))
    assert mode(tmp_path) == 0o700


@pytest.mark.parametrize(
    ("bits", "name"), [(0o755, "thesis.txt"), (0o755, ".env.template"), (0o1777, "keys.yaml"), (0o1777, None)]
)
def test_folder_of_another_program_is_left_as_it_is(tmp_path: Path, bits: int, name: str | None) -> None:
    """`--state /tmp`, as root, would lock all other users out of /tmp."""
    if name:
        (tmp_path / name).write_text("")
    tmp_path.chmod(bits)
    with pytest.raises(MachineError) as refused:
        ensure_state_dir(str(tmp_path))
    assert refused.value.hints
    assert mode(tmp_path) == bits


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("name", ["managed-keys.yaml", "run", "ca/root.key", "run/a\nhint: `touch pwned`"])
@pytest.mark.parametrize("bits", [0o777, 0o770])
def test_file_that_another_user_put_there_is_not_taken_for_our_own(tmp_path: Path, bits: int, name: str) -> None:
    """A hub would run with keys that another user knows."""
    planted = tmp_path / name
    planted.parent.mkdir(exist_ok=True)
    planted.write_text("")
    tmp_path.chmod(bits)
    ensure_state_dir(str(tmp_path))
    assert mode(tmp_path) == 0o700, "all of it is our own"
    tmp_path.chmod(bits)
    os.lchown(planted, 65534, 65534)
    with pytest.raises(MachineError, match="belongs to another user") as refused:
        ensure_state_dir(str(tmp_path))
    assert str(planted).replace("\n", r"\n") in refused.value.message
    assert mode(tmp_path) == bits


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    """It has the keys of the hub."""
    inner = tmp_path / "run"
    inner.mkdir()
    kill = "import os, signal, sys; from lkhub.host import files; files.os.replace = lambda *_: os.kill(os.getpid(), 9)"
    for path in (tmp_path / "keys.yaml", inner / "hub.json"):
        write_private(str(path), "whole")
        code = f"{kill}; files.write_private(sys.argv[1], 'half')"
        assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == -signal.SIGKILL
    left = [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert len(left) == 2
    (tmp_path / ".keys.yaml.mine").write_text("")
    handle, written = make_half_written(str(tmp_path / "ring.json"))
    remove_half_written(str(tmp_path))
    assert os.path.exists(written), "this process is writing it now"
    os.close(handle)
    remove_half_written(str(tmp_path))
    assert {path.name for path in tmp_path.rglob("*")} == {"keys.yaml", "run", "hub.json", ".keys.yaml.mine"}


def test_what_others_keep_in_the_folder_is_not_removed(tmp_path: Path) -> None:
    """A folder that is private already is taken for a state directory, such as the home directory of a user that only
    runs the hub."""
    others = [tmp_path / ".env.template", tmp_path / ".bashrc.original", tmp_path / "app" / ".config.disabled"]
    others.append(tmp_path / "agents" / "bmo" / "project" / ".env.template")
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (1.0, 1.0))
    remove_half_written(str(tmp_path))
    assert all(path.exists() for path in others)
