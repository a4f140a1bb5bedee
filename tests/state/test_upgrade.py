"""The record of an upgrade, which another version may have to read."""

from pathlib import Path

import pytest

from lkhub.plan.service import Service, user_service
from lkhub.state.upgrade import Condition, UpgradeRecord, name_record, read_upgrade, remove_upgrade, write_upgrade


@pytest.fixture
def service(tmp_path: Path) -> Service:
    service = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    Path(service.programs).mkdir(parents=True)
    return service


def test_record_is_there_until_it_is_removed(service: Service) -> None:
    assert read_upgrade(service) is None
    before = Condition(running=True, down=("relay",), proved=("udp",), failed={"tcp": "closed"}, errors={"a b": "c"})
    record = UpgradeRecord("/opt/old", "/opt/new", before, back=True)
    write_upgrade(service, record)
    assert read_upgrade(service) == record
    remove_upgrade(service)
    remove_upgrade(service)
    assert read_upgrade(service) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"source": 1}'])
def test_record_that_is_none_is_no_upgrade(service: Service, text: str) -> None:
    Path(name_record(service)).write_text(text)
    assert read_upgrade(service) is None
