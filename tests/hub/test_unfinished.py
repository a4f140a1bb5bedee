"""An upgrade that goes on no more is told of by `status`."""

import fcntl
from pathlib import Path

import pytest

from lkhub.hub.gather import read_status
from lkhub.plan.service import user_service
from lkhub.state.upgrade import Condition, UpgradeRecord, name_lock, write_upgrade


def test_upgrade_that_has_a_record_and_no_command_is_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    monkeypatch.setattr("lkhub.hub.locate.find_own_service", lambda: service)
    for file in (service.unit_file, name_lock(service)):
        Path(file).parent.mkdir(parents=True)
        Path(file).write_text("")

    def find_codes() -> list[str]:
        return [finding.code for finding in read_status(service.installation.paths).find()]

    assert "upgrade-unfinished" not in find_codes()
    write_upgrade(service, UpgradeRecord("/opt/old", "/opt/new", Condition()))
    assert "upgrade-unfinished" in find_codes()
    with open(name_lock(service)) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "upgrade-unfinished" not in find_codes(), "it goes on"
