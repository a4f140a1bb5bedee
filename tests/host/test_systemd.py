"""Where systemd is not what starts services."""

import sys
from pathlib import Path

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


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("of_user", [False, True])
def test_what_is_to_be_removed_is_not_told_how_to_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, of_user: bool
) -> None:
    monkeypatch.setattr(systemd, "_BOOTED", "/nowhere")
    monkeypatch.setattr(sys, "platform", platform)
    unit = tmp_path / "lkhub.service"
    with pytest.raises(MachineError, match="there is no service that `lkhub install` has made") as refused:
        Systemd(of_user).require_for_removal(str(unit))
    assert refused.value.hints == ("`lkhub down` stops a hub that `lkhub up` has started",)
    unit.touch()
    with pytest.raises(MachineError, match=f"the service of {unit} can't be stopped and removed from here") as refused:
        Systemd(of_user).require_for_removal(str(unit))
    assert not any("lkhub up" in hint or "start" in hint for hint in refused.value.hints)
