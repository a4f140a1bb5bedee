"""A hub with the name and the certificate of a real tailnet."""

import shlex
import subprocess
from collections.abc import Iterator

import pytest

from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import PORTS
from tests.tailscale.tailnet import ADDRESS, NAME, Tailnet

SPEC = "reach: lan\ntls: {mode: tailscale}\nmedia: {interfaces: [tailscale0]}\n"


@pytest.fixture
def hub(tailnet: Tailnet) -> Iterator[Hub]:
    with make_hub(tailnet.prefix("a"), PORTS) as made:
        # A namespace of mounts begins at the root.
        made.prefix = [*made.prefix, "env", "-C", str(made.folder)]
        made.spec.write_text(SPEC)
        yield made


def test_hub_is_called_by_its_name_in_the_tailnet(tailnet: Tailnet, hub: Hub) -> None:
    done = hub.run("up", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("verified ") == 4, done.stdout
    assert [finding["code"] for finding in hub.findings()] == ["native-refuses"], "Pebble's root is no public one"
    own = hub.env()
    assert own["LIVEKIT_URL"] == f"wss://{NAME}"
    keys = [f"{name}={own[name]}" for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")]
    command = [*tailnet.prefix("b"), "env", *keys, hub.python, "-m", "lkhub", "verify", "--url", own["LIVEKIT_URL"]]
    called = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert called.returncode == 0, called.stdout + called.stderr
    assert f"to udp host {ADDRESS}:7882" in called.stdout, "through the tailnet"


def test_port_that_tailscale_serves_on_is_named_with_what_ends_it(tailnet: Tailnet, hub: Hub) -> None:
    tailnet.script("in", "a", "tailscale", "serve", "--bg", "--yes", "8080")
    try:
        done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 3, done.stdout + done.stderr
        assert "tcp port 443" in done.stderr
        assert "is in use by tailscaled" in done.stderr
        assert "`tailscale serve status` shows what Tailscale serves there" in done.stderr
    finally:
        tailnet.script("in", "a", *shlex.split("tailscale serve --https=443 off"))
    hub.up("--no-verify")


def test_tailscaled_that_is_switched_off_is_named(tailnet: Tailnet, hub: Hub) -> None:
    tailnet.script("in", "a", "tailscale", "down")
    try:
        done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Tailscale is switched off on this machine" in done.stderr
    finally:
        tailnet.script("in", "a", "tailscale", "up", "--reset", "--timeout=60s")
