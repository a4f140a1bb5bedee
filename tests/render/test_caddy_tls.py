"""The issuers for the names in caddy.json."""

from typing import Any

import pytest

from tests.render.edges import AUTHORITY, STATE, plan_of, render


@pytest.mark.parametrize("hub", ["lan", "lan-named", "local-internal", "lan-v6"])
def test_own_authority_signs_every_name(hub: str) -> None:
    apps = render(hub)["apps"]
    edge = plan_of(hub).edge
    assert edge is not None
    assert apps["tls"]["certificates"]["automate"] == list(edge.names)
    [policy] = apps["tls"]["automation"]["policies"]
    assert policy["subjects"] == list(edge.names)
    assert policy["issuers"] == [{"module": "internal", "ca": AUTHORITY}]
    root = apps["pki"]["certificate_authorities"][AUTHORITY]["root"]
    assert (root["certificate"], root["private_key"]) == (f"{STATE}/ca/root.crt", f"{STATE}/ca/root.key")


@pytest.mark.parametrize(
    ("hub", "challenges"),
    [
        ("acme", {"tls-alpn": {"alternate_port": 443}, "http": {"alternate_port": 80}}),
        ("acme-8443", {"tls-alpn": {"alternate_port": 8443}, "http": {"disabled": True}}),
        ("single-port", {"tls-alpn": {"alternate_port": 443}, "http": {"disabled": True}}),
        # The proxy hands both on.
        (
            "external-turn-split",
            {"tls-alpn": {"alternate_port": 5349}, "http": {"alternate_port": 7883}, "bind_host": "127.0.0.1"},
        ),
        (
            "lan-acme",
            {"tls-alpn": {"alternate_port": 443}, "http": {"alternate_port": 80}, "bind_host": "192.168.1.5"},
        ),
    ],
)
def test_challenges_are_answered_on_the_ports_that_are_there(hub: str, challenges: dict[str, Any]) -> None:
    """Otherwise certmagic opens 443 and 80 by itself."""
    [policy] = render(hub)["apps"]["tls"]["automation"]["policies"]
    for issuer in policy["issuers"]:
        assert issuer["module"] == "acme"
        assert issuer["challenges"] == challenges


def test_issuers_are_asked_in_the_order_of_the_plan_with_the_email() -> None:
    [policy] = render("acme-behind-nat")["apps"]["tls"]["automation"]["policies"]
    edge = plan_of("acme-behind-nat").edge
    assert edge is not None
    assert [issuer["ca"] for issuer in policy["issuers"]] == list(edge.tls.issuers)
    assert {issuer["email"] for issuer in policy["issuers"]} == {"ops@example.com"}


@pytest.mark.parametrize("hub", ["files", "lan-files", "external-turn-beside"])
def test_given_files_are_all_that_is_used(hub: str) -> None:
    tls = render(hub)["apps"]["tls"]
    edge = plan_of(hub).edge
    assert edge is not None
    assert tls["certificates"] == {"load_files": [{"certificate": edge.tls.cert, "key": edge.tls.key}]}
    assert "automation" not in tls


def test_tailscale_is_asked_for_its_own_name() -> None:
    tls = render("tailscale")["apps"]["tls"]
    [policy] = tls["automation"]["policies"]
    assert policy["subjects"] == ["laptop.tail1234.ts.net"], "with another beside it Caddy's own issuers come in"
    assert policy["get_certificate"] == [{"via": "tailscale"}]
    assert tls["automation"]["on_demand"] == {"permission": {"module": "lkhub_never"}}
    assert "certificates" not in tls


@pytest.mark.parametrize("hub", ["external", "external-elsewhere", "lan-external"])
def test_who_is_behind_a_proxy_needs_no_certificate(hub: str) -> None:
    assert set(render(hub)["apps"]) == {"lkhub", "http"}


def test_split_by_name_has_a_certificate_for_turn_alone() -> None:
    assert render("external-turn-split")["apps"]["tls"]["certificates"]["automate"] == ["turn.example.com"]
