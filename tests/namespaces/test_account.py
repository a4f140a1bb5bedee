"""An issuer that certifies only for accounts that it has given out before, as Google's does: a real Pebble."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import pebble
from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import CLIENT, HUB, PORTS, make_lan
from tests.namespaces.proxied import NAME, write_certificates
from tests.waiting import wait_until

ISSUER_NAME = "acme.example.com"
KEY = base64.urlsafe_b64encode(b"k" * 32).decode()

SPEC = f"""
reach: lan
domain: {NAME}
media: {{advertise: {HUB}}}
tls:
  mode: acme
  issuer: https://{ISSUER_NAME}:{pebble.PORT}/dir
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub on a LAN, and on the other machine an issuer that knows one account."""
    with make_lan() as lan:
        lan.name_hosts({NAME: HUB, ISSUER_NAME: CLIENT})
        write_certificates(tmp_path, NAME, ISSUER_NAME)
        files = (tmp_path / "cert.pem", tmp_path / "key.pem")
        with (
            pebble.running(lan.client, tmp_path, *files, accounts={"kid-1": KEY.rstrip("=")}),
            make_hub(lan.hub.prefix, PORTS) as made,
        ):
            made.environ["SSL_CERT_FILE"] = str(tmp_path / "root.pem")
            yield made


def find_failures(hub: Hub) -> list[str]:
    """The findings about missing certificates, as one text."""
    return [json.dumps(finding) for finding in hub.findings() if finding["code"] == "certificate-fails"]


def test_certificate_is_given_to_the_account_and_to_nobody_else(hub: Hub) -> None:
    hub.spec.write_text(SPEC)
    hub.up("--no-verify")
    [failure] = wait_until(lambda: find_failures(hub), "the refusal")
    assert "externalAccountRequired" in failure
    assert "tls.account" in failure
    before = hub.pids()

    (hub.folder / "mac.key").write_text(f"{KEY}\n")
    hub.spec.write_text(f"{SPEC}  account: {{key_id: kid-1, mac_key: {{file: mac.key}}}}\n")
    hub.up("--no-verify")
    kept = f"caddy/certificates/*/*/{NAME}.crt"
    wait_until(lambda: [*hub.state.glob(kept)], "the certificate")
    wait_until(lambda: not find_failures(hub), "the end of the failure")
    assert hub.pids() == before, "the edge took its account over without a restart"
    assert KEY.rstrip("=") not in hub.log("edge") + hub.log("hub") + (hub.state / "rendered/caddy.json").read_text()
    assert (hub.state / "rendered/account.key").stat().st_mode & 0o777 == 0o600
