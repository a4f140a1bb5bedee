"""Which hub a command is about."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.hub import locate
from lkhub.hub.locate import find_hub, name_for_machine
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import SYSTEM


def test_hub_is_found_without_a_spec_though_its_record_can_not_be_read(paths: StatePaths) -> None:
    os.mkdir(paths.applied)
    assert find_hub(None, Path(paths.root)).root == paths.root
    with pytest.raises(MachineError, match=r"can't read .*applied\.json"):
        find_hub(Path("hub.yaml"), Path(paths.root))


@pytest.mark.parametrize(("uid", "command"), [(0, "lkhub status --state /var/lib/lkhub"), (1000, "sudo ")])
def test_hub_of_the_machine_is_named_to_who_asks_about_another(
    paths: StatePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, command: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr(locate, "SYSTEM", replace(SYSTEM, unit_file=str(tmp_path / "lkhub.service")))
    assert name_for_machine(paths, "status") == ""
    (tmp_path / "lkhub.service").touch()
    assert name_for_machine(paths, "status").startswith(command)
    assert name_for_machine(StatePaths(SYSTEM.installation.state), "status") == ""
