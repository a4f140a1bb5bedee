from pathlib import Path

import pytest

from lkhub.host.keyfile import dump_keys
from lkhub.host.secrets import DamagedKeysError
from lkhub.plan.paths import StatePaths
from lkhub.prepare.managed_keys import read_kept_keys
from lkhub.secret import Secret
from lkhub.state.ring import KeyNote, write_notes

RING = {"APIb": Secret("B" * 43), "APIa": Secret("A" * 43)}
DAMAGES = [b"", b'"APIb": "BBB', dump_keys(RING).encode()[:-5], bytes(120), b"\xff\xfe"]


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    """A hub that has run, with a ring of two keys."""
    paths = StatePaths(str(tmp_path))
    for file in (paths.keys, paths.managed_keys):
        Path(file).write_text(dump_keys(RING))
    write_notes(paths, [KeyNote(name, 1.5) for name in RING])
    return paths


@pytest.mark.parametrize("damage", DAMAGES)
def test_keys_whose_file_is_damaged_are_read_from_the_other_file(paths: StatePaths, damage: bytes) -> None:
    Path(paths.managed_keys).write_bytes(damage)
    assert list(read_kept_keys(paths).items()) == list(RING.items()), "in the same order"


@pytest.mark.parametrize("damage", DAMAGES)
def test_keys_of_which_no_file_is_whole_are_not_replaced(paths: StatePaths, damage: bytes) -> None:
    for file in (paths.keys, paths.managed_keys):
        Path(file).write_bytes(damage)
    with pytest.raises(DamagedKeysError):
        read_kept_keys(paths)


def test_keys_that_the_spec_named_are_not_taken_for_generated_ones(paths: StatePaths) -> None:
    Path(paths.managed_keys).write_text("")
    Path(paths.keys).write_text(dump_keys({"APIgiven": Secret("C" * 43)}))
    with pytest.raises(DamagedKeysError):
        read_kept_keys(paths)


def test_hub_that_has_no_keys_yet_has_none(tmp_path: Path) -> None:
    assert read_kept_keys(StatePaths(str(tmp_path))) == {}
