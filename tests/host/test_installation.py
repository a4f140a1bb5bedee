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
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    me = pwd.getpwuid(os.getuid()).pw_name
    wanted = Installation(bundled_engine(), sys.executable, str(tmp_path / "state"), "/etc", me, "/etc/hub.yaml")
    assert find_installation("state", "/etc/hub.yaml") == wanted
    assert find_installation("/srv/state", "/etc/hub.yaml").paths.keys == "/srv/state/keys.yaml"


def test_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with `--user 1234`."""

    def find_none() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", find_none)
    assert find_installation("/state", "/etc/hub.yaml").user == str(os.getuid())
