"""A hub in a tailnet, whose certificate tailscaled gets: quickly, slowly or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace, tunnel
from tests.kit.tailscaled import Tailscaled, run_tailscaled
from tests.namespaces.lan import PORTS
from tests.waiting import wait_until

NAME = "hub.tail1234.ts.net"
SPEC = "reach: lan\ntls: {mode: tailscale}\nmedia: {interfaces: [tailscale0]}\n"

# Longer than what an edge gave it before, which broke the order off and kept that for a failure.
ISSUING_SECONDS = 4.0


@dataclass(frozen=True)
class Tailnet:
    hub: Hub
    daemon: Tailscaled


@contextmanager
def tailnet(machine: Namespace, daemon: Tailscaled) -> Iterator[Tailnet]:
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=60))
    root = make("root", ca=True, valid=valid)
    daemon = replace(daemon, pairs={NAME: (make("", root, names=[NAME], valid=valid),)})
    machine.name_hosts({NAME: "100.64.0.7"})
    with (
        tunnel(machine, "tailscale0", "100.64.0.7/32"),
        tempfile.TemporaryDirectory(prefix="tailnet-") as folder,
        run_tailscaled(f"{folder}/sock", daemon),
        make_hub(machine.prefix, PORTS) as hub,
    ):
        authority = Path(folder, "root.pem")
        authority.write_text(root.pem)
        hub.environ |= {"SSL_CERT_FILE": str(authority), "TS_SOCKET": f"{folder}/sock"}
        hub.spec.write_text(SPEC)
        yield Tailnet(hub, daemon)


def test_first_certificate_is_waited_for(machine: Namespace) -> None:
    with tailnet(machine, Tailscaled(issuing=ISSUING_SECONDS)) as made:
        done = made.hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "verified turn-tls" in done.stdout
        assert made.daemon.issued == [NAME], "issued once, and to its end"
        assert errors(made.hub) == []


def errors(hub: Hub) -> list[dict[str, Any]]:
    return [finding for finding in hub.findings() if finding["severity"] == "error"]


@pytest.mark.parametrize(
    ("refusal", "cause", "words"),
    [
        ((429, "acme: rate limited"), "as many certificates", "acme: rate limited"),
        ((500, "acme.GetReg: dial tcp: i/o timeout"), "its words are above", "acme.GetReg: dial tcp: i/o timeout"),
    ],
)
def test_certificate_that_tailscaled_does_not_get_is_reported_in_its_words_and_requested_again(
    machine: Namespace, refusal: tuple[int, str], cause: str, words: str
) -> None:
    with tailnet(machine, Tailscaled(refusal=refusal)) as made:
        done = made.hub.run("up", "--detach")
        assert done.returncode == 1, done.stdout + done.stderr
        assert words in done.stderr, "up says what status says"
        finding, failing = errors(made.hub)
        assert failing["depends_on"] == ["certificate-fails"]
        assert failing["fix"] == []
        assert (finding["code"], finding["subject"]) == ("certificate-fails", NAME)
        assert words in finding["detail"]
        assert cause in finding["cause"]
        assert "no delimiter" not in finding["detail"]
        made.daemon.refusal = None
        wait_until(lambda: errors(made.hub) == [], "it is asked again, and gives one")
