"""`lkhub firewall` with a real nftables: packets get through after `apply`, none after `revert`, and all other rules
are unchanged, to the byte."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace, namespace
from tests.namespaces.lan import CLIENT, HUB, HUB_SPEC, PORTS, Lan
from tests.namespaces.reach import CONTROL, Port, answering, reach

OPEN: tuple[Port, ...] = (("udp", 7882), ("tcp", 7881), ("udp", 3478), ("tcp", 443))
CLOSED: tuple[Port, ...] = (("tcp", 7880), ("udp", 30000), ("tcp", 8080))

PROLOGUE = f"""
    ct state vmap {{ established : accept, related : accept, invalid : drop }}
    iifname "lo" accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp dport {CONTROL} accept
    tcp dport 22 accept"""

# Input chains as distributions and their guides have them; each drops what the hub needs.
RULESETS = {
    "policy": f"chain input {{ type filter hook input priority filter; policy drop; {PROLOGUE}\n }}",
    "last rule": f"""chain input {{ type filter hook input priority filter; policy accept; {PROLOGUE}
        counter drop
        }}""",
    "reject, and a log before it": f"""chain input {{ type filter hook input priority filter; policy drop; {PROLOGUE}
        ip saddr @banned drop
        limit rate 5/minute log prefix "input: "
        reject with icmpx type admin-prohibited
        }}""",
    "chains for tcp and udp": f"""chain tcp_in {{ tcp dport 80 accept
        reject with tcp reset
        }}
        chain input {{ type filter hook input priority filter; policy drop; {PROLOGUE}
        meta l4proto vmap {{ tcp : jump tcp_in }}
        iifname "lan0" udp dport != 53 drop
        }}""",
    "two chains": f"""chain early {{ type filter hook input priority -10; policy drop; {PROLOGUE}
        tcp dport 7881 accept
        }}
        chain input {{ type filter hook input priority filter; policy drop; {PROLOGUE}
        }}""",
}
BANNED = "set banned { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 }; }"


def load(machine: Namespace, ruleset: str) -> None:
    machine.run("nft", "-f", "-", text=f"flush ruleset\ntable inet filter {{\n{BANNED}\n{ruleset}\n}}\n")


def list_ruleset(machine: Namespace) -> str:
    return machine.run("nft", "-j", "list", "ruleset")


@pytest.fixture
def hub(lan: Lan) -> Iterator[Hub]:
    """A hub that is not up: its firewall is another thing."""
    with make_hub(lan.hub.prefix, PORTS) as made:
        made.spec.write_text(HUB_SPEC)
        yield made
        lan.hub.run("nft", "flush", "ruleset")


@pytest.mark.parametrize("ruleset", RULESETS.values(), ids=RULESETS)
def test_apply_lets_clients_through_and_revert_leaves_nothing(lan: Lan, hub: Hub, ruleset: str) -> None:
    load(lan.hub, ruleset)
    before = list_ruleset(lan.hub)
    with answering(lan.hub, *OPEN, *CLOSED):
        assert not reach(lan.client, HUB, *OPEN) & {("udp", 7882), ("tcp", 443)}
        assert hub.run("firewall", "status").returncode == 1

        done = hub.run("firewall", "apply")
        assert done.returncode == 0, done.stdout + done.stderr
        assert reach(lan.client, HUB, *OPEN, *CLOSED) == set(OPEN)
        applied = list_ruleset(lan.hub)

        again = hub.run("firewall", "apply")
        assert (again.returncode, list_ruleset(lan.hub)) == (0, applied)
        assert "nothing to do" in again.stderr

        assert hub.run("firewall", "revert").returncode == 0
        assert not reach(lan.client, HUB, *OPEN) & {("udp", 7882), ("tcp", 443)}
    assert without_counters(list_ruleset(lan.hub)) == without_counters(before)


def without_counters(listed: str) -> str:
    """The ruleset, but for how many packets have come: the tests' own among them."""
    items = json.loads(
        listed, object_hook=lambda item: {k: v for k, v in item.items() if k not in ("packets", "bytes")}
    )
    return json.dumps(items)


def test_a_ruleset_without_counters_is_the_same_to_the_byte(lan: Lan, hub: Hub) -> None:
    load(lan.hub, RULESETS["two chains"])
    before = list_ruleset(lan.hub)
    hub.run("firewall", "apply")
    assert list_ruleset(lan.hub) != before
    hub.run("firewall", "revert")
    assert list_ruleset(lan.hub) == before


def test_bans_and_limits_of_the_administrator_still_hold(lan: Lan, hub: Hub) -> None:
    load(lan.hub, RULESETS["reject, and a log before it"].replace("@banned", CLIENT))
    assert hub.run("firewall", "apply").returncode == 0
    text = lan.hub.run("nft", "list", "chain", "inet", "filter", "input")
    assert text.index(f"ip saddr {CLIENT} drop") < text.index("lkhub:") < text.index("log prefix")


def test_only_this_network_gets_in(lan: Lan, hub: Hub) -> None:
    load(lan.hub, RULESETS["policy"])
    hub.run("firewall", "apply")
    text = lan.hub.run("nft", "list", "chain", "inet", "filter", "input")
    assert text.count("ip saddr 198.18.0.0/24") == text.count("lkhub:") > 0


def test_a_changed_spec_moves_the_rules(lan: Lan, hub: Hub) -> None:
    load(lan.hub, RULESETS["policy"])
    hub.run("firewall", "apply")
    hub.spec.write_text(HUB_SPEC.replace("media: {", "media: {udp: 7000-7010, "))
    assert hub.run("firewall", "status").returncode == 1
    assert hub.run("firewall", "apply").returncode == 0
    with answering(lan.hub, ("udp", 7882), ("udp", 7005)):
        assert reach(lan.client, HUB, ("udp", 7882), ("udp", 7005)) == {("udp", 7005)}


def test_two_hubs_of_one_machine_leave_each_other_alone(lan: Lan, hub: Hub) -> None:
    load(lan.hub, RULESETS["policy"])
    hub.run("firewall", "apply")
    one = list_ruleset(lan.hub)
    with make_hub(lan.hub.prefix, PORTS) as other:
        other.spec.write_text(HUB_SPEC.replace("media: {", "media: {udp: 7005, "))
        other.run("firewall", "apply")
        assert list_ruleset(lan.hub) != one
        other.run("firewall", "revert")
    assert list_ruleset(lan.hub) == one


def test_a_chain_that_drops_nothing_is_left_alone(lan: Lan, hub: Hub) -> None:
    load(lan.hub, f"chain input {{ type filter hook input priority filter; policy accept; {PROLOGUE}\n }}")
    before = list_ruleset(lan.hub)
    done = hub.run("firewall", "apply")
    assert done.returncode == 0
    assert "nothing in this machine's input chains drops these packets" in done.stdout
    assert list_ruleset(lan.hub) == before


def test_dry_run_prints_what_nft_accepts_and_changes_nothing(lan: Lan, hub: Hub) -> None:
    load(lan.hub, RULESETS["policy"])
    before = list_ruleset(lan.hub)
    done = hub.run("firewall", "apply", "--dry-run")
    assert (done.returncode, list_ruleset(lan.hub)) == (0, before)
    lan.hub.run("sh", "-e", "-c", done.stdout)
    assert hub.run("firewall", "status").returncode == 0
    assert "nothing to do" in hub.run("firewall", "apply").stderr


def test_rules_of_iptables_are_printed_for_the_administrator(lan: Lan, hub: Hub) -> None:
    for rule in (
        "-P INPUT DROP",
        f"-A INPUT -p udp --dport {CONTROL} -j ACCEPT",
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
    ):
        lan.hub.run("iptables", *rule.split())
    before = list_ruleset(lan.hub)
    done = hub.run("firewall", "apply")
    assert (done.returncode, list_ruleset(lan.hub)) == (3, before)
    commands = [line.partition("`")[2].rstrip("`") for line in done.stderr.splitlines() if "run `iptables" in line]
    for command in commands:
        lan.hub.run("sh", "-c", command)
    with answering(lan.hub, *OPEN):
        assert reach(lan.client, HUB, *OPEN) == set(OPEN)
    assert hub.run("firewall", "status").returncode == 0


def test_the_rendered_file_works_where_it_says(lan: Lan, hub: Hub) -> None:
    hub.run("render", "firewall", "-o", "out")
    [file] = (hub.folder / "out").glob("*.nft")
    load(lan.hub, RULESETS["policy"].replace("\n }", f'\n include "{file}"\n }}'))
    with answering(lan.hub, *OPEN, *CLOSED):
        assert reach(lan.client, HUB, *OPEN, *CLOSED) == set(OPEN)
    assert hub.run("firewall", "status").returncode == 0


def test_without_permission_the_one_command_is_given() -> None:
    with namespace("user") as machine, make_hub([*machine.prefix, "setpriv", "--bounding-set=-all"], PORTS) as hub:
        # The program is still root's own, so that it may read itself, but nothing more than that.
        hub = replace(hub, prefix=[*machine.prefix, "setpriv", "--inh-caps=-all", "--bounding-set=-all"])
        machine.run("ip", "link", "add", "lan0", "type", "bridge")
        machine.add_address("lan0", f"{HUB}/24")
        hub.spec.write_text(HUB_SPEC)
        done = hub.run("firewall", "apply")
        assert done.returncode == 3, done.stderr
        program = f"{hub.command()[-3]} -P -m lkhub"
        assert f"sudo {program} firewall apply --spec {hub.spec} --state {hub.state}" in done.stderr
