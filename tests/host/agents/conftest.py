from pathlib import Path

import pytest

from tests.host.agents.kit import SYSTEM_PYTHON, TELL, UV


@pytest.fixture
def place(short_dir: Path) -> Path:
    """A folder that every user may enter."""
    short_dir.chmod(0o755)
    return short_dir


@pytest.fixture
def project(place: Path) -> Path:
    project = place / "project"
    project.mkdir()
    (project / "agent.py").write_text(TELL)
    return project


@pytest.fixture
def uv(place: Path) -> str:
    program = place / "uv"
    program.write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", ""))
    program.chmod(0o755)
    return str(program)
