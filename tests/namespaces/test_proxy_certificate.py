"""The hub gets the certificate of TURN's name by itself, through the proxy that has ports 80 and 443."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit import pebble
from tests.kit.hub import Hub
from tests.kit.netns import dropping
from tests.namespaces.lan import CLIENT, HUB, Lan, make_lan
from tests.namespaces.proxied import NAME, TURN_NAME, ask_stun, make_proxied, write_certificates
from tests.waiting import wait_until

ACME_NAME = "acme.example.com"


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    """A LAN with two names for the hub in its DNS, and one for an authority on the client's machine."""
    with make_lan() as made:
        made.name_hosts({NAME: HUB, TURN_NAME: HUB, ACME_NAME: CLIENT})
        yield made


@pytest.mark.parametrize("proxy", ["nginx", "haproxy", "traefik"])
@pytest.mark.parametrize("closed", [80, 443], ids=["by-tls-alone", "by-http-alone"])
def test_both_proofs_of_the_name_pass_the_proxy(lan: Lan, tmp_path: Path, proxy: str, closed: int) -> None:
    write_certificates(tmp_path, NAME, ACME_NAME)

    def start(hub: Hub) -> None:
        kept = f"caddy/certificates/*/*/{TURN_NAME}.crt"
        with dropping(lan.hub, f"iifname lan0 tcp dport {closed}", verdict="reject with tcp reset"):
            hub.up("--no-verify")
            wait_until(lambda: [*hub.state.glob(kept)], "the hub has a certificate")

    issuer = f"issuer: https://{ACME_NAME}:{pebble.PORT}/dir"
    with (
        pebble.running(lan.client, tmp_path, tmp_path / "cert.pem", tmp_path / "key.pem") as authority,
        make_proxied(lan, proxy, tmp_path, issuer, start) as proxied,
    ):
        (tmp_path / "acme.pem").write_text(authority.read_root())
        assert ask_stun(replace(proxied, root=tmp_path / "acme.pem"), TURN_NAME, 443) == {"mapped": CLIENT}
