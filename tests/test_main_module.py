"""`python -m lkhub` by a link, as /opt/lkhub/current is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lkhub import __main__ as main_module
from tests.documents import ROOT


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link to the environment of the tests."""
    (tmp_path / "current").symlink_to(os.path.realpath(sys.prefix))
    return tmp_path / "current"


def list_folders(python: Path) -> set[str]:
    """The folders of the packages that lkhub has imported, started by this Python."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([python, "-v", "-m", "lkhub", "--version"], capture_output=True, text=True, env=environ)
    assert done.returncode == 0
    # The lines of the program that was left are there too.
    last = done.stderr.rsplit("Python 3", 1)[1]
    return {line.split("'")[1].split("/typer/")[0] for line in last.splitlines() if "/typer/" in line and "'" in line}


def test_program_goes_on_by_the_folder_to_which_the_link_leads(link: Path) -> None:
    """Otherwise its later imports would be those of another version, once the link leads elsewhere."""
    real = os.path.realpath(sys.prefix)
    folders = list_folders(link / "bin/python")
    assert folders
    assert [folder for folder in folders if not folder.startswith(real)] == []


@pytest.mark.parametrize(
    ("prefix", "base", "executable"),
    [
        ("{real}", "/usr", "{real}/bin/python"),
        ("{link}", "{link}", "{link}/bin/python"),
        ("{link}", "/usr", "{real}/bin/python"),
    ],
    ids=["no link", "no environment", "left already"],
)
def test_program_that_is_where_it_belongs_stays(
    link: Path, prefix: str, base: str, executable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"link": str(link), "real": os.path.realpath(sys.prefix)}
    for name, value in {"prefix": prefix, "base_prefix": base, "executable": executable}.items():
        monkeypatch.setattr(sys, name, value.format(**names))
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it has left"))
    main_module.leave_link()
