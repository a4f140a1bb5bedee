"""Where systemd is not what starts services, or is too old to."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.errors import EXIT_MACHINE, MachineError
from lkhub.host import systemd
from lkhub.host.systemd import Systemd
from lkhub.hub.install import install_service
from lkhub.plan.service import user_service

NO_UNIT = "/nowhere/lkhub.service"

# As Debian 10 of 2019 prints it, and 11, 12 and Fedora.
OLD = "systemd 241 (241)\n+PAM +AUDIT +SELINUX +IMA +APPARMOR +SMACK"
FIT = ["systemd 247 (247.3-7+deb11u7)\n+PAM", "systemd 252 (252.39-1~deb12u1)", "systemd 258~rc1 (258~rc1-1.fc43)"]


def test_mac_is_told_how_launchd_starts_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MachineError, match="macOS") as refused:
        Systemd().require(NO_UNIT)
    assert "`lkhub render launchd -o .`" in refused.value.hints[0]
    assert "launchctl bootstrap system /Library/LaunchDaemons/lkhub.plist" in refused.value.hints[1]


def test_machine_without_systemd_is_told_what_starts_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_BOOTED", "/nowhere")
    with pytest.raises(MachineError, match="systemd does not run this machine") as refused:
        Systemd().require(NO_UNIT)
    assert "`lkhub up --detach`" in refused.value.hints[0]


@pytest.mark.parametrize("version", [None, OLD], ids=["no systemd", "too old"])
def test_service_is_not_told_what_a_service_refuses(
    prints: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None
) -> None:
    """A unit that is there makes `lkhub install` of each `lkhub up`: it would be the answer to itself."""
    prints(version or FIT[0])
    if version is None:
        monkeypatch.setattr(systemd, "_BOOTED", "/nowhere")
    unit = tmp_path / "lkhub.service"
    unit.touch()
    with pytest.raises(MachineError) as refused:
        Systemd().require(str(unit))
    assert not any("lkhub up" in hint for hint in refused.value.hints)
    if version is None:
        assert refused.value.hints[0].startswith(f"`lkhub install` where systemd runs {unit}")


def test_user_without_a_systemd_gets_a_command_that_sudo_finds(
    prints: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a folder of the user nor /usr/local/bin is on the PATH that sudo sets, as on Fedora."""
    prints(FIT[0])
    (tmp_path / "bin/systemctl").write_text(
        f"#!/bin/sh\n[ \"$1\" = --user ] && echo 'Failed to connect to bus' >&2 && exit 1\necho '{FIT[0]}'\n"
    )
    monkeypatch.setattr(systemd, "_RUNTIME", str(tmp_path / "run"))
    monkeypatch.setattr(sys, "argv", ["/home/ann/.local/bin/lkhub"])
    with pytest.raises(MachineError, match="does not answer: Failed to connect to bus") as refused:
        Systemd(of_user=True).require(NO_UNIT)
    assert refused.value.hints[1].startswith("`sudo /home/ann/.local/bin/lkhub install` makes")
    with pytest.raises(MachineError) as refused:
        Systemd(of_user=True).require(NO_UNIT, "--spec", "/srv/a b.yaml", "--now")
    assert "lkhub install --spec '/srv/a b.yaml' --now` makes" in refused.value.hints[1], "what was typed stays"


@pytest.fixture
def prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a systemctl in place that prints this as its version, on a machine that systemd runs."""

    def put(version: str) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/systemctl").write_text(f"#!/bin/sh\nprintf '%s\\n' '{version}'\n")
        (tmp_path / "bin/systemctl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
        monkeypatch.setattr(systemd, "_BOOTED", str(tmp_path))
        monkeypatch.setattr(sys, "platform", "linux")

    return put


@pytest.mark.parametrize(("version", "named"), [(OLD, "241"), ("systemd 246 (246.6-1)", "246")])
def test_systemd_of_2019_is_refused(prints: Callable[[str], None], version: str, named: str) -> None:
    prints(version)
    with pytest.raises(MachineError) as refused:
        Systemd().require(NO_UNIT)
    assert refused.value.message == f"systemd {named} is too old: the unit needs 247 of 2020, as in Debian 11"
    assert refused.value.hints == ("upgrade the system", "`lkhub up --detach` starts the hub without systemd")
    assert refused.value.exit_code == EXIT_MACHINE


@pytest.mark.parametrize("version", FIT)
def test_systemd_that_fits_is_not_refused(prints: Callable[[str], None], version: str) -> None:
    prints(version)
    Systemd().require(NO_UNIT)


def test_old_systemd_is_refused_before_anything_is_changed(prints: Callable[[str], None], tmp_path: Path) -> None:
    prints(OLD)
    (tmp_path / "hub.yaml").write_text("reach: local")
    before = sorted(tmp_path.rglob("*"))
    for of_user in (False, True):
        service = replace(user_service(str(tmp_path), str(tmp_path / "state"), "ann"), of_user=of_user)
        with pytest.raises(MachineError, match="systemd 241 is too old"):
            install_service(service, str(tmp_path / "hub.yaml"), {}, ToldNothing())
    assert sorted(tmp_path.rglob("*")) == before


class ToldNothing:
    """A progress that fails where it is told of a step."""

    def tell(self, step: str, detail: str = "") -> None:
        pytest.fail(step)

    warn = tell


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
