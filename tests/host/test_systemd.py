"""Where systemd is not what starts services."""

import sys

import pytest

from lkhub.errors import MachineError
from lkhub.host import systemd
from lkhub.host.systemd import Systemd


def test_mac_is_told_how_launchd_starts_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MachineError, match="macOS") as refused:
        Systemd().require()
    assert "`lkhub render launchd -o .`" in refused.value.hints[0]
    assert "launchctl bootstrap system /Library/LaunchDaemons/lkhub.plist" in refused.value.hints[1]


def test_machine_without_systemd_is_told_what_starts_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_BOOTED", "/nowhere")
    with pytest.raises(MachineError, match="systemd does not run this machine") as refused:
        Systemd().require()
    assert "`lkhub up --detach`" in refused.value.hints[0]
