"""Folders of agents and sites: one that is missing and one that may not be read are two faults with two fixes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lkhub.findings.fault import SpecError
from lkhub.prepare import agents, sites
from lkhub.prepare import hub as prepare
from tests.machines import make_installation
from tests.prepare.conftest import LAN, Run

_NOBODY = 65534

_SPEC = (
    LAN
    + """
agents:
  - {name: ann, project: closed/ann}
  - {name: bob, project: none, health: 9000}
sites:
  - {name: root, root: closed/dist, port: 3001}
  - {name: part, root: open/dist, port: 3002}
  - {name: none, root: none/dist, port: 3003}
  - {name: built, root: closed/site/dist, project: closed/site, build: make, port: 3004}
  - {name: unbuilt, root: none/out, project: none, build: make, port: 3005}
"""
)


def _as_nobody(look: Callable[..., str]) -> Callable[..., str]:
    def look_as_nobody(*arguments: Any) -> str:
        os.seteuid(_NOBODY)
        try:
            return look(*arguments)
        finally:
            os.seteuid(0)

    return look_as_nobody


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes a user who may not read a folder")
def test_folder_that_may_not_be_read_is_not_to_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: make_installation(state, str(tmp_path)))
    for module, name in ((agents, "find_missing"), (sites, "judge_root"), (sites, "judge_project")):
        monkeypatch.setattr(module, name, _as_nobody(getattr(module, name)))
    for made in ("closed/ann", "closed/dist", "closed/site", "open/dist/assets"):
        (tmp_path / made).mkdir(parents=True)
    for closed in ("closed", "open/dist/assets"):
        (tmp_path / closed).chmod(0o700)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    with pytest.raises(SpecError) as refused:
        run(_SPEC)
    said = {fault.key: (str(fault), fault.hint) for fault in refused.value.faults}
    unread = {
        "agents[0].project": "closed/ann",
        "sites[0].root": "closed/dist",
        "sites[1].root": "open/dist/assets",
        "sites[3].project": "closed/site",
    }
    for key, path in unread.items():
        fault, hint = said.pop(key)
        assert f"can't read {tmp_path}/{path}: permission denied" in fault
        assert hint.startswith("let nobody read it, and enter the folders that it is in")
    assert set(said) == {"agents[1].project", "sites[2].root", "sites[4].project"}
    for fault, hint in said.values():
        assert "there is no such folder" in fault
        assert hint.startswith("write the folder")
