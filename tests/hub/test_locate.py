"""Which hub a command is about."""

import os
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.hub.locate import find_hub
from lkhub.plan.paths import StatePaths


def test_hub_is_found_without_a_spec_though_its_record_can_not_be_read(paths: StatePaths) -> None:
    os.mkdir(paths.applied)
    assert find_hub(None, Path(paths.root)).root == paths.root
    with pytest.raises(MachineError, match=r"can't read .*applied\.json"):
        find_hub(Path("hub.yaml"), Path(paths.root))
