"""tls.mode files: a certificate that another program renews is loaded while a call goes on."""

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.certificates import Made, make
from tests.integration.test_calls import UNDISTURBED_SECONDS
from tests.kit.call import LISTENER, SPEAKER, calling
from tests.kit.hub import Hub, free_ports, kill_supervisor, make_hub
from tests.waiting import wait_until

NOW = datetime.now(UTC)
VALID = (NOW - timedelta(hours=1), NOW + timedelta(days=60))
ROOT = make("root", ca=True, valid=VALID)


def make_leaf() -> Made:
    return make("", ROOT, names=["127.0.0.1"], valid=VALID)


def install(folder: Path, leaf: Made, key: Made) -> None:
    """As an ACME client does it: each file is there as a whole, or the old one is. The chain has its issuer, without
    which `status` warns of it."""
    for name, text in (("cert.pem", leaf.pem + ROOT.pem), ("key.pem", key.key_pem)):
        (folder / f"{name}.new").write_text(text)
        os.replace(folder / f"{name}.new", folder / name)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with make_hub(ports=free_ports()) as made:
        (made.folder / "root.pem").write_text(ROOT.pem)
        made.write_spec(
            f"tls: {{mode: files, cert: cert.pem, key: key.pem, listen: {made.ports['https']}, "
            f"http: {made.ports['http']}}}\n"
        )
        yield made


def served(hub: Hub) -> int:
    """The serial number of the certificate that clients meet now."""
    context = ssl.create_default_context(cadata=ROOT.pem)
    with (
        socket.create_connection(("127.0.0.1", hub.ports["https"])) as wire,
        context.wrap_socket(wire, server_hostname="127.0.0.1") as connection,
    ):
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"").serial_number


@pytest.mark.timing
def test_replaced_files_are_taken_over_without_a_restart(hub: Hub) -> None:
    first, second, other = make_leaf(), make_leaf(), make_leaf()
    install(hub.folder, first, first)
    hub.up("--no-verify")
    before = hub.pids()
    assert served(hub) == first.certificate.serial_number
    trusting = ["env", f"SSL_CERT_FILE={hub.folder / 'root.pem'}"]
    tokens = [hub.token("room", identity) for identity in (SPEAKER, LISTENER)]
    with calling(trusting, hub.env()["LIVEKIT_URL"], *tokens) as call:
        call.watch()
        install(hub.folder, second, second)
        wait_until(lambda: served(hub) == second.certificate.serial_number, "the new certificate")
        wait_until(lambda: "the new certificate is in use" in hub.log("hub"), "it is said")

        install(hub.folder, other, first)
        wait_until(lambda: "the old one stays in use" in hub.log("hub"), "a key that does not fit is refused")
        assert served(hub) == second.certificate.serial_number

        gap, reconnects = call.disturbance()
    print(f"longest gap: {gap * 1000:.0f} ms")
    assert reconnects == 0
    assert gap < UNDISTURBED_SECONDS
    assert hub.pids() == before


@pytest.mark.field
def test_files_that_were_replaced_without_a_supervisor_are_loaded_by_the_next_up(hub: Hub) -> None:
    first, second, other = make_leaf(), make_leaf(), make_leaf()
    install(hub.folder, first, first)
    hub.up("--no-verify")
    before = hub.pids()
    kill_supervisor(hub)
    install(hub.folder, second, second)
    hub.up("--no-verify")
    wait_until(lambda: served(hub) == second.certificate.serial_number, "the new certificate")
    assert hub.pids() == before
    install(hub.folder, other, first)
    wait_until(lambda: len(hub.findings()) == 2, "what is wrong with the files, and that they were not taken")
    cause, consequence = hub.findings()
    assert cause["code"] == "key-of-another-certificate", "of the files, as they are now"
    assert consequence["code"] == "certificate-not-taken"
    assert consequence["depends_on"] == [cause["code"]]
    install(hub.folder, other, other)
    wait_until(lambda: served(hub) == other.certificate.serial_number, "one that fits")
    wait_until(lambda: hub.findings() == [], "the end of the finding")
