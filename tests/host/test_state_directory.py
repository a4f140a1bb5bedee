import os
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.state_directory import ensure_state_dir
from tests.host.modes import mode


def test_new_or_empty_folder_becomes_a_state_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ensure_state_dir(str(tmp_path))
    ensure_state_dir(str(tmp_path / "new"))
    assert mode(tmp_path) == mode(tmp_path / "new") == 0o700


def test_state_directory_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("")
    (tmp_path / "run").mkdir()
    tmp_path.chmod(0o755)
    ensure_state_dir(str(tmp_path))
    assert mode(tmp_path) == 0o700


@pytest.mark.parametrize(("bits", "name"), [(0o755, "thesis.txt"), (0o1777, "keys.yaml"), (0o1777, None)])
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
@pytest.mark.parametrize("name", ["managed-keys.yaml", "run", "ca/root.key"])
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
    assert str(planted) in refused.value.message
    assert mode(tmp_path) == bits
