"""A tailnet with the real tailscaled, built and started by tests/kit/tailnet/run. No packet leaves this machine."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tailscale.tailnet import Tailnet

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests/kit/tailnet/run"

# As the script has it; it is built once.
BUILT = Path.home() / ".cache/lkhub-tailnet"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.tailscale)


@pytest.fixture(scope="session")
def tailnet() -> Iterator[Tailnet]:
    if not all((BUILT / name).exists() for name in ("tailscaled", "tailscale", "control")):
        toolchains = f"root={ROOT}; cd $root/engine; . ../scripts/toolchains; exec {RUN} build"
        environ = {**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
        subprocess.run(["sh", "-c", toolchains], env=environ, check=True)
    folder = Path(tempfile.mkdtemp(prefix="tailnet-"))
    made = Tailnet(RUN, folder / "net")
    try:
        made.script("up")
        yield made
    finally:
        made.script("down")
        shutil.rmtree(folder, ignore_errors=True)
