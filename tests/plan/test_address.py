from ipaddress import ip_address

import pytest

from lkhub.plan.address import (
    AddressChoice,
    behind_nat,
    choose_lan_address,
    choose_public_addresses,
    list_candidates,
)
from lkhub.plan.network import Interface, NetworkFacts
from tests.machines import (
    CONTAINER,
    DOCKER,
    ETHERNET,
    LOOPBACK,
    OTHER_LAN,
    PUBLIC,
    PUBLIC_V4,
    PUBLIC_V6,
    TAILSCALE,
    WIFI,
    interface,
    make_facts,
)


def choose(facts: NetworkFacts, *allowed: str) -> AddressChoice:
    choice = choose_lan_address(facts, allowed)
    assert choice is not None
    return choice


def test_default_route_wins_over_the_order_of_interfaces() -> None:
    choice = choose(make_facts(WIFI, ETHERNET, LOOPBACK, routes=("eth0",)))
    assert (str(choice.address), choice.interface) == ("192.168.1.5", "eth0")
    assert choice.why == "on eth0, which carries the default route"


def test_better_default_route_comes_first() -> None:
    assert choose(make_facts(ETHERNET, WIFI, routes=("wlan0", "eth0"))).interface == "wlan0"


def test_ipv4_comes_before_ipv6_on_the_same_interface() -> None:
    assert str(choose(make_facts(interface("eth0", "lan", "fd00::5", "192.168.1.5"))).address) == "192.168.1.5"


def test_ipv6_alone_is_an_address() -> None:
    assert str(choose(make_facts(LOOPBACK, interface("eth0", "lan", "fe80::5", "fd00::5"))).address) == "fd00::5"


@pytest.mark.parametrize("wrong", [DOCKER, TAILSCALE, CONTAINER, LOOPBACK, interface("eth9", "lan", "169.254.3.4")])
def test_address_that_the_lan_cannot_reach_is_never_chosen(wrong: object) -> None:
    assert choose_lan_address(make_facts(wrong, routes=())) is None  # type: ignore[arg-type]
    assert choose(make_facts(wrong, WIFI, routes=())).interface == "wlan0"  # type: ignore[arg-type]


def test_default_route_through_a_vpn_does_not_make_it_the_lan() -> None:
    choice = choose(make_facts(LOOPBACK, TAILSCALE, WIFI, routes=("tailscale0",)))
    assert choice.interface == "wlan0"
    assert choice.why == "on wlan0, the only LAN address"


def test_without_a_default_route_the_first_is_taken_and_that_is_said() -> None:
    choice = choose(make_facts(WIFI, ETHERNET, routes=()))
    assert choice.interface == "wlan0"
    assert choice.why == "on wlan0, the first of 3 LAN addresses (there is no default route)"


def test_named_interface_is_taken_whatever_it_looks_like() -> None:
    choice = choose(make_facts(), "tailscale0")
    assert str(choice.address) == "100.64.0.7"
    assert choice.why == "on tailscale0, which media.interfaces names"
    assert choose(make_facts(), "docker0").interface == "docker0"


def test_named_interface_without_a_usable_address_gives_none() -> None:
    assert choose_lan_address(make_facts(), ("veth1a2b",)) is None
    assert choose_lan_address(make_facts(), ("nope0",)) is None


def test_others_are_shown_with_the_reason_but_not_the_obvious_ones() -> None:
    others = {str(other.address): other.why_not for other in choose(make_facts()).others}
    assert others.pop("192.168.1.6") == ""
    assert others.pop("fd00::5") == ""
    assert "bridge" in others.pop("172.17.0.1")
    assert "VPN" in others.pop("100.64.0.7")
    assert "VPN" in others.pop("fd7a:115c:a1e0::7")
    assert not others, "neither loopback nor link-local addresses are worth a word"


def test_candidates_are_every_address_the_usable_ones_first() -> None:
    candidates = list_candidates(make_facts())
    assert len(candidates) == 10
    usable = [not candidate.why_not for candidate in candidates]
    assert usable == sorted(usable, reverse=True)
    assert [str(candidate.address) for candidate in candidates[:3]] == ["192.168.1.5", "fd00::5", "192.168.1.6"]


def test_machine_without_addresses_has_no_candidates() -> None:
    facts = make_facts(interface("eth0", "lan"))
    assert list_candidates(facts) == ()
    assert choose_lan_address(facts) is None
    assert facts.interface_of(ip_address("127.0.0.1")) is None


def test_loopback_has_the_name_that_the_system_gives_it() -> None:
    assert make_facts(interface("lo0", "loopback", "127.0.0.1")).loopback() == "lo0"
    assert make_facts(ETHERNET).loopback() == "lo"


def tell(choice: AddressChoice) -> list[str]:
    return [str(choice.address), *(str(candidate.address) for candidate in choice.further)]


@pytest.mark.parametrize(
    ("interfaces", "told"),
    [
        # Cable and Wi-Fi on one LAN are one: no client gains by the second.
        ((ETHERNET, WIFI), ["192.168.1.5"]),
        ((ETHERNET, OTHER_LAN), ["192.168.1.5", "10.0.0.9"]),
        ((ETHERNET, OTHER_LAN, interface("eth2", "lan", "172.16.0.2/24")), ["192.168.1.5", "10.0.0.9", "172.16.0.2"]),
        ((ETHERNET, OTHER_LAN, interface("eth2", "lan", "10.0.0.10/8")), ["192.168.1.5", "10.0.0.9"]),
        ((ETHERNET, interface("eth1", "lan", "10.0.0.9/8", "10.1.0.9/16")), ["192.168.1.5", "10.0.0.9"]),
        # A second address of the first interface is no other LAN.
        ((interface("eth0", "lan", "192.168.1.5/24", "10.0.0.9/8"),), ["192.168.1.5"]),
        # Where the network is not known, two addresses may be in one.
        ((ETHERNET, interface("eth1", "lan", "10.0.0.9")), ["192.168.1.5"]),
        ((interface("eth0", "lan", "192.168.1.5"), OTHER_LAN), ["192.168.1.5"]),
        # IPv6 is told if there is no IPv4; then the address of each LAN.
        ((interface("eth0", "lan", "fd00::5/64"), interface("eth1", "lan", "fd01::9/64")), ["fd00::5", "fd01::9"]),
        ((ETHERNET, interface("eth1", "lan", "fd01::9/64")), ["192.168.1.5"]),
        ((ETHERNET, TAILSCALE, DOCKER, CONTAINER), ["192.168.1.5"]),
    ],
)
def test_every_further_lan_has_one_address(interfaces: tuple[Interface, ...], told: list[str]) -> None:
    assert tell(choose(make_facts(LOOPBACK, *interfaces))) == told


def test_further_lan_is_not_among_the_others() -> None:
    choice = choose(make_facts(LOOPBACK, ETHERNET, OTHER_LAN, DOCKER))
    assert [str(candidate.address) for candidate in choice.further] == ["10.0.0.9"]
    assert "10.0.0.9" not in {str(other.address) for other in choice.others}


def test_named_interfaces_decide_which_lans_there_are() -> None:
    facts = make_facts(LOOPBACK, ETHERNET, OTHER_LAN, TAILSCALE)
    assert tell(choose(facts, "eth1")) == ["10.0.0.9"]
    assert tell(choose(facts, "eth1", "tailscale0")) == ["10.0.0.9", "100.64.0.7"]


@pytest.mark.parametrize(
    ("interfaces", "public"),
    [
        ((ETHERNET,), []),
        ((PUBLIC,), ["1.2.3.4", "2600::4"]),
        ((PUBLIC_V6, ETHERNET), ["2600::4"]),
        ((interface("wg0", "vpn", "1.2.3.4/32"), ETHERNET), []),
        ((interface("eth0", "lan", "100.64.0.1/10", "192.0.2.1/24", "2001:db8::1/32"),), []),
        ((interface("eth1", "lan", "5.6.7.8/24"), PUBLIC_V4), ["1.2.3.4"]),
    ],
)
def test_public_addresses_are_the_best_of_each_family(interfaces: tuple[Interface, ...], public: list[str]) -> None:
    """No address of a VPN, of a carrier's NAT, or for documentation."""
    assert [str(found.address) for found in choose_public_addresses(make_facts(LOOPBACK, *interfaces))] == public


@pytest.mark.parametrize(
    ("external", "local"),
    [("1.2.3.4", "192.168.1.5"), ("10.0.0.9", "10.0.0.9"), ("2600::4", "fd00::5"), ("172.17.0.1", "172.17.0.1")],
)
def test_packets_to_an_address_arrive_at_it_or_at_the_default_route(external: str, local: str) -> None:
    facts = make_facts(LOOPBACK, OTHER_LAN, ETHERNET, DOCKER)
    assert str(behind_nat(facts, ip_address(external))) == local


def test_packets_of_a_family_that_the_machine_has_not_arrive_nowhere() -> None:
    assert behind_nat(make_facts(LOOPBACK, WIFI), ip_address("2600::4")) is None
    assert behind_nat(make_facts(LOOPBACK, DOCKER), ip_address("1.2.3.4")) is None


def test_network_is_the_one_that_the_address_is_in() -> None:
    assert str(ETHERNET.network_of(ip_address("fd00::5"))) == "fd00::/64"
    assert ETHERNET.network_of(ip_address("10.0.0.1")) is None
