"""The issuer of a hub's certificate over ACME, and its account."""

import pytest

from lkhub.plan.edge import http_port
from lkhub.plan.issuer import choose_issuers
from lkhub.plan.model import AcmeAccount
from lkhub.spec.issuer import DIRECTORIES
from lkhub.spec.load import load_spec
from tests.plan.test_edge import ACCOUNT, PUBLIC_HUB, build, edge_of

LETS_ENCRYPT, ZEROSSL = DIRECTORIES["letsencrypt"], DIRECTORIES["zerossl"]


@pytest.mark.parametrize(
    ("tls", "turn", "directories", "said"),
    [
        ("{}", "{}", [LETS_ENCRYPT], "native applications not for TURN over TLS"),
        ("{}", "{}", [LETS_ENCRYPT], "needs tls.email"),
        ("{email: a@example.com}", "{}", [ZEROSSL, LETS_ENCRYPT], "comes from ZeroSSL"),
        ("{email: a@example.com, http: off}", "{}", [LETS_ENCRYPT], "needs tls.http: 80"),
        ("{email: a@example.com, listen: 8443}", "{}", [LETS_ENCRYPT], "needs tls.http: 80"),
        # A hub without TURN over TLS loses nothing.
        ("{}", "{tls: false}", [LETS_ENCRYPT], ""),
        ("{email: a@example.com}", "{enabled: false}", [LETS_ENCRYPT], ""),
        # What the spec says is not weighed.
        ("{issuer: letsencrypt}", "{}", [LETS_ENCRYPT], ""),
        ("{issuer: zerossl, email: a@example.com}", "{}", [ZEROSSL], ""),
        ("{issuer: https://127.0.0.1:14000/dir}", "{}", ["https://127.0.0.1:14000/dir"], ""),
    ],
)
def test_issuer_is_weighed_and_that_is_said(tls: str, turn: str, directories: list[str], said: str) -> None:
    text = f"{PUBLIC_HUB}tls: {tls}\nturn: {turn}"
    plan = build(text, "vps")
    assert plan.edge is not None
    assert list(plan.edge.tls.issuers) == directories
    spec = load_spec(text.encode()).spec
    why = choose_issuers(spec, "acme", http_port(spec))[1]
    assert bool(why) is bool(said)
    assert not why or said in why.title
    assert ("issuer-chosen" in [note.code for note in plan.notes]) is bool(why)


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        (PUBLIC_HUB + f"tls: {{issuer: google, account: {ACCOUNT}}}", "vps"),
        (PUBLIC_HUB + f"tls: {{issuer: https://acme.example.com/dir, account: {ACCOUNT}}}", "vps"),
        # Without one Caddy gets it by an e-mail address (caddytls/acmeissuer.go, generateZeroSSLEABCredentials).
        (PUBLIC_HUB + f"tls: {{issuer: zerossl, account: {ACCOUNT}}}", "vps"),
        (
            "reach: lan\ndomain: rtc.example.com\nturn: {listen: 5349, port: 443, domain: turn.example.com}\n"
            f"tls: {{mode: external, issuer: google, account: {ACCOUNT}}}",
            "laptop",
        ),
    ],
)
def test_account_with_the_issuer_has_its_key_in_a_file_that_the_edge_reads(text: str, machine: str) -> None:
    plan = build(text, machine)
    assert plan.edge is not None
    assert plan.edge.tls.account == AcmeAccount("kid-1", "/var/lib/lkhub/rendered/account.key")
    [edge] = [process for process in plan.processes if process.name == "edge"]
    assert "/var/lib/lkhub/rendered/account.key" in edge.files


def test_without_an_issuer_to_ask_there_is_no_account() -> None:
    beside_files = "turn: {listen: 5349}\ntls: {mode: external, cert: a, key: b, issuer: google, account: " + ACCOUNT
    for text in (f"domain: rtc.example.com\n{beside_files}}}", "reach: lan", PUBLIC_HUB):
        assert edge_of(text, "vps").tls.account is None


def test_email_goes_to_the_authority() -> None:
    assert edge_of(PUBLIC_HUB + "tls: {email: ops@example.com}", "vps").tls.email == "ops@example.com"
