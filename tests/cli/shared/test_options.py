import os
from pathlib import Path

import pytest

from lkhub.hub.locate import find_paths, find_spec, find_state


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_spec_is_the_given_one_or_the_one_here_or_none(tmp_path: Path) -> None:
    assert find_spec(None) is None
    assert find_spec(Path("other.yaml")) == "other.yaml"
    Path("hub.yaml").write_text("")
    assert find_spec(None) == "hub.yaml"
    assert find_spec(Path("other.yaml")) == "other.yaml"


def test_state_is_the_given_one_before_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LKHUB_STATE", "from-env")
    assert find_state(Path("given")) == str(tmp_path / "given")
    assert find_state(None) == str(tmp_path / "from-env")
    assert find_paths(Path("given")).root == str(tmp_path / "given")


@pytest.mark.parametrize("empty", [None, ""])
def test_state_is_the_systems_place_otherwise(monkeypatch: pytest.MonkeyPatch, empty: str | None) -> None:
    if empty is not None:
        monkeypatch.setenv("LKHUB_STATE", empty)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_state(None) == "/var/lib/lkhub"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/.state")
    assert find_state(None) in ("/home/me/.state/lkhub", os.path.expanduser("~/Library/Application Support/lkhub"))
