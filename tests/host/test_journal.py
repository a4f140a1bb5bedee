import pytest

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import journal
from lkhub.host.commands import Done

# Of journalctl 252, `--output short-iso --show-cursor`.
PRINTED = """\
2026-11-29T15:30:05+0000 vm python[90]: hub is up
2026-11-29T15:30:05+0000 vm systemd[1]: Started lkhub.service - LiveKit hub hub.
2026-11-29T15:31:12+0000 vm python[90]: error: a: b: c
-- Boot 0d1f --
-- cursor: s=1;i=2f
"""


def test_lines_have_their_time_and_the_cursor_is_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def run(command: Command) -> Done:
        asked.append(command.argv)
        return Done(0, PRINTED, "")

    monkeypatch.setattr(journal, "run_command", run)
    lines, cursor = journal.read_journal("lkhub.service", lines=3)
    assert lines == [
        "2026-11-29T15:30:05+0000 hub is up",
        "2026-11-29T15:30:05+0000 Started lkhub.service - LiveKit hub hub.",
        "2026-11-29T15:31:12+0000 error: a: b: c",
    ]
    assert cursor == "s=1;i=2f"
    journal.read_journal("lkhub.service", after=cursor)
    journal.read_journal("lkhub.service", of_user=True)
    assert [argv[1:3] for argv in asked] == [("--unit", "lkhub.service")] * 2 + [("--user-unit", "lkhub.service")]
    assert asked[0][-2:] == ("--lines", "3")
    assert asked[1][-2:] == ("--after-cursor", "s=1;i=2f")


def test_journal_that_cannot_be_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "run_command", lambda _: Done(1, "", "No journal files were opened\n"))
    with pytest.raises(MachineError, match=r"journal of lkhub\.service: No journal files"):
        journal.read_journal("lkhub.service")
