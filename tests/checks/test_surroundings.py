"""Checks of names, firewalls and proxies between clients and a hub."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lkhub.checks.surroundings import PROXY_KEY, UNSEEN, Surroundings, check_surroundings
from lkhub.findings.finding import Finding
from lkhub.firewall.change import NO_NFT, Unread
from lkhub.firewall.table import FirewallRow, Verdict
from lkhub.plan.leads import Answerer, judge_lead
from lkhub.plan.model import Advertised, Protocol, Sighting
from lkhub.plan.served import Served
from lkhub.spec.ports import PortRange

NAME = "rtc.example.com"
PUBLIC, HOME, CDN, OTHER = "93.184.216.5", "10.0.0.5", "104.16.1.1", "151.101.1.1"


def told(*pairs: str) -> tuple[Advertised, ...]:
    """Addresses that clients are told, each as `external=local`, or as one address where both are the same."""
    return tuple(Advertised(ip_address(pair.partition("=")[0]), ip_address(pair.rpartition("=")[2])) for pair in pairs)


def around(*pairs: str, resolved: Sequence[str] = (), reach: str = "public") -> Surroundings:
    addresses = told(*pairs)
    external = [address.external for address in addresses]
    own = [*(address.local for address in addresses), ip_address("127.0.0.1")]
    return Surroundings(reach, (judge_lead(NAME, map(ip_address, resolved), external, own),), addresses)


def find(seen: Surroundings) -> list[Finding]:
    return list(check_surroundings(seen))


def codes(seen: Surroundings) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in find(seen)]


NAT = f"{PUBLIC}={HOME}"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (UNSEEN, []),
        (around(PUBLIC, resolved=[PUBLIC]), []),
        (around("192.168.1.5", resolved=["192.168.1.5"], reach="lan"), []),
        # Another machine, a CDN, another machine's address beside the right one.
        (around(PUBLIC, resolved=[OTHER]), [("name-leads-elsewhere", "warning")]),
        (around(PUBLIC, resolved=[CDN]), [("name-leads-elsewhere", "warning")]),
        (around(PUBLIC, resolved=[PUBLIC, OTHER]), [("name-leads-elsewhere", "warning")]),
        (around("192.168.1.5", resolved=["192.168.1.77"], reach="lan"), [("name-leads-elsewhere", "warning")]),
        (around(PUBLIC, resolved=[]), [("name-leads-nowhere", "warning")]),
        (around("192.168.1.5", resolved=[], reach="lan"), []),
        # Inside its network the name may have another address: by split DNS, or by the machine's own hosts file.
        (around(PUBLIC, resolved=["10.0.0.9"]), []),
        (around(PUBLIC, resolved=["127.0.1.1"]), []),
        # Behind a NAT it is assumed that the address leads here. For several addresses the assumption is bold.
        (around(NAT, resolved=[PUBLIC]), [("address-assumed", "info")]),
        (around(NAT, f"{OTHER}={HOME}", resolved=[PUBLIC, OTHER]), [("address-assumed", "warning")]),
        (around(f"{CDN}={HOME}", resolved=[CDN]), [("address-of-cdn", "error")]),
        (around(f"{CDN}={HOME}", resolved=[CDN, "104.16.1.2"]), [("address-of-cdn", "error")]),
        (around(NAT, resolved=[CDN]), [("address-assumed", "info"), ("name-leads-elsewhere", "warning")]),
        # Addresses to which no router of the internet leads.
        (around(HOME, resolved=[HOME]), [("address-not-public", "warning")]),
        (around("100.64.0.7", resolved=["100.64.0.7"]), [("address-not-public", "warning")]),
        (around("192.0.2.7", resolved=["192.0.2.7"]), [("address-not-public", "warning")]),
        (around(HOME, PUBLIC, resolved=[PUBLIC]), []),
        (around(HOME, resolved=[HOME], reach="lan"), []),
    ],
)
def test_where_names_and_addresses_lead(seen: Surroundings, expected: list[tuple[str, str]]) -> None:
    assert codes(seen) == expected
    for finding in find(seen):
        assert finding.fix
        assert finding.cause


@pytest.mark.parametrize(
    ("answer", "code"),
    [("hub", "name-leads-through"), ("proxy", "name-leads-elsewhere"), ("nothing", "name-leads-elsewhere")],
)
def test_private_address_of_a_public_hub_is_judged_by_what_answers_there(answer: Answerer, code: str) -> None:
    """Split DNS may use this address on purpose, and clients outside do not get it."""
    seen = around(PUBLIC, resolved=["192.168.1.4"])
    [lead] = seen.leads
    [finding] = find(replace(seen, leads=(replace(lead, answers={ip_address("192.168.1.4"): answer}),)))
    assert finding.code == code
    if answer == "proxy":
        assert "this very hub answered, behind a program that ends TLS" in finding.cause
    if answer == "nothing":
        assert "no router of the internet leads to 192.168.1.4" in finding.cause
        assert "split DNS" in finding.cause
        assert f"make {PUBLIC} the only address" in finding.fix[0].text


def test_name_of_turn_is_tried_by_calling_the_hubs_own_name() -> None:
    """The hub answers no web request for the name of TURN."""
    seen = replace(answering("nothing"), url="wss://rtc.example.com")
    [finding] = find(replace(seen, leads=(replace(seen.leads[0], name="turn.example.com"),)))
    assert finding.fix[1].command == "lkhub verify --url wss://rtc.example.com"


def test_name_that_leads_elsewhere_says_where_and_where_this_machine_is() -> None:
    [finding] = find(around(PUBLIC, resolved=[OTHER]))
    assert finding.subject == NAME
    assert finding.title == f"{NAME} leads to {OTHER}, and this machine is {PUBLIC}"
    [finding] = find(around(PUBLIC, resolved=[PUBLIC, OTHER]))
    assert finding.title == f"{NAME} also leads to {OTHER}, and this machine is {PUBLIC}"


def answering(*answers: Answerer, here: bool = False, seen_as: str = "") -> Surroundings:
    others = [ip_address(f"151.101.1.{number}") for number, _ in enumerate(answers, 1)]
    lead = judge_lead(NAME, [*others, *([ip_address(PUBLIC)] if here else [])], [ip_address(PUBLIC)], [])
    lead = replace(lead, answers=dict(zip(others, answers, strict=True)), seen_as=seen_as)
    return Surroundings("public", (lead,), told(PUBLIC), url=f"wss://{NAME}")


@pytest.mark.parametrize(
    ("seen", "why", "commands"),
    [
        (answering("other"), "another server answers there, not this hub", [None]),
        (
            answering("nothing"),
            "no server answers there by HTTPS, asked from here",
            [None, f"lkhub verify --url wss://{NAME}"],
        ),
        (answering("proxy"), "TURN over TLS does not", ["lkhub render proxy -o proxy", None]),
        (answering("other", "nothing"), "which was not seen from here", [None, "lkhub render proxy -o proxy"]),
    ],
)
def test_cause_depends_on_what_answers_where_the_name_leads(
    seen: Surroundings, why: str, commands: list[str | None]
) -> None:
    [finding] = find(seen)
    assert (finding.code, finding.severity) == ("name-leads-elsewhere", "warning")
    assert why in finding.cause
    assert [fix.command for fix in finding.fix] == commands


@pytest.mark.parametrize("here", [False, True])
@pytest.mark.parametrize("seen_as", ["", "10.0.0.3"])
def test_load_balancer_that_forwards_to_this_hub_is_a_note(here: bool, seen_as: str) -> None:
    [finding] = find(answering("hub", here=here, seen_as=seen_as))
    assert (finding.code, finding.is_note) == ("name-leads-through", True)
    assert "leads to 151.101.1.1, which forwards connections to this hub" in finding.title
    assert f"clients send it to {PUBLIC}" in finding.cause
    assert ("are at 10.0.0.3" in finding.cause) is bool(seen_as)


def test_forwarding_proxy_is_distinguished_from_other_servers() -> None:
    through, elsewhere = find(answering("hub", "other"))
    assert (through.code, elsewhere.code) == ("name-leads-through", "name-leads-elsewhere")
    assert elsewhere.title == f"{NAME} also leads to 151.101.1.2, and this machine is {PUBLIC}"


def test_cdn_is_named_with_what_it_does_not_carry() -> None:
    [finding] = find(around(PUBLIC, resolved=[CDN]))
    assert "Cloudflare" in finding.cause
    assert "neither media nor TURN" in finding.cause
    [finding] = find(around(f"{CDN}={HOME}", resolved=[CDN]))
    assert "Cloudflare" in finding.title
    assert "media.advertise" in finding.fix[0].text


@pytest.mark.parametrize(("path", "assumed"), [("udp", False), ("tcp", False), ("turn-udp", False), ("turn-tls", True)])
def test_client_from_outside_ends_the_assumption(path: str, assumed: bool) -> None:
    """TURN over TLS uses the name, which may lead elsewhere than the addresses of media."""
    seen = replace(around(NAT, resolved=[PUBLIC]), outside={"udp": None, path: Sighting(1.0, "203.0.113.7")})
    assert [code for code, _ in codes(seen)] == (["address-assumed"] if assumed else [])


def test_client_that_was_sent_to_first_ends_no_assumption() -> None:
    """A router lets the answer to a packet in, even where its public address leads elsewhere."""
    seen = replace(around(NAT, resolved=[PUBLIC]), outside={"udp": Sighting(1.0, "203.0.113.7", proven=False)})
    assert [code for code, _ in codes(seen)] == ["address-assumed"]


def test_client_from_outside_does_not_show_which_of_several_addresses_it_used() -> None:
    seen = around(NAT, f"{OTHER}={HOME}", resolved=[PUBLIC, OTHER])
    assert codes(replace(seen, outside={"udp": Sighting(1.0, "203.0.113.7")})) == [("address-assumed", "warning")]


def verdict(
    protocol: Protocol, port: int, key: str, open_: bool | None, why: str = "inet filter input drops it"
) -> Verdict:
    row = FirewallRow(protocol, PortRange(port, port), "media", "media", key, (), frozenset({4}))
    return Verdict(row, open_, "" if open_ else why)


def test_closed_port_of_the_proxy_has_its_own_commands() -> None:
    seen = replace(
        around(PUBLIC), verdicts=(verdict("tcp", 443, PROXY_KEY, False), verdict("udp", 7882, "media.udp", True))
    )
    [finding] = [finding for finding in find(seen) if finding.code == "port-closed"]
    assert (finding.subject, finding.severity) == ("443/tcp", "error")
    assert "the proxy's" in finding.title
    assert "sudo ufw prepend allow 443/tcp" in [fix.command for fix in finding.fix]
    assert not any("firewall apply" in (fix.command or "") for fix in finding.fix)


@pytest.mark.parametrize("also", [True, False])
def test_unknown_port_of_the_proxy_has_its_own_command(also: bool) -> None:
    open_ = None if also else True
    seen = replace(
        around(PUBLIC), verdicts=(verdict("tcp", 443, PROXY_KEY, None), verdict("udp", 7882, "media.udp", open_))
    )
    [finding] = [finding for finding in find(seen) if finding.code == "firewall-unknown"]
    assert finding.fix[0].command == (UNSEEN.tells if also else "sudo nft list ruleset")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], []),
        ([verdict("udp", 7882, "media.udp", True)], []),
        ([verdict("udp", 7882, "media.udp", False), verdict("tcp", 443, "tls.listen", True)], [("7882/udp", "error")]),
        ([verdict("tcp", 80, "tls.http", False)], [("80/tcp", "warning")]),
        # One cause, one finding.
        (
            [verdict("udp", 7882, "media.udp", False), verdict("tcp", 7881, "media.tcp", False)],
            [("7882/udp", "error")],
        ),
    ],
)
def test_ports_that_the_firewall_closes(verdicts: list[Verdict], expected: list[tuple[str, str]]) -> None:
    seen = Surroundings("public", (), told(PUBLIC), tuple(verdicts), "sudo lkhub firewall apply --state /s")
    assert [(finding.subject, finding.severity) for finding in find(seen)] == expected
    for finding in find(seen):
        assert finding.code == "port-closed"
        assert finding.fix[0].command == "sudo lkhub firewall apply --state /s"
        closed = [str(each.row) for each in verdicts if each.open is False]
        assert all(port in finding.title and port in finding.detail for port in closed)
        off = {key: f"{key}: off" in finding.fix[-1].text for key in ("media.tcp", "turn.udp", "tls.http")}
        keys = {each.row.key for each in verdicts if each.open is False}
        assert off == {key: key in keys for key in off}, "what is open need not be turned off"


SLOW = Unread("firewalld", "it did not answer within 4 s")
ROOTS = Unread("nftables", "only root may read it")
NO_NFT_HERE = Unread("nftables", f"{NO_NFT}, which tells what the kernel drops", again=False)


@pytest.mark.parametrize(
    ("unread", "said", "commands"),
    [
        ((ROOTS,), "nftables: only root may read it", ["sudo lkhub firewall status"]),
        ((SLOW,), "firewalld: it did not answer within 4 s", ["sudo lkhub firewall status"]),
        ((ROOTS, Unread("ufw", "only root may read it")), "ufw: only root", ["sudo lkhub firewall status"]),
        # A reason for which asking again does not help.
        ((NO_NFT_HERE,), "nft is not on this machine", ["sudo apt-get install nftables"]),
        ((Unread("iptables-legacy", "it has rules, which lkhub does not read", again=False),), "has rules", []),
        # A rule that can't be judged.
        ((), "a rule of ufw may refuse it", ["sudo lkhub firewall status"]),
    ],
)
def test_unknown_firewall_is_reported_once(unread: tuple[Unread, ...], said: str, commands: list[str]) -> None:
    why = str(unread[0]) if unread else "a rule of ufw may refuse it"
    verdicts = [verdict("udp", 7882, "media.udp", None, why), verdict("tcp", 443, "tls.listen", None, why)]
    seen = Surroundings("public", (), told(PUBLIC), tuple(verdicts), unread=unread, tells="sudo lkhub firewall status")
    [finding] = find(seen)
    assert (finding.code, finding.severity) == ("firewall-unknown", "info")
    assert "7882/udp, 443/tcp" in finding.title
    assert said in finding.detail
    assert finding.detail.count(why) == 1
    assert [fix.command for fix in finding.fix] == [*commands, "lkhub status"]


def test_port_that_is_closed_for_sure_is_not_unknown() -> None:
    verdicts = (verdict("udp", 7882, "media.udp", False), verdict("tcp", 7881, "media.tcp", None, str(SLOW)))
    closed, unknown = find(Surroundings("public", (), told(PUBLIC), verdicts, unread=(SLOW,)))
    assert (closed.code, closed.title.count("7882/udp"), closed.title.count("7881/tcp")) == ("port-closed", 1, 0)
    assert (unknown.code, unknown.title.count("7882/udp"), unknown.title.count("7881/tcp")) == (
        "firewall-unknown",
        0,
        1,
    )


@pytest.mark.parametrize(
    ("used", "unknown"),
    [
        ((), "7882/udp, 7881/tcp, 443/tcp"),
        (("udp",), "7881/tcp"),
        (("tcp",), "7882/udp"),
        (("udp", "tcp"), ""),
    ],
)
def test_port_that_clients_have_used_is_not_unknown(used: tuple[str, ...], unknown: str) -> None:
    verdicts = (
        verdict("udp", 7882, "media.udp", None, str(ROOTS)),
        verdict("tcp", 7881, "media.tcp", None, str(ROOTS)),
        verdict("tcp", 443, "tls.listen", None, str(ROOTS)),
    )
    outside = {path: Sighting(1.0, "203.0.113.7") if path in used else None for path in ("udp", "tcp")}
    found = find(Surroundings("public", (), told(PUBLIC), verdicts, outside=outside, unread=(ROOTS,)))
    assert [f"to {unknown} is" in finding.title for finding in found] == ([True] if unknown else [])


def test_port_whose_client_was_sent_to_first_is_unknown_still() -> None:
    """The client's signalling has come in all the same."""
    verdicts = (
        verdict("udp", 7882, "media.udp", None, str(ROOTS)),
        verdict("tcp", 443, "tls.listen", None, str(ROOTS)),
    )
    outside = {"udp": Sighting(1.0, "203.0.113.7", proven=False)}
    [finding] = find(Surroundings("public", (), told(PUBLIC), verdicts, outside=outside, unread=(ROOTS,)))
    assert "to 7882/udp is" in finding.title


def test_finding_says_for_which_clients_a_port_is_closed() -> None:
    row = replace(verdict("udp", 7882, "media.udp", False).row, sources=("192.168.1.0/24",))
    [finding] = find(Surroundings("lan", (), told("192.168.1.5"), (Verdict(row, False, "ufw's default"),)))
    assert "192.168.1.0/24" in finding.cause
    assert "ufw's default" in finding.detail


def test_name_of_a_tailnet_has_no_fix_in_the_dns() -> None:
    lead = judge_lead("hub.tail1234.ts.net", [ip_address("100.64.0.1")], [ip_address("100.64.0.3")], [])
    [finding] = check_surroundings(Surroundings("lan", (lead,), told("100.64.0.3")))
    assert (finding.code, finding.severity) == ("name-leads-elsewhere", "warning")
    said = " ".join((finding.cause, *(f"{fix.text} {fix.command}" for fix in finding.fix)))
    assert "tailscale status" in said
    assert "DNS" not in said
    assert "tls.mode: external" not in said


def test_ports_that_tailscale_serves_itself_are_named_with_what_ends_each() -> None:
    served = (Served(443, "https"), Served(7881, "tcp", kept=False))
    [finding] = find(Surroundings("lan", (), told("100.64.0.3"), served=served))
    assert (finding.code, finding.severity, finding.subject) == ("tailscale-serves", "error", "443/tcp")
    assert [fix.command for fix in finding.fix] == ["sudo tailscale serve --https=443 off", None]
