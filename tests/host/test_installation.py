import os
import pwd
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.host.engine import bundled_engine
from lkhub.host.installation import _has_low_uids_alone, find_installation
from lkhub.plan.installation import AgentsRun, Installation


def test_installation_is_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):  # of a shell, and maybe of another user
        monkeypatch.setenv(name, "another")
    me = pwd.getpwuid(os.getuid()).pw_name
    wanted = Installation(bundled_engine(), sys.executable, str(tmp_path / "state"), "/etc", me, "/etc/hub.yaml")
    wanted = replace(wanted, low_uids=_has_low_uids_alone())
    assert find_installation("state", "/etc/hub.yaml") == wanted
    assert find_installation("/srv/state", "/etc/hub.yaml").paths.keys == "/srv/state/keys.yaml"


def test_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with `--user 1234`."""

    def find_none(uid: int) -> str:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", find_none)
    assert find_installation("/state", "/etc/hub.yaml").user == str(os.getuid())


@pytest.mark.parametrize(
    ("told", "run"),
    [
        ("apart", "apart"),
        ("containers", "containers"),
        ("pods", "pods"),
        ("", "here"),
        ("other", "here"),
        (None, "here"),
    ],
)
def test_unit_or_container_tells_how_agents_run(
    monkeypatch: pytest.MonkeyPatch, told: str | None, run: AgentsRun
) -> None:
    monkeypatch.delenv("LKHUB_AGENTS", raising=False)
    if told is not None:
        monkeypatch.setenv("LKHUB_AGENTS", told)
    found = find_installation("/state", None)
    assert found.agents == run
    assert found.agents_apart == (run != "here")
    assert found.runs_images == (run in ("containers", "pods"))
    assert found.runs_projects == (run != "pods")


@pytest.mark.parametrize(
    ("table", "low"),
    [
        ("         0          0 4294967295\n", False),
        ("         0     100000      65536\n", True),
        ("         0     100000       1000\n      1000       1000          1\n", True),
        ("         0     100000 1000000000\n1000000000          0 3000000000\n", False),
    ],
)
def test_container_of_an_ordinary_user_has_low_numbers_alone(tmp_path: Path, table: str, low: bool) -> None:
    (tmp_path / "uid_map").write_text(table)
    assert _has_low_uids_alone(tmp_path / "uid_map") == low
    assert not _has_low_uids_alone(tmp_path / "missing")
