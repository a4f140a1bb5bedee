"""SELinux, as its file system and its programs show it."""

from pathlib import Path

import pytest

from lkhub.firewall.table import Command
from lkhub.host import selinux
from lkhub.host.commands import Done


@pytest.mark.parametrize(("text", "enforces"), [("1", True), ("0", False), (None, False)])
def test_labels_are_restored_where_it_enforces_its_policy(
    text: str | None, enforces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enforce = tmp_path / "enforce"
    if text:
        enforce.write_text(text)
    ran: list[tuple[str, ...]] = []

    def run(command: Command) -> Done:
        ran.append(command.argv)
        return Done(0, "", "")

    monkeypatch.setattr(selinux, "_ENFORCE", enforce)
    monkeypatch.setattr(selinux, "has_program", lambda _: True)
    monkeypatch.setattr(selinux, "run_command", run)
    assert selinux.is_enforcing() == enforces
    selinux.restore_labels("/opt/lkhub")
    assert ran == ([("restorecon", "-RF", "/opt/lkhub")] if enforces else [])
