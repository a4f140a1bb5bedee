"""The sovereign hub as a service, with the certificate of its name in a tailnet."""

from collections.abc import Iterator

import pytest

from tests.kit.booted import Booted
from tests.kit.netns import Namespace
from tests.kit.tailscaled import run_tailscaled
from tests.targets.conftest import SETUP
from tests.targets.tailnet import ADDRESS, NAME, SPEC, Tailnet, tailnet
from tests.waiting import wait_until

# The unit is tried again every 5 s, and verifies itself.
SECONDS = 90


@pytest.fixture(scope="module")
def net(
    booted: Booted, network: tuple[Namespace, Namespace], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tailnet]:
    """The machine's tailscaled runs, and its certificates are trusted there."""
    with tailnet(*network, tmp_path_factory.mktemp("tailnet")) as made:
        (booted.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {NAME}\n")
        certificates = booted.root / "etc/ssl/certs"
        certificates.mkdir(parents=True, exist_ok=True)
        (certificates / "ca-certificates.crt").write_text(made.root.pem)
        (booted.root / "root/hub.yaml").write_text(SPEC)
        booted.must("mkdir -m 755 /run/tailscale")
        with run_tailscaled(f"{booted.mounted}/run/tailscale/tailscaled.sock", made.daemon):
            yield made


def test_service_gets_its_certificate_once_its_user_is_the_operator(booted: Booted, net: Tailnet) -> None:
    refused = booted.run(f"{SETUP}/bin/lkhub install")
    assert refused.returncode != 0
    assert "tailscaled gives lkhub no certificates" in refused.stderr
    assert "sudo tailscale set --operator=lkhub" in refused.stderr
    assert net.daemon.operators is not None
    net.daemon.operators.add(int(booted.must("id --user lkhub")))
    wait_until(lambda: "got through" in booted.show("lkhub", "StatusText"), "the hub is verified", SECONDS)
    assert "tailscaled.service" in booted.show("lkhub", "After")
    assert net.shake_hands() == net.certificate.pem.strip()
    booted.must("lkhub install")
    variables = booted.must("lkhub env --format dotenv").split()
    assert f"LIVEKIT_URL=wss://{NAME}" in variables
    assert f"to udp host {ADDRESS}:" in net.verify(variables)


def test_service_has_its_certificate_after_a_restart_without_tailscaled(booted: Booted, net: Tailnet) -> None:
    """Its daemon is slower than the hub after a boot, for which the unit waits; here it comes later still."""
    net.daemon.state = "Stopped"
    booted.run("systemctl restart lkhub")
    wait_until(lambda: int(booted.show("lkhub", "NRestarts")) > 0, "the hub has tried and failed", SECONDS)
    assert "Tailscale is switched off" in booted.must("journalctl --unit lkhub --output cat --lines 30")
    net.daemon.state = "Running"
    wait_until(lambda: "got through" in booted.show("lkhub", "StatusText"), "the hub is verified", SECONDS)
    assert net.shake_hands() == net.certificate.pem.strip()
