"""The agent `tone` as an image: what the guide shows, on an image of Python that needs no registry."""

import re
import shutil
from pathlib import Path

from tests.agents.conftest import find_wheels, write_project
from tests.documents import ROOT, list_blocks
from tests.kit.docker import BASE, Docker

IMAGE = "registry.example/tone:1"

UID = 20000
"""The user of the guide's image."""

# What any image of Python has: pip, and here packages without a registry.
PYTHON = f"""\
FROM {BASE}
COPY *.whl /wheels/
RUN python3 -m venv /opt/pip
ENV PATH=/opt/pip/bin:$PATH PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
"""


def read_dockerfile(guide: str, base: str) -> str:
    """The one that a guide shows, from another base."""
    [shown] = [block.text for block in list_blocks(ROOT / "docs/guides" / guide) if block.language == "dockerfile"]
    return re.sub(r"^FROM .*$", f"FROM {base}", shown, count=1, flags=re.MULTILINE)


def build_tone(docker: Docker, wheels: Path) -> None:
    """Build IMAGE. `wheels` is a folder with that of uv."""
    base, folder = docker.folder / "python", docker.folder / "tone"
    base.mkdir()
    for wheel in (*find_wheels().glob("*.whl"), *wheels.glob("uv-*.whl")):
        shutil.copy(wheel, base)
    (base / "Dockerfile").write_text(PYTHON)
    docker.must("docker", "build", "--tag", "python", ".", cwd=base)
    write_project(folder, Path("/wheels"))
    (folder / "Dockerfile").write_text(read_dockerfile("agents.md", "python"))
    docker.must("docker", "build", "--tag", IMAGE, ".", cwd=folder)
