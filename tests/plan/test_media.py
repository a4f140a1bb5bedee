"""The addresses that clients are told on each kind of machine, the local addresses behind them, and the notes."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.media import needs_domain
from lkhub.plan.model import Plan
from lkhub.plan.network import InterfaceKind, LookedUp, NetworkFacts
from lkhub.spec.load import load_spec
from tests.findings.make import NO_TAILSCALED, titles
from tests.machines import (
    DOCKER,
    ETHERNET,
    INSTALLATION,
    LOOPBACK,
    MACHINES,
    PUBLIC,
    PUBLIC_V4,
    PUBLIC_V6,
    TAILSCALE,
    WIFI,
    interface,
    make_facts,
    resolved,
)

PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"
STUN = "media: {advertise: {stun: stun.example.com:3478}}\n"


def build(text: str, facts: NetworkFacts) -> Plan:
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, facts, INSTALLATION)
    assert loaded.faults == []
    assert plan is not None
    return plan


def tell(text: str, machine: str) -> list[str]:
    """The addresses that clients are told, with `→` and the local address if it differs."""
    addresses = build(text, MACHINES[machine]).media.addresses
    return [
        str(told) if told == local else f"{told} → {local}"
        for told, local in ((a.external, a.local) for a in addresses)
    ]


def refuse(text: str, facts: NetworkFacts) -> tuple[str, str, str]:
    """Key, problem and hint of the one fault."""
    loaded = load_spec(text.encode())
    build_plan(loaded, facts, INSTALLATION)
    [fault] = loaded.faults
    return fault.key, fault.title, fault.hint


@pytest.mark.parametrize(
    ("text", "machine", "told"),
    [
        ("", "laptop", ["127.0.0.1"]),
        ("", "offline", ["127.0.0.1"]),
        ("", "vps", ["127.0.0.1"]),
        # Cable and Wi-Fi are on one LAN; docker0 and tailscale0 are no LAN.
        ("reach: lan", "laptop", ["192.168.1.5"]),
        ("reach: lan", "two-lans", ["192.168.1.6", "10.0.0.9"]),
        ("reach: lan", "zoo", ["192.168.1.5", "10.0.0.9"]),
        ("reach: lan\nmedia: {interfaces: [eth1]}", "zoo", ["10.0.0.9"]),
        ("reach: lan\nmedia: {interfaces: [virbr0]}", "zoo", ["192.168.122.1"]),
        ("reach: lan\nmedia: {interfaces: [eth1, tailscale0]}", "zoo", ["10.0.0.9", "100.64.0.7"]),
        ("reach: lan\nmedia: {advertise: 10.0.0.9}", "zoo", ["10.0.0.9"]),
        ("reach: lan\nmedia: {advertise: [10.0.0.9, 192.168.1.5]}", "zoo", ["10.0.0.9", "192.168.1.5"]),
        ("reach: lan", "lan-v6", ["fd00::5"]),
        ("reach: lan", "vps", ["1.2.3.4"]),
        ("reach: lan\ntls: {mode: tailscale}", "tailnet", ["192.168.1.5", "100.64.0.7"]),
        (PUBLIC_HUB, "vps", ["1.2.3.4", "2600::4"]),
        (PUBLIC_HUB, "vps-v4", ["1.2.3.4"]),
        (PUBLIC_HUB, "vps-v6", ["2600::4"]),
        (PUBLIC_HUB, "home", ["1.2.3.4 → 192.168.1.5"]),
        (PUBLIC_HUB, "home-dual", ["1.2.3.4 → 192.168.1.6", "2600::4"]),
        (PUBLIC_HUB + "media: {advertise: 1.2.3.4}", "home-unnamed", ["1.2.3.4 → 192.168.1.5"]),
        (PUBLIC_HUB + "media: {advertise: [1.2.3.4, 2600::4]}", "vps", ["1.2.3.4", "2600::4"]),
        (PUBLIC_HUB + "media: {advertise: [1.2.3.4, 192.168.1.5]}", "home", ["1.2.3.4 → 192.168.1.5", "192.168.1.5"]),
        (PUBLIC_HUB + STUN, "home-seen", ["1.2.3.4 → 192.168.1.5"]),
        ("reach: lan\n" + STUN, "home-seen", ["1.2.3.4 → 192.168.1.5"]),
        (PUBLIC_HUB + STUN, "home-unseen", ["192.168.1.5"]),
    ],
)
def test_clients_are_told_what_they_can_reach(text: str, machine: str, told: list[str]) -> None:
    assert tell(text, machine) == told


@pytest.mark.parametrize(
    ("text", "machine", "interfaces"),
    [
        ("reach: lan", "zoo", ("eth0", "eth1")),
        ("reach: lan\nmedia: {interfaces: [eth1]}", "zoo", ("eth1",)),
        ("reach: lan\ntls: {mode: tailscale}", "tailnet", ("eth0", "tailscale0")),
        (PUBLIC_HUB, "home", ("eth0",)),
        (PUBLIC_HUB, "home-dual", ("wlan0", "eth0")),
        (PUBLIC_HUB, "vps", ("eth0",)),
    ],
)
def test_media_listens_where_the_told_addresses_lead(text: str, machine: str, interfaces: tuple[str, ...]) -> None:
    plan = build(text, MACHINES[machine])
    assert plan.media.interfaces == interfaces
    facts = MACHINES[machine]
    for address in plan.media.local:
        interface_of = facts.interface_of(address)
        assert interface_of, "no socket can be bound elsewhere"
        assert interface_of.name in interfaces


@pytest.mark.parametrize(
    ("text", "machine", "said"),
    [
        ("reach: lan", "zoo", "clients are told 192.168.1.5, on eth0, which carries the default route"),
        ("reach: lan", "zoo", "clients are also told 10.0.0.9, on eth1, another network"),
        ("reach: lan", "zoo", "not 172.17.0.1 on docker0: a bridge for containers or virtual machines"),
        ("reach: lan", "zoo", "not 192.168.122.1 on virbr0: a bridge for containers or virtual machines"),
        ("reach: lan", "zoo", "not 100.64.0.7 on tailscale0: a VPN, which other devices here are not in"),
        (
            "reach: lan\ntls: {mode: tailscale}",
            "tailnet",
            "clients are also told 100.64.0.7, this machine's address in the tailnet",
        ),
        (PUBLIC_HUB, "vps", "clients are told 2600::4, the public address on eth0"),
        (
            PUBLIC_HUB,
            "home",
            "clients are told 1.2.3.4, what rtc.example.com resolves to, assuming that the router in front leads it to "
            "192.168.1.5",
        ),
        (
            PUBLIC_HUB + STUN,
            "home-seen",
            "clients are told 1.2.3.4, what stun.example.com:3478 sees, assuming that the router in front leads it to "
            "192.168.1.5",
        ),
        (
            PUBLIC_HUB + STUN,
            "home-unseen",
            "stun.example.com:3478 did not say this hub's address (no answer within 3 s); clients are told 192.168.1.5 "
            "until it does",
        ),
        (
            PUBLIC_HUB + "media: {advertise: 1.2.3.4}",
            "home",
            "clients are told 1.2.3.4, assuming that the router in front leads it to 192.168.1.5",
        ),
    ],
)
def test_choice_is_explained(text: str, machine: str, said: str) -> None:
    assert said in titles(build(text, MACHINES[machine]))


def test_machine_without_public_ipv4_says_who_is_left_out() -> None:
    """A home network with IPv6, whose name has no A record."""
    facts = make_facts(LOOPBACK, PUBLIC_V6, WIFI, looked_up=resolved("2600::4"))
    plan = build(PUBLIC_HUB, facts)
    assert [str(address) for address in plan.media.advertise] == ["2600::4"]
    assert any("clients without IPv6 can't reach this hub" in note for note in titles(plan))


@pytest.mark.parametrize(
    ("text", "machine", "key", "problem"),
    [
        (PUBLIC_HUB, "home-unnamed", "domain", "rtc.example.com has no IPv4 address in the DNS"),
        (PUBLIC_HUB, "home-misnamed", "domain", "rtc.example.com resolves to 192.168.1.5, which clients outside"),
        (PUBLIC_HUB, "offline", "reach", "no network address on this machine: 172.17.0.1 on docker0"),
        (PUBLIC_HUB, "lan-v6", "reach", "no network address on this machine: fd00::5 on eth0 (not usable)"),
        (PUBLIC_HUB + "media: {advertise: 10.9.9.9}", "home", "media.advertise", "10.9.9.9 is not an address of this"),
        ("reach: lan\nmedia: {advertise: 1.2.3.4}", "home", "media.advertise", "1.2.3.4 is not an address of this"),
        (PUBLIC_HUB + "media: {advertise: 127.0.0.1}", "home", "media.advertise", "127.0.0.1 is a loopback address"),
        (STUN, "home-seen", "media.advertise", "a hub for this machine only needs no STUN server"),
        ("reach: lan\ntls: {mode: tailscale}", "home", "tls.mode", ""),
    ],
)
def test_address_that_nobody_can_reach_is_a_fault(text: str, machine: str, key: str, problem: str) -> None:
    found_key, found_problem, hint = refuse(text, replace(MACHINES[machine], looked_up=tailnet_too(machine)))
    assert found_key == key
    assert found_problem.startswith(problem)
    assert hint


@pytest.mark.parametrize("advertise", ["auto", "1.2.3.4"])
def test_public_address_on_loopback_alone_is_refused_with_the_remedy(advertise: str) -> None:
    """As hosts have it that announce their address by BGP. Media would start, and offer nothing."""
    announced = interface("lo", "loopback", "127.0.0.1/8", "1.2.3.4/32")
    facts = make_facts(announced, ETHERNET, looked_up=resolved("1.2.3.4"))
    text = PUBLIC_HUB + f"media: {{advertise: {advertise}}}\n"
    key, problem, hint = refuse(text, facts)
    assert key == ("reach" if advertise == "auto" else "media.advertise")
    assert problem == "1.2.3.4 is on lo, an interface that media can't use for clients on other machines"
    assert "`ip address add 1.2.3.4/32 dev eth0`" in hint
    moved = interface("eth0", "lan", "192.168.1.5/24", "1.2.3.4/32")
    for interfaces in ((LOOPBACK, moved), (announced, moved)):
        plan = build(text, make_facts(*interfaces, looked_up=resolved("1.2.3.4")))
        assert [str(address) for address in plan.media.advertise] == ["1.2.3.4"]


def tailnet_too(machine: str) -> LookedUp:
    return replace(MACHINES[machine].looked_up, tailnet="laptop.tail1234.ts.net")


TAILNET_SPEC = "reach: lan\ntls: {mode: tailscale}\nmedia: {interfaces: [tailscale0]}\n"


def test_interface_of_a_tailscale_that_is_not_connected_says_what_connects_it() -> None:
    """It keeps a link-local address when the daemon has ended or is logged out."""
    left = interface("tailscale0", "vpn", "fe80::7/64")
    for text in ("reach: lan\nmedia: {interfaces: [tailscale0]}", TAILNET_SPEC):
        looked_up = LookedUp(tailnet="laptop.tail1234.ts.net")
        key, problem, hint = refuse(text, make_facts(LOOPBACK, WIFI, left, looked_up=looked_up))
        assert (key, problem) == ("media.interfaces", "tailscale0 has no address that clients could be told")
        assert hint == "`sudo tailscale up` connects it"
    _, _, hint = refuse("reach: lan\nmedia: {interfaces: [veth1a2b]}", make_facts())
    assert "tailscale" not in hint


def test_interface_that_tailscale_would_make_is_told_as_such() -> None:
    """tailscaled does not run, or it has userspace networking."""
    looked_up = LookedUp(tailnet="laptop.tail1234.ts.net")
    key, problem, hint = refuse(TAILNET_SPEC, make_facts(LOOPBACK, WIFI, looked_up=looked_up))
    assert (key, problem) == ("media.interfaces[0]", "this machine has no interface tailscale0")
    assert "it has lo, wlan0" in hint
    assert "userspace networking" in hint


def test_tailscale_that_does_not_answer_is_one_fault() -> None:
    """That there is no address in the tailnet either is the same one."""
    looked_up = LookedUp(no_tailnet=NO_TAILSCALED)
    facts = make_facts(LOOPBACK, WIFI, looked_up=looked_up)
    assert refuse("reach: lan\ntls: {mode: tailscale}", facts) == ("tls.mode", "tailscaled is not running", "start it")


def test_ipv6_address_that_the_machine_does_not_have_is_not_told() -> None:
    """IPv6 is not translated: the STUN server was asked through another interface."""
    facts = replace(MACHINES["home"], looked_up=LookedUp(stun=ip_address("2600::99")))
    assert refuse(PUBLIC_HUB + STUN, facts)[0] == "reach"


def test_machine_in_a_tailnet_whose_interface_is_gone_says_what_connects_it() -> None:
    facts = make_facts(LOOPBACK, WIFI, looked_up=LookedUp(tailnet="laptop.tail1234.ts.net"))
    key, problem, hint = refuse("reach: lan\ntls: {mode: tailscale}", facts)
    assert (key, problem) == ("tls.mode", "this machine has no address in a tailnet")
    assert "tailscale up" in hint


def test_hub_without_a_network_still_starts_where_stun_was_to_be_asked() -> None:
    """A machine that boots before its router."""
    facts = make_facts(LOOPBACK, looked_up=LookedUp(stun_failure="the network is unreachable"))
    plan = build(PUBLIC_HUB + STUN, facts)
    assert [str(address) for address in plan.media.advertise] == ["127.0.0.1"]
    assert any("the network is unreachable" in note for note in titles(plan))
    assert plan.edge is not None
    assert len(set(plan.edge.bind)) == len(plan.edge.bind), "one address is bound once"
    lan = build("reach: lan\n" + STUN, facts)
    assert lan.edge is not None
    assert [str(address) for address in lan.edge.bind] == ["127.0.0.1"]


def test_engine_of_the_users_can_tell_one_address_of_each_family() -> None:
    text = "reach: lan\nengine: /opt/livekit-server\n"
    key, problem, hint = refuse(text, MACHINES["zoo"])
    assert key == "media.advertise"
    assert "192.168.1.5, 10.0.0.9" in problem
    assert "engine: bundled" in hint
    assert build(text + "media: {advertise: [10.0.0.9, fd01::9]}", MACHINES["zoo"])


@pytest.mark.parametrize(
    ("text", "machine", "argued"),
    [
        ("reach: lan", "laptop", []),
        (PUBLIC_HUB, "vps", []),
        (PUBLIC_HUB, "home", []),
        ("reach: lan", "zoo", ["192.168.1.5=192.168.1.5", "10.0.0.9=10.0.0.9"]),
        (
            PUBLIC_HUB + "media: {advertise: [1.2.3.4, 192.168.1.5]}",
            "home",
            ["192.168.1.5=1.2.3.4", "192.168.1.5=192.168.1.5"],
        ),
    ],
)
def test_engine_is_told_what_livekit_yaml_has_no_words_for(text: str, machine: str, argued: list[str]) -> None:
    argv = build(text, MACHINES[machine]).processes[0].argv
    assert [argv[index + 1] for index, word in enumerate(argv) if word == "--advertise"] == argued


@pytest.mark.parametrize(
    ("text", "machine", "needed"),
    [
        (PUBLIC_HUB, "home", True),
        (PUBLIC_HUB, "home-dual", True),
        (PUBLIC_HUB, "vps", False),
        (PUBLIC_HUB, "vps-v6", False),
        (PUBLIC_HUB, "offline", False),
        ("reach: lan\ndomain: rtc.example.com", "home", False),
        ("domain: rtc.example.com", "home", False),
        ("reach: public", "home", False),
        (PUBLIC_HUB + "media: {advertise: 1.2.3.4}", "home", False),
        (PUBLIC_HUB + STUN, "home", False),
    ],
)
def test_name_servers_are_asked_only_where_the_answer_decides(text: str, machine: str, needed: bool) -> None:
    assert needs_domain(load_spec(text.encode()).spec, MACHINES[machine]) is needed


WG_PUBLIC = interface("wg0", "vpn", "1.2.3.4/32")
PPP_PUBLIC = interface("ppp0", "vpn", "1.2.3.4/32")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        # The machine has nothing else: PPPoE without a router, or a server elsewhere that leads its address here.
        (make_facts(LOOPBACK, PPP_PUBLIC, routes=("ppp0",)), ["1.2.3.4"]),
        (make_facts(LOOPBACK, WG_PUBLIC, DOCKER, routes=("wg0",), looked_up=resolved("1.2.3.4")), ["1.2.3.4"]),
        # A LAN beside it: the name decides, and where it says nothing, the public address is better than none.
        (make_facts(LOOPBACK, ETHERNET, WG_PUBLIC, looked_up=resolved("1.2.3.4")), ["1.2.3.4"]),
        (make_facts(LOOPBACK, ETHERNET, WG_PUBLIC, looked_up=resolved("9.9.9.9")), ["9.9.9.9 → 192.168.1.5"]),
        (make_facts(LOOPBACK, ETHERNET, WG_PUBLIC, looked_up=resolved()), ["1.2.3.4"]),
        # A public address of its own beside it: that one, unless the name says otherwise.
        (make_facts(LOOPBACK, interface("eth0", "lan", "5.6.7.8/24"), WG_PUBLIC), ["5.6.7.8"]),
        (
            make_facts(LOOPBACK, interface("eth0", "lan", "5.6.7.8/24"), WG_PUBLIC, looked_up=resolved("1.2.3.4")),
            ["1.2.3.4"],
        ),
        # A VPN's IPv6 address is told only if the name resolves to it.
        (make_facts(LOOPBACK, PUBLIC_V4, interface("wg0", "vpn", "2600::7/128")), ["1.2.3.4"]),
        (
            make_facts(
                LOOPBACK, PUBLIC_V4, interface("wg0", "vpn", "2600::7/128"), looked_up=resolved("1.2.3.4", "2600::7")
            ),
            ["1.2.3.4", "2600::7"],
        ),
    ],
)
def test_public_address_of_a_tunnel_is_an_address(facts: NetworkFacts, told: list[str]) -> None:
    addresses = build(PUBLIC_HUB, facts).media.addresses
    found = [str(a.external) if a.external == a.local else f"{a.external} → {a.local}" for a in addresses]
    assert found == told


def test_public_address_of_a_tunnel_is_asked_for_and_said() -> None:
    facts = make_facts(LOOPBACK, WG_PUBLIC, routes=("wg0",))
    assert needs_domain(load_spec(PUBLIC_HUB.encode()).spec, facts)
    assert "clients are told 1.2.3.4, the public address on wg0, a tunnel" in titles(build(PUBLIC_HUB, facts))


def test_address_behind_a_tunnel_leads_to_it() -> None:
    facts = make_facts(LOOPBACK, interface("wg0", "vpn", "5.6.7.8/32"), routes=("wg0",))
    plan = build(PUBLIC_HUB + "media: {advertise: 1.2.3.4}", facts)
    assert [tuple(map(str, address)) for address in plan.media.addresses] == [("1.2.3.4", "5.6.7.8")]


@pytest.mark.parametrize("kind", ["cardless", "bridge", "container"])
def test_default_route_makes_any_bridge_the_lan(kind: InterfaceKind) -> None:
    facts = make_facts(LOOPBACK, interface("vmbr0", kind, "192.168.1.10/24"), WIFI, routes=("vmbr0",))
    plan = build("reach: lan", facts)
    assert [str(address) for address in plan.media.advertise] == ["192.168.1.10"]
    assert titles(plan)[0] == "clients are told 192.168.1.10, on vmbr0, which carries the default route"


def test_bridge_without_a_card_is_taken_where_nothing_else_is_left_and_that_is_said() -> None:
    vmbr0 = interface("vmbr0", "cardless", "192.168.1.10/24")
    plan = build("reach: lan", make_facts(LOOPBACK, DOCKER, TAILSCALE, vmbr0, routes=()))
    assert [str(address) for address in plan.media.advertise] == ["192.168.1.10"]
    assert titles(plan)[0] == (
        "clients are told 192.168.1.10, on vmbr0, a bridge without a network card: there is no other address that a "
        "LAN could reach"
    )
    beside = build("reach: lan", make_facts(LOOPBACK, vmbr0, WIFI, routes=()))
    assert [str(address) for address in beside.media.advertise] == ["192.168.1.6"]
    assert "not 192.168.1.10 on vmbr0: a bridge without a network card" in titles(beside)


def test_private_answer_for_the_domain_may_be_split_dns() -> None:
    """The public record is right; the way out is media.advertise."""
    _, problem, hint = refuse(PUBLIC_HUB, MACHINES["home-misnamed"])
    assert problem.startswith("rtc.example.com resolves to 192.168.1.5")
    assert hint.startswith("put the public address into the A record, or write reach: lan; with split DNS")
    plan = build(PUBLIC_HUB + "media: {advertise: 1.2.3.4}", MACHINES["home-misnamed"])
    assert [tuple(map(str, address)) for address in plan.media.addresses] == [("1.2.3.4", "192.168.1.5")]


def test_machine_without_a_usable_address_names_both_remedies() -> None:
    _, _, hint = refuse("reach: lan", MACHINES["offline"])
    assert "media.interfaces" in hint
    assert "media.advertise" in hint


def test_public_address_beside_a_private_one_is_the_one_that_is_told() -> None:
    """A cloud machine with a private network on a second card."""
    facts = make_facts(LOOPBACK, interface("eth1", "lan", "10.0.0.9/8"), PUBLIC, routes=("eth1", "eth0"))
    assert build(PUBLIC_HUB, facts).media.advertise == (ip_address("1.2.3.4"), ip_address("2600::4"))
