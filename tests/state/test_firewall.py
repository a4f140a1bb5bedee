"""The record of the rules that were added to firewalld."""

import os
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.firewall.firewalld import Added
from lkhub.state import firewall
from lkhub.state.firewall import read_added, write_added

ADDED = frozenset({Added(False, "public", "port", "443/tcp"), Added(True, "public", "port", "443/tcp")})


def test_a_record_comes_back_and_nothing_added_leaves_none(tmp_path: Path) -> None:
    path = str(tmp_path / "firewall.json")
    assert read_added(path) == frozenset()
    write_added(path, ADDED)
    assert read_added(path) == ADDED
    write_added(path, frozenset())
    assert not Path(path).exists()
    write_added(path, frozenset())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"firewalld": [{"zone": "public"}]}', '{"firewalld": 1}'])
def test_a_damaged_record_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "record").write_text(text)
    with pytest.raises(MachineError, match="damaged"):
        read_added(str(tmp_path / "record"))


def test_root_believes_no_record_that_another_user_may_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "record")
    write_added(path, ADDED)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(firewall, "_owner", lambda path: 1000)
    with pytest.raises(MachineError, match="was not written by root"):
        read_added(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_root_keeps_its_record_in_a_folder_of_another_user(tmp_path: Path) -> None:
    """What it lists is removed from the firewall, so only root may have written it."""
    os.chown(tmp_path, 65534, 65534)
    write_added(str(tmp_path / "firewall.json"), ADDED)
    assert os.stat(tmp_path / "firewall.json").st_uid == 0
    assert read_added(str(tmp_path / "firewall.json")) == ADDED
