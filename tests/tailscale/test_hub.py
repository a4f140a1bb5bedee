"""A hub with the name and the certificate of a real tailnet."""

import shlex
import subprocess
from collections.abc import Iterator

import pytest

from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import PORTS
from tests.tailscale.tailnet import ADDRESS, NAME, Tailnet
from tests.waiting import wait_until

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


def test_port_that_tailscale_serves_on_later_is_named_while_the_hub_runs(tailnet: Tailnet, hub: Hub) -> None:
    """The hub listens there still, and devices of the tailnet get what Tailscale serves."""
    hub.up("--no-verify")
    name = f"https://{NAME}/"
    get = [*tailnet.prefix("b"), "curl", "--silent", "--insecure", "--max-time", "20", name]
    before = subprocess.run(get, capture_output=True, text=True, timeout=60, check=True).stdout
    tailnet.script("in", "a", *shlex.split("tailscale serve --bg --yes text:other"))
    try:
        wait_until(lambda: subprocess.run(get, capture_output=True, text=True, timeout=60).stdout == "other", name)
        found = {finding["code"]: finding for finding in hub.findings()}
        fixes = [fix["command"] for fix in found["tailscale-serves"]["fix"]]
        assert fixes == ["sudo tailscale serve --https=443 off"]
    finally:
        tailnet.script("in", "a", *shlex.split("tailscale serve --https=443 off"))
    assert "tailscale-serves" not in [finding["code"] for finding in hub.findings()]
    assert subprocess.run(get, capture_output=True, text=True, timeout=60, check=True).stdout == before


def test_tailscaled_that_is_switched_off_is_named(tailnet: Tailnet, hub: Hub) -> None:
    tailnet.script("in", "a", "tailscale", "down")
    try:
        done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Tailscale is switched off on this machine" in done.stderr
    finally:
        tailnet.switch_on("a")
