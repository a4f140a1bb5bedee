import os
import pwd
import sys
from pathlib import Path

import pytest

from lkhub.host.engine import bundled_engine
from lkhub.host.installation import find_installation
from lkhub.plan.installation import Installation


def test_installation_is_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):  # of a shell, and maybe of another user
        monkeypatch.setenv(name, "another")
    me = pwd.getpwuid(os.getuid()).pw_name
    wanted = Installation(bundled_engine(), sys.executable, str(tmp_path / "state"), "/etc", me, "/etc/hub.yaml")
    assert find_installation("state", "/etc/hub.yaml") == wanted
    assert find_installation("/srv/state", "/etc/hub.yaml").paths.keys == "/srv/state/keys.yaml"


def test_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with `--user 1234`."""

    def find_none(uid: int) -> str:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", find_none)
    assert find_installation("/state", "/etc/hub.yaml").user == str(os.getuid())
