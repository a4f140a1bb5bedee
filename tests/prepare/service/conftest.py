"""A machine on which a hub becomes a service."""

from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.plan.service import INSTALLED, SYSTEM, Service
from lkhub.prepare import service


@pytest.fixture(autouse=True)
def all_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user can read every file, and execute it."""
    for name in ("can_read", "can_execute"):
        monkeypatch.setattr(service, name, lambda *_: True)


@pytest.fixture
def machine(tmp_path: Path) -> Service:
    """A service of a machine on which none is installed."""
    folder, state = tmp_path / "etc", tmp_path / "state"
    folder.mkdir()
    installation = replace(INSTALLED, folder=str(folder), state=str(state), spec=f"{folder}/hub.yaml")
    return replace(SYSTEM, installation=installation, hidden=())


def write(folder: Path, text: str) -> str:
    path = folder / "hub.yaml"
    path.write_text(text)
    return str(path)
