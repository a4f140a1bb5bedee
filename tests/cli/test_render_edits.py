"""What `lkhub render -o` does with files that were edited since."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lkhub.cli import render
from lkhub.cli.shared import rendered
from lkhub.errors import MachineError
from lkhub.host.files import write_private
from tests.cli.conftest import Run

AGENT = "agents: [{name: bmo, project: bmo, command: node agent.js}]\n"


@pytest.mark.parametrize(
    ("target", "spec"),
    [("systemd", AGENT), ("systemd", ""), ("compose", AGENT)],
    ids=["units", "a single file", "a compose file"],
)
def test_edit_is_kept_and_named_before_it_is_written_over(run: Run, target: str, spec: str) -> None:
    Path("bmo").mkdir()
    Path("hub.yaml").write_text(f"drain: 10s\n{spec}")
    assert run("render", target, "-o", "out").code == 0
    path = next(each for each in (Path("out/compose.yaml"), Path("out/lkhub.service")) if each.exists())
    for number, edit in ((1, "EDIT-1"), (2, "EDIT-2")):
        path.write_text(f"{path.read_text()}# {edit}\n")
        done = run("render", target, "-o", "out")
        kept = Path(f"{path}.edited{'' if number == 1 else '-2'}")
        assert f"{path} was edited; it is written now, and what was there is kept as {kept}" in " ".join(
            done.err.split()
        )
        assert kept.read_text().endswith(f"# {edit}\n")
        assert edit not in path.read_text()
    # What follows from a changed spec is no edit.
    Path("hub.yaml").write_text(f"drain: 20s\n{spec}")
    done = run("render", target, "-o", "out")
    assert (done.code, "edited" in done.err) == (0, False)
    assert sorted(each.name for each in Path("out").glob("*.edited*")) == [
        f"{path.name}.edited",
        f"{path.name}.edited-2",
    ]


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_edit_is_kept_where_the_file_system_has_no_hard_links(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    Path("hub.yaml").touch()
    assert run("render", "systemd", "-o", "out").code == 0
    path = Path("out/lkhub.service")
    monkeypatch.setattr(os, "link", refuse)
    for kept in ("out/lkhub.service.edited", "out/lkhub.service.edited-2"):
        path.write_text(f"# {kept}\n")
        done = run("render", "systemd", "-o", "out")
        assert (done.code, f"kept as {kept}" in " ".join(done.err.split())) == (0, True)
        assert Path(kept).read_text() == f"# {kept}\n"
        assert "[Unit]" in path.read_text()


def test_file_of_an_earlier_version_counts_as_no_edit(run: Run) -> None:
    """Its record has no digests."""
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    record = Path("out/.lkhub-rendered")
    record.write_text("".join(f"{' '.join(line.split(' ')[:2])}\n" for line in record.read_text().splitlines()))
    Path("out/compose.yaml").write_text("edited")
    done = run("render", "compose", "-o", "out")
    assert (done.code, "edited" in done.err) == (0, False)


def test_edit_that_is_no_text_is_kept_as_it_is(run: Run) -> None:
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    path = Path("out/compose.yaml")
    edit = path.read_bytes() + "# Müller\n".encode("latin-1")
    path.write_bytes(edit)
    assert run("render", "compose", "-o", "out", "--diff").code == 1
    assert run("render", "compose", "-o", "out").code == 0
    assert Path("out/compose.yaml.edited").read_bytes() == edit


@pytest.mark.parametrize("at", ["compose.yaml", "Dockerfile", ".lkhub-rendered"])
def test_render_that_was_cut_off_makes_no_edit(run: Run, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """The disk is full meanwhile."""
    Path("hub.yaml").write_text("drain: 10s\n")
    assert run("render", "compose", "-o", "out").code == 0
    written: list[str] = []

    def fail(path: str, text: str, mode: int, *, place: str) -> bool:
        written.append(os.path.basename(path))
        # The record is written before and after the files.
        if written[-1] == at and (at != ".lkhub-rendered" or written.count(at) == 2):
            raise MachineError("the disk is full")
        return write_private(path, text, mode, place=place)

    Path("hub.yaml").write_text("drain: 20s\n")
    with monkeypatch.context() as patched:
        for module in (render, rendered):
            patched.setattr(module, "write_private", fail)
        assert run("render", "compose", "-o", "out").code == 3
    for drain in (30, 10):
        Path("hub.yaml").write_text(f"drain: {drain}s\n")
        done = run("render", "compose", "-o", "out")
        assert (done.code, "edited" in done.err) == (0, False)


def test_file_that_is_none_of_lkhubs_is_kept(run: Run) -> None:
    """A project may have a Dockerfile of its own."""
    Path("hub.yaml").touch()
    Path("Dockerfile").write_text("FROM scratch\n")
    done = run("render", "compose", "-o", ".")
    assert done.code == 0
    assert "Dockerfile was there, and nothing says that lkhub wrote it" in " ".join(done.err.split())
    assert Path("Dockerfile.edited").read_text() == "FROM scratch\n"
    assert "edited" not in run("render", "compose", "-o", ".").err


def test_file_that_is_kept_has_the_rights_that_it_had(run: Run) -> None:
    """It may hold a secret, or be a link to one that its owner may not read."""
    Path("hub.yaml").touch()
    Path("out").mkdir()
    Path("out/compose.yaml").write_text("password: secret\n")
    Path("out/compose.yaml").chmod(0o600)
    Path("secret").write_text("secret")
    Path("out/Dockerfile").symlink_to("../secret")
    Path("out/Dockerfile.edited").write_text("earlier")
    assert run("render", "compose", "-o", "out").code == 0
    kept = Path("out/compose.yaml.edited")
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("password: secret\n", 0o600)
    assert Path("out/Dockerfile.edited").read_text() == "earlier"
    [link] = [each for each in Path("out").iterdir() if each.is_symlink()]
    assert (link.name, os.readlink(link)) == ("Dockerfile.edited-2", "../secret")
    assert not Path("out/Dockerfile").is_symlink()
