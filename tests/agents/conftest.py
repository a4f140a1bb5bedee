import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.kit.hub import Hub, make_hub

TONE = Path(__file__).parent / "tone"

WHEELS = ROOT / "build/agent-wheels"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.agents)


def find_wheels() -> Path:
    """The folder with what the project needs, which is fetched before any test runs."""
    assert list(WHEELS.glob("livekit_agents-*.whl")), "`scripts/agent-wheels` fetches the wheels"
    return WHEELS


@pytest.fixture(scope="session")
def wheels() -> Iterator[Path]:
    """A folder that agents' users can read, wherever this checkout is."""
    found = find_wheels()
    with tempfile.TemporaryDirectory(prefix="wheels-") as made:
        Path(made).chmod(0o755)
        for wheel in found.iterdir():
            shutil.copy(wheel, made)
        yield Path(made)


@contextmanager
def hub_with_agent(wheels: Path, more: str = "", variables: str = "") -> Iterator[Hub]:
    """A hub with the agent `tone`, not up yet. `more` are further keys of the agent, `variables` further ones of its
    environment, both lines of YAML in braces."""
    with make_hub() as hub:
        hub.folder.chmod(0o711)
        write_project(hub.folder / "tone", wheels)
        agent = f"name: tone, project: tone, health: {hub.ports['https']}, env: {{{variables}}}{more}"
        hub.write_spec(f"agents: [{{{agent}}}]\n")
        yield hub


def write_project(folder: Path, wheels: Path) -> None:
    """The agent's project, whose packages come from a folder in place of a registry."""
    shutil.copytree(TONE, folder)
    add_wheels(folder, wheels)


def add_wheels(folder: Path, wheels: Path) -> None:
    """Take the packages of a project from a folder, and from no registry."""
    with open(folder / "pyproject.toml", "a") as project:
        # uv looks for a solution for every system and every Python, and the folder has the wheels for these ones.
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        here = f"sys_platform == '{sys.platform}' and python_version == '{version}'"
        project.write(f'no-index = true\nfind-links = ["{wheels}"]\nenvironments = ["{here}"]\n')


@pytest.fixture(scope="module")
def hub(wheels: Path) -> Iterator[Hub]:
    """A hub that is up, with two workers of the agent."""
    with hub_with_agent(wheels, ", replicas: 2") as made:
        made.up("--no-verify")
        yield made
