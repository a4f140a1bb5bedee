"""What a backup says that it does not have."""

from pathlib import Path

import pytest

from lkhub.host.sealed import SealKeys
from lkhub.hub.backup import make_backup
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret

SPEC = """
agents:
  - {name: echo, project: agents/echo}
sites:
  - {name: built, root: frontend/dist, port: 3001, build: npm run build}
  - {name: plain, root: public, port: 3002}
"""


def left_out(folder: Path, spec: str) -> tuple[str, ...]:
    (folder / "hub.yaml").write_text(spec)
    paths = StatePaths(str(folder / "state"))
    Path(paths.root).mkdir(mode=0o700, exist_ok=True)
    Path(paths.managed_keys).touch()
    return make_backup(paths, folder / "hub.yaml", str(folder / "hub.age"), SealKeys(Secret("x"))).left_out


def test_folders_without_which_the_hub_does_not_come_up_are_named(tmp_path: Path) -> None:
    assert left_out(tmp_path, SPEC) == (
        "the folder frontend, which the site built is built from",
        "the folder public, the files of the site plain",
        "the folder agents/echo, the code of the agent echo",
    )


@pytest.mark.parametrize("spec", ["tls: [", "keys: {sources: {file: keys.yaml}}\n"])
def test_spec_with_a_fault_may_name_more_than_is_known(tmp_path: Path, spec: str) -> None:
    """It was being edited when the timer came."""
    assert any("it has faults, such as" in each for each in left_out(tmp_path, spec))
