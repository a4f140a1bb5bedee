"""The sovereign hub as a service beside the real tailscaled, which is a service of the machine too."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.booted import Booted, booting
from tests.kit.netns import Namespace
from tests.tailscale.conftest import BUILT
from tests.tailscale.tailnet import ADDRESS, NAME, Tailnet
from tests.targets.conftest import SETUP, debian, root
from tests.targets.tailnet import SPEC
from tests.waiting import wait_until

__all__ = ["debian", "root"]

# As Tailscale's own packages have it, but for the variables.
UNIT = """\
[Unit]
Description=Tailscale node agent
[Service]
Type=notify
Environment=SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt TS_NO_LOGS_NO_SUPPORT=true
Environment=TS_DEBUG_FIREWALL_MODE=nftables TS_DEBUG_ACME_DIRECTORY_URL=https://198.18.77.1:14000/dir
EnvironmentFile=-/etc/default/tailscaled
ExecStart=/usr/sbin/tailscaled --state=/var/lib/tailscale/tailscaled.state --socket=/run/tailscale/tailscaled.sock
Restart=on-failure
RuntimeDirectory=tailscale
StateDirectory=tailscale
StateDirectoryMode=0700
[Install]
WantedBy=multi-user.target
"""

# The unit is tried again every 5 s, gets its certificate, and verifies itself.
SECONDS = 120


@pytest.fixture(scope="module")
def booted(root: Path, tailnet: Tailnet) -> Iterator[Booted]:
    """The node a of the tailnet, whose tailscaled runs on a machine with that network from now on."""
    for name in ("tailscale", "tailscaled"):
        shutil.copy(BUILT / name, root / "usr/sbin")
    certificates = root / "etc/ssl/certs"
    certificates.mkdir(parents=True, exist_ok=True)
    shutil.copy(tailnet.folder / "bundle.crt", certificates / "ca-certificates.crt")
    (root / "etc/systemd/system/tailscaled.service").write_text(UNIT)
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {NAME}\n")
    (root / "root/hub.yaml").write_text(SPEC)
    with moved_out(tailnet) as machine:
        state = root / "var/lib/tailscale"
        state.mkdir(mode=0o700)
        shutil.copy(tailnet.folder / "a/tailscaled.state", state)
        with booting(root, machine, "--capability=CAP_NET_ADMIN", "--bind=/dev/net/tun") as made:
            made.must("systemctl enable --now tailscaled")
            wait_until(lambda: ADDRESS in made.run("tailscale ip -4").stdout, "the machine is in its tailnet")
            yield made


@contextmanager
def moved_out(tailnet: Tailnet) -> Iterator[Namespace]:
    """The network of the node a, without its tailscaled for as long as the block runs."""
    pid = int((tailnet.folder / "tailscaled-a.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), "the end of tailscaled")
    machine = Namespace(f"tailnet-{os.getpid()}")
    node = (tailnet.folder / "a.pid").read_text().strip()
    subprocess.run(["ip", "netns", "attach", machine.name, node], check=True)
    try:
        yield machine
    finally:
        subprocess.run(["ip", "netns", "delete", machine.name], check=True)
        tailnet.script("daemon", "a")
        shown = [*tailnet.prefix("a"), "tailscale", "ip", "-4"]
        wait_until(lambda: ADDRESS in subprocess.run(shown, capture_output=True, text=True).stdout, "the node is back")


def wait_verified(booted: Booted) -> None:
    wait_until(lambda: "got through" in booted.show("lkhub", "StatusText"), "the hub is verified", SECONDS)


def call(booted: Booted, tailnet: Tailnet) -> str:
    """Call the hub from the other node."""
    variables = booted.must("lkhub env --format dotenv").split()
    assert f"LIVEKIT_URL=wss://{NAME}" in variables
    verify = (sys.executable, "-m", "lkhub", "verify", "--url", f"wss://{NAME}", "--path", "udp")
    argv = [*tailnet.prefix("b"), "env", *variables, *verify]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_service_gets_its_certificate_once_its_user_is_the_operator(booted: Booted, tailnet: Tailnet) -> None:
    refused = booted.run(f"{SETUP}/bin/lkhub install")
    assert refused.returncode != 0
    assert "tailscaled gives lkhub no certificates" in refused.stderr
    assert "sudo tailscale set --operator=lkhub" in refused.stderr
    booted.must("tailscale set --operator=lkhub")
    wait_verified(booted)
    assert f"to udp host {ADDRESS}:" in call(booted, tailnet)
    booted.must("lkhub install")


def test_both_come_back_after_a_boot(booted: Booted, tailnet: Tailnet) -> None:
    booted.power_off()
    booted.boot()
    wait_verified(booted)
    assert f"to udp host {ADDRESS}:" in call(booted, tailnet)


def test_user_that_may_have_certificates_need_not_be_the_operator(booted: Booted, tailnet: Tailnet) -> None:
    booted.must("systemctl stop lkhub && tailscale set --operator=")
    (booted.root / "etc/default/tailscaled").write_text("TS_PERMIT_CERT_UID=lkhub\n")
    booted.must("systemctl restart tailscaled && systemctl start --no-block lkhub")
    wait_verified(booted)
    assert f"to udp host {ADDRESS}:" in call(booted, tailnet)
