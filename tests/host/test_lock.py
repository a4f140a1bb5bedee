import os
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.lock import hold_lock
from lkhub.plan.paths import StatePaths


def test_one_supervisor_holds_the_state_directory(paths: StatePaths) -> None:
    busy = pytest.raises(MachineError, match="another lkhub is starting or stopping")
    with hold_lock(paths), busy, hold_lock(paths, 0.1):
        pass
    with hold_lock(paths):
        pass


def test_lock_makes_its_folders_private(short_dir: Path) -> None:
    paths = StatePaths(str(short_dir / "new"))
    with hold_lock(paths):
        assert os.stat(paths.root).st_mode & 0o777 == 0o700
        assert os.stat(paths.lock).st_mode & 0o777 == 0o600


def test_state_directory_with_too_long_a_path_is_refused(short_dir: Path) -> None:
    with pytest.raises(MachineError, match="too long for a socket"), hold_lock(StatePaths(f"{short_dir}/{'x' * 100}")):
        pass
