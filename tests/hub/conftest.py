"""A stand-in for systemctl, and one for a progress."""

from typing import Any

import pytest

from lkhub.host import systemd
from lkhub.host.commands import Done


class Systemctl:
    """Its command lines, and its answers by the first word."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.shown: dict[str, str] = {}

    def __call__(self, command: Any, *_: Any) -> Done:
        words = [word for word in command.argv[1:] if word != "--user"]
        self.asked.append(" ".join(words))
        shown = self.shown.get(words[-1], "")
        if words[0] == "show" and "--value" in words:
            shown = dict(line.split("=", 1) for line in shown.splitlines()).get(words[1].split("=")[1], "")
        return Done(0, shown, "")

    @property
    def acts(self) -> list[str]:
        return [asked for asked in self.asked if not asked.startswith("show")]


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    made = Systemctl()
    monkeypatch.setattr(systemd, "run_command", made)
    return made


class Told:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, step: str, detail: str = "") -> None:
        self.lines.append(step)

    def warn(self, text: str) -> None:
        self.lines.append(text)
