"""Where names lead, and which of them must lead to this machine."""

from ipaddress import ip_address

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.cdn import find_cdn
from lkhub.plan.leads import judge_lead, list_led_names
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES

TOLD, OWN = ["93.184.216.5"], ["10.0.0.5", "127.0.0.1", "::1", "93.184.216.5"]


@pytest.mark.parametrize(
    ("resolved", "kinds"),
    [
        ([], {}),
        (["93.184.216.5"], {"here": "93.184.216.5"}),
        (["10.0.0.5"], {"here": "10.0.0.5"}),
        # What a machine has in its own hosts file for its own name.
        (["127.0.1.1"], {"loopback": "127.0.1.1"}),
        (["127.0.0.1"], {"loopback": "127.0.0.1"}),
        (["93.184.216.5", "127.0.0.1"], {"here": "93.184.216.5", "loopback": "127.0.0.1"}),
        (["10.0.0.9"], {"private": "10.0.0.9"}),
        (["100.64.0.9"], {"private": "100.64.0.9"}),
        (["192.0.2.9"], {"private": "192.0.2.9"}),
        (["169.254.1.1"], {"private": "169.254.1.1"}),
        (["151.101.1.1"], {"elsewhere": "151.101.1.1"}),
        (["93.184.216.5", "151.101.1.1"], {"here": "93.184.216.5", "elsewhere": "151.101.1.1"}),
        (["104.16.1.1"], {"elsewhere": "104.16.1.1", "cdns": "104.16.1.1"}),
    ],
)
def test_addresses_of_a_name_are_sorted_by_what_they_are_here(resolved: list[str], kinds: dict[str, str]) -> None:
    lead = judge_lead("rtc.example.com", *(map(ip_address, texts) for texts in (resolved, TOLD, OWN)))
    found = {kind: list(getattr(lead, kind)) for kind in ("here", "loopback", "private", "elsewhere", "cdns")}
    assert found == {kind: [ip_address(kinds[kind])] if kind in kinds else [] for kind in found}
    assert lead.is_known is bool(resolved)
    assert lead.leads_here is (set(kinds) == {"here"})


@pytest.mark.parametrize(
    ("address", "cdn"),
    [
        ("104.16.1.1", "Cloudflare"),
        ("104.27.255.255", "Cloudflare"),
        ("104.28.0.1", ""),
        ("172.67.0.1", "Cloudflare"),
        ("172.72.0.1", ""),
        ("2606:4700::1111", "Cloudflare"),
        ("93.184.216.5", ""),
        ("10.0.0.1", ""),
    ],
)
def test_known_networks_carry_no_media(address: str, cdn: str) -> None:
    assert find_cdn(ip_address(address)) == cdn


PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("reach: lan", ()),
        ("reach: lan\ndomain: hub.home.arpa", ("hub.home.arpa",)),
        ("reach: lan\ntls: {mode: off}", ()),
        (PUBLIC_HUB, ("rtc.example.com",)),
        (PUBLIC_HUB + "tls: {mode: off}", ("rtc.example.com",)),
        (PUBLIC_HUB + "turn: {domain: turn.example.com}", ("rtc.example.com", "turn.example.com")),
        # The name leads to the proxy, which may be anywhere.
        (PUBLIC_HUB + "tls: {mode: external}", ()),
        (
            PUBLIC_HUB + "tls: {mode: external}\nturn: {domain: turn.example.com, listen: 5349, port: 443}",
            (),
        ),
        (
            PUBLIC_HUB + "tls: {mode: external, cert: a, key: b}\nturn: {domain: turn.example.com, listen: 5349}",
            ("turn.example.com",),
        ),
    ],
)
def test_names_that_have_to_lead_here(text: str, names: tuple[str, ...]) -> None:
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, MACHINES["vps" if "public" in text else "laptop"], INSTALLATION)
    assert loaded.faults == []
    assert plan
    assert list_led_names(plan) == names
