"""Temporary folders with secrets in them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lkhub.host.temporary import temporary_folder

KILLED = """
import os
from lkhub.host.temporary import temporary_folder
with temporary_folder("lkhub-x-") as folder:
    open(f"{folder}/keys.yaml", "w").close()
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("lkhub-y-1", "lkhub"):
        (tmp_path / name).mkdir()
    with temporary_folder("lkhub-x-") as first:
        killed = subprocess.run(
            [sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False
        )
        assert killed.returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 4, "the one that is in use is left"
        with temporary_folder("lkhub-x-") as second:
            used = {os.path.basename(folder) for folder in (first, second)}
            assert {path.name for path in tmp_path.iterdir()} == {*used, "lkhub-y-1", "lkhub"}
    assert {path.name for path in tmp_path.iterdir()} == {"lkhub-y-1", "lkhub"}
