"""What has changed while the machine was off is handled by the service at its next start as while it runs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make
from tests.kit.booted import Booted
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS, SETUP
from tests.waiting import wait_until

OTHER_ADDRESS = "198.18.7.9"

# A failed start is followed by the next within seconds, and a verification takes seconds on a busy machine.
VERIFIED_SECONDS = 90

BY_ITSELF = "reach: lan\n"
WITH_FILES = f"""\
reach: lan
domain: hub.test
media: {{advertise: {ADDRESS}}}
tls: {{mode: files, cert: /etc/lkhub/hub.crt, key: /etc/lkhub/hub.key}}
"""

# Another program, which is there before the hub.
HOLDER = """\
[Unit]
Before=lkhub.service
[Service]
ExecStart=/usr/bin/python3 -m http.server 7881
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def installed(booted: Booted) -> Booted:
    (booted.root / "root/hub.yaml").write_text(BY_ITSELF)
    booted.must(f"{SETUP}/bin/lkhub install")
    return booted


@pytest.fixture
def service(installed: Booted, network: tuple[Namespace, Namespace]) -> Iterator[Booted]:
    """The hub by its own choices, verified; afterwards the machine has its address again."""
    installed.must(f"cat >/etc/lkhub/hub.yaml <<'END'\n{BY_ITSELF}END\nlkhub install")
    yield installed
    network[0].run("ip", "address", "flush", "dev", "eth0")
    network[0].add_address("eth0", f"{ADDRESS}/24")


def wait_verified(service: Booted) -> None:
    wait_until(lambda: "got through" in service.show("lkhub", "StatusText"), "the hub is verified", VERIFIED_SECONDS)


def list_codes(service: Booted) -> set[str]:
    return {finding["code"] for finding in read_status(service)["findings"]}


def read_status(service: Booted) -> dict[str, Any]:
    return json.loads(service.run("lkhub status --json").stdout)  # type: ignore[no-any-return]


def test_address_is_another_one(service: Booted, network: tuple[Namespace, Namespace]) -> None:
    machine, _ = network
    keys = json.loads(service.must("lkhub env --format json"))
    service.power_off()
    machine.run("ip", "address", "flush", "dev", "eth0")
    machine.add_address("eth0", f"{OTHER_ADDRESS}/24")
    service.boot()
    wait_verified(service)
    after = json.loads(service.must("lkhub env --format json"))
    assert after == {**keys, "LIVEKIT_URL": f"wss://{OTHER_ADDRESS}"}
    # The hub's own root is good for its addresses alone.
    assert "root-changed" in list_codes(service)
    [udp] = [path for path in read_status(service)["verified"]["paths"] if path["path"] == "udp"]
    assert OTHER_ADDRESS in str(udp["remote"])


def test_port_is_taken_and_becomes_free(service: Booted) -> None:
    service.must(f"cat >/etc/systemd/system/holder.service <<'END'\n{HOLDER}END\nsystemctl enable holder")
    service.cut_power()
    service.boot()
    wait_until(lambda: int(service.show("lkhub", "NRestarts")) > 0, "the hub has tried and failed", VERIFIED_SECONDS)
    said = service.must("journalctl --unit lkhub --output cat --lines 30")
    assert "tcp port 7881 (media over TCP) is in use" in said
    service.must("systemctl disable --now holder")
    wait_verified(service)
    assert not {code for code in list_codes(service) if code.startswith("process-")}


def test_certificate_has_ended_and_is_renewed(service: Booted) -> None:
    """As after weeks without power. With it nobody would get in, so the service says so, and tries again until the
    operator's program has renewed it."""
    now = datetime.now(UTC)
    root = make("root", ca=True, valid=(now - timedelta(days=90), now + timedelta(days=900)))
    put(service.root, *make_pair(root, now + timedelta(days=30)))
    # Nobody trusts this root, so the calls do not get through.
    service.run(f"cat >/etc/lkhub/hub.yaml <<'END'\n{WITH_FILES}END\nlkhub install")
    keys = service.must("lkhub env")
    service.power_off()
    put(service.root, *make_pair(root, now - timedelta(days=1)))
    service.boot()
    wait_until(lambda: int(service.show("lkhub", "NRestarts")) > 0, "the hub has tried and failed", VERIFIED_SECONDS)
    assert "/etc/lkhub/hub.crt expired on" in service.must("journalctl --unit lkhub --output cat --lines 30")
    put(service.root, *make_pair(root, now + timedelta(days=60)))
    wait_until(lambda: service.show("lkhub", "ActiveState") == "active", "the hub is up", VERIFIED_SECONDS)
    assert service.must("lkhub env") == keys
    assert not list_codes(service) & {"certificate-expired", "certificate-expires", "certificate-not-taken"}


def make_pair(root: Any, end: datetime) -> tuple[str, str]:
    made = make("", root, names=["hub.test"], valid=(end - timedelta(days=89), end))
    return made.pem, made.key_pem


def put(root: Path, certificate: str, key: str) -> None:
    for name, text in (("hub.key", key), ("hub.crt", certificate)):
        path = root / "etc/lkhub" / name
        path.write_text(text)
        path.chmod(0o644)  # the hub's user reads it
