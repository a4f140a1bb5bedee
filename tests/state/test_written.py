import json
import os
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.state.written import WrittenFile, read_written, write_written

FILES = (
    WrittenFile("/srv/app/.env", "dotenv", 1000, 1000, "APIx", 1.5),
    WrittenFile("/srv/chat/server_config.json", "server-config", 0, 0, "APIx", 2.5),
)


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path))


def test_record_is_read_as_it_was_written_in_the_order_of_paths(paths: StatePaths) -> None:
    assert read_written(paths) == ()
    write_written(paths, FILES[::-1])
    assert read_written(paths) == FILES
    assert os.stat(paths.written).st_mode & 0o777 == 0o600


def test_record_of_a_newer_version_is_read(paths: StatePaths) -> None:
    write_written(paths, FILES)
    document = json.loads(Path(paths.written).read_text())
    document["files"][0]["more"] = document["more"] = {"x": 1}
    Path(paths.written).write_text(json.dumps({**document, "version": 99}))
    assert read_written(paths) == FILES


@pytest.mark.parametrize("damage", ["", "null", "{}", '{"files": [{}]}', '{"files": [1]}', "[" * 100_000], ids=len)
def test_damaged_record_is_an_error(paths: StatePaths, damage: str) -> None:
    """Taken for an empty record, it would let a new key follow to none of the files without a word."""
    Path(paths.written).write_text(damage)
    with pytest.raises(MachineError, match="is damaged") as refused:
        read_written(paths)
    assert "`lkhub env --write FILE`" in refused.value.hints[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_root_leaves_the_record_to_the_owner_of_the_state_directory(paths: StatePaths) -> None:
    os.chown(paths.root, 65534, 12345)
    write_written(paths, FILES)
    status = os.stat(paths.written)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 12345, 0o600)
