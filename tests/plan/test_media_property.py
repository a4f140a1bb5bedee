"""On every kind of machine, clients are told addresses that lead to it."""

from hypothesis import example, given
from hypothesis import strategies as st

from lkhub.plan.address import Candidate, list_candidates
from lkhub.plan.build import build_plan
from lkhub.plan.network import Interface, InterfaceKind, LookedUp, NetworkFacts
from lkhub.spec.address import Address
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, LOOPBACK, interface, make_facts, resolved

PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"
ADDRESSES = st.sampled_from(
    [
        *("192.168.1.5/24", "192.168.1.6/24", "10.0.0.9/8", "172.17.0.1/16", "100.64.0.7/32", "169.254.1.1/16"),
        *("1.2.3.4/24", "5.6.7.8/24", "2600::4/64", "2600:1::4/64", "fd00::5/64", "fe80::5/64"),
    ]
)
KINDS: st.SearchStrategy[InterfaceKind] = st.sampled_from(["lan", "vpn", "cardless", "bridge", "container"])
CARRIED = st.lists(st.tuples(ADDRESSES, st.integers(0, 3)), max_size=8, unique_by=lambda pair: pair[0])
INTERFACES = st.tuples(CARRIED, st.lists(KINDS, min_size=4, max_size=4)).map(
    lambda drawn: [
        interface(f"if{index}", kind, *(address for address, where in drawn[0] if where == index))
        for index, kind in enumerate(drawn[1])
    ]
)
RESOLVED = st.none() | st.lists(
    st.sampled_from(["1.2.3.4", "9.9.9.9", "192.168.1.5", "2600::4", "2600::99"]), max_size=3, unique=True
)


@given(INTERFACES, st.sampled_from(["reach: lan\n", PUBLIC_HUB]), RESOLVED)
# The name leads to an address that a bridge without a card carries.
@example(
    [interface("if0", "lan", "192.168.1.5/24"), interface("if1", "cardless", "1.2.3.4/24")], PUBLIC_HUB, ["1.2.3.4"]
)
def test_on_every_machine_clients_are_told_addresses_that_lead_to_it(
    interfaces: list[Interface], text: str, names: list[str] | None
) -> None:
    looked_up = LookedUp() if names is None else resolved(*names)
    facts = make_facts(LOOPBACK, *interfaces, routes=("if0",), looked_up=looked_up)
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, facts, INSTALLATION)
    assert loaded.faults or plan
    if loaded.faults or plan is None:
        return
    assert plan.media.addresses
    assert len(set(plan.media.advertise)) == len(plan.media.advertise), "an address is told once"
    for told, local in plan.media.addresses:
        assert leads_somewhere(local, facts)
        assert not local.is_link_local
        assert told.version == local.version
        if told != local:
            assert told in (looked_up.domain or ())
            assert told.version == 4, "nobody translates IPv6"
        if "public" in text:
            assert told.is_global


def leads_somewhere(local: Address, facts: NetworkFacts) -> bool:
    """Clients reach a LAN, the interface of the default route, and the address of the hub's name; a tunnel, if its
    address is public; and if there is none of these, perhaps a bridge without a card."""
    carrier = facts.interface_of(local)
    assert carrier
    match carrier.kind:
        case "lan":
            return True
        case "vpn":
            return local.is_global
    if carrier.name in facts.default_routes or local in (facts.looked_up.domain or ()):
        return True
    other = any(candidate.address.version == local.version for candidate in usable(facts))
    return carrier.kind == "cardless" and not other


def usable(facts: NetworkFacts) -> list[Candidate]:
    return [candidate for candidate in list_candidates(facts) if not candidate.why_not]
