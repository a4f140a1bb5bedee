"""`lkhub firewall` with a real ufw, in a namespace with its own copy of /etc/ufw."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.namespaces.lan import HUB, HUB_SPEC, PORTS, Lan
from tests.namespaces.reach import CONTROL, Port, answering, reach

OPEN: tuple[Port, ...] = (("udp", 7882), ("tcp", 7881), ("udp", 3478))


@pytest.fixture
def hub(lan: Lan) -> Iterator[Hub]:
    """A hub that is not up, on a machine with an active ufw that has other rules."""
    if shutil.which("ufw") is None:
        pytest.fail("not on PATH: ufw (apt-get install ufw)", pytrace=False)
    etc = Path("/etc/netns", lan.hub.name)
    for name in ("ufw", "default"):
        shutil.copytree(Path("/etc", name), etc / name, dirs_exist_ok=True)
    try:
        for words in ("--force enable", "allow 22/tcp", f"allow {CONTROL}/udp", "deny from 203.0.113.0/24"):
            lan.hub.run("ufw", *words.split())
        with make_hub(lan.hub.prefix, PORTS) as made:
            made.spec.write_text(HUB_SPEC)
            yield made
        lan.hub.run("ufw", "--force", "disable")
    finally:
        for name in ("ufw", "default"):
            shutil.rmtree(etc / name, ignore_errors=True)
        lan.hub.run("nft", "flush", "ruleset")


def read_rules(machine: Namespace) -> str:
    return machine.run("cat", "/etc/ufw/user.rules", "/etc/ufw/user6.rules")


def test_apply_lets_clients_through_and_revert_leaves_nothing(lan: Lan, hub: Hub) -> None:
    before = read_rules(lan.hub)
    with answering(lan.hub, *OPEN, ("tcp", 7880)):
        assert reach(lan.client, HUB, *OPEN) == set()
        assert hub.run("firewall", "status").returncode == 1

        done = hub.run("firewall", "apply")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "in charge: ufw" in done.stdout
        assert reach(lan.client, HUB, *OPEN, ("tcp", 7880)) == set(OPEN)
        applied = read_rules(lan.hub)
        assert applied.count("198.18.0.0/24 in comment=") == 5

        assert "nothing to do" in hub.run("firewall", "apply").stderr
        assert read_rules(lan.hub) == applied

        assert hub.run("firewall", "revert").returncode == 0
        assert reach(lan.client, HUB, *OPEN) == set()
    assert read_rules(lan.hub) == before


def test_a_rule_that_the_administrator_has_already_is_not_taken_over(lan: Lan, hub: Hub) -> None:
    lan.hub.run("ufw", "allow", "proto", "udp", "from", "198.18.0.0/24", "to", "any", "port", "7882")
    lan.hub.run("ufw", "allow", "443/tcp")
    before = read_rules(lan.hub)
    assert hub.run("firewall", "apply").returncode == 0
    assert hub.run("firewall", "revert").returncode == 0
    assert read_rules(lan.hub) == before


def test_ports_the_administrator_denies_stay_denied_and_are_reported(lan: Lan, hub: Hub) -> None:
    lan.hub.run("ufw", "deny", "7881/tcp")
    done = hub.run("firewall", "apply")
    assert done.returncode == 1
    assert "CLOSED  7881/tcp" in done.stdout
    assert "a rule of ufw says deny 7881/tcp" in done.stdout


def test_rules_are_removed_from_a_ufw_that_was_turned_off(lan: Lan, hub: Hub) -> None:
    before = read_rules(lan.hub)
    hub.run("firewall", "apply")
    lan.hub.run("ufw", "--force", "disable")
    assert "nothing in this machine's input chains drops" in hub.run("firewall", "status").stdout
    assert hub.run("firewall", "revert").returncode == 0
    assert read_rules(lan.hub) == before


def test_the_rendered_script_does_the_same(lan: Lan, hub: Hub) -> None:
    hub.run("render", "firewall", "--format", "ufw", "-o", "out")
    lan.hub.run(str(hub.folder / "out/ufw.sh"))
    assert hub.run("firewall", "status").returncode == 0
    assert "nothing to do" in hub.run("firewall", "apply").stderr


def test_a_single_address_is_the_same_when_it_is_read_again(hub: Hub) -> None:
    proxy = "domain: rtc.example.com\ntls: {mode: external, listen: 8443, trusted_proxies: [198.18.0.2]}\n"
    hub.spec.write_text(HUB_SPEC + proxy)
    assert hub.run("firewall", "apply").returncode == 0
    assert "nothing to do" in hub.run("firewall", "apply").stderr
    assert hub.run("firewall", "revert").returncode == 0
