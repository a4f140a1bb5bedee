"""The hub of another user of the machine: every command gives one answer."""

import os
import tempfile
from pathlib import Path

import pytest

from lkhub.host.lock import hold_lock
from lkhub.plan.paths import StatePaths
from lkhub.wire.application import Application
from tests.cli.conftest import Run, write_serve
from tests.cli.test_hints import ABOUT_A_HUB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

NOBODY = 65534

COMMANDS = [
    *ABOUT_A_HUB,
    ("status",),
    ("rooms", "create", "lobby"),
    ("keys", "rotate"),
    ("access", "create", "bot"),
    ("render", "livekit"),
    ("firewall", "status"),
    ("backup", "new.age", "--passphrase-file", "passphrase"),
]


@pytest.fixture
def closed(applied: StatePaths) -> StatePaths:
    """A hub of root's that was up, below folders that everybody may enter."""
    write_serve(applied, Application())
    with hold_lock(applied):
        pass
    root = Path(applied.root)
    for above in root.parents:
        if above != Path(tempfile.gettempdir()) and above.is_relative_to(tempfile.gettempdir()):
            above.chmod(0o755)
    root.chmod(0o700)
    return applied


@pytest.mark.parametrize("typed", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("named", [False, True], ids=["LKHUB_STATE", "--state"])
def test_hub_of_another_user_is_told_in_one_way(
    run: Run, closed: StatePaths, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], named: bool
) -> None:
    Path("passphrase").write_text("a long passphrase of a test\n")
    Path("passphrase").chmod(0o644)
    if named:
        monkeypatch.setenv("LKHUB_STATE", "/nowhere/hub")
    arguments = (*typed, *(("--state", closed.root) if named else ()))
    run(*arguments)  # as root: another user may not be able to read what is to be imported
    Path("new.age").unlink(missing_ok=True)
    os.seteuid(NOBODY)
    try:
        done = run(*arguments)
    finally:
        os.seteuid(0)
    assert (done.code, done.out) == (3, "")
    assert f"{closed.root} belongs to root, and this is nobody" in done.err
    assert "the hub belongs to another user: type the command as that user, or as root" in done.err


@pytest.mark.parametrize("mode", [0o700, 0o710, 0o750])
@pytest.mark.parametrize("typed", [("status",), ("down",), ("env",)], ids=" ".join)
def test_folder_that_another_user_keeps_closed_is_named(
    run: Run, closed: StatePaths, typed: tuple[str, ...], mode: int
) -> None:
    """As a home, which a group may enter."""
    home = Path(closed.root).parent
    home.chmod(mode)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        done = run(*typed)
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
    assert (done.code, done.out) == (3, "")
    assert f"{home} belongs to root, and this is nobody" in done.err
    assert "the hub belongs to another user: type the command as that user, or as root" in done.err
