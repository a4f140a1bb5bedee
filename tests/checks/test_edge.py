"""Checks of what the edge reports about its certificates."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lkhub.checks.edge import EXPIRES_SOON, ROOT_CHANGE_TOLD, check_edge, check_root, find_uncertified
from lkhub.findings.finding import Finding
from tests.documents import ROOT
from tests.reports import edge_status

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LETS_ENCRYPT = "CN=E8,O=Let's Encrypt,C=US"
OWN = "CN=hub - ECC Intermediate"

# Problem types of ACME (RFC 8555, section 6.7) and kinds of the engine's own: engine/internal/edge.
KINDS = (
    *("rate-limited", "dns", "connection", "unauthorized", "caa", "tls", "external-account-required", "account"),
    *("no-challenge", "issuer-name", "issuer-unreachable", "issuer-untrusted", "storage", "tailscale"),
    *("tailscale-no-daemon", "tailscale-no-permission", "tailscale-not-connected", "tailscale-https-off"),
    *("tailscale-renamed", "tailscale-rate-limited", "tailscale-slow"),
)


def failure(kind: str, name: str = "rtc.example.com") -> dict[str, Any]:
    return {"name": name, "issuer": "acme.example.com", "kind": kind, "error": "the words of the issuer"}


def certificate(left: timedelta, issuer: str = LETS_ENCRYPT) -> dict[str, Any]:
    until = (NOW + left).isoformat().replace("+00:00", "Z")
    return {"names": ["rtc.example.com"], "issuer": issuer, "not_after": until}


def judge(status: dict[str, Any]) -> list[Finding]:
    return list(check_edge(edge_status(**status), NOW))


def test_edge_that_says_nothing_is_no_finding() -> None:
    assert judge({}) == judge({"failures": [], "certificates": []}) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_failure_has_a_cause_and_a_remedy(kind: str) -> None:
    [finding] = judge({"failures": [failure(kind)]})
    assert (finding.code, finding.subject, finding.severity) == ("certificate-fails", "rtc.example.com", "error")
    assert finding.detail == "acme.example.com: the words of the issuer"
    assert "refused" not in finding.cause
    assert finding.fix


def test_every_kind_of_the_engine_has_a_text() -> None:
    texts = [(ROOT / "engine/internal/edge" / name).read_text() for name in ("failures.go", "tailscale.go")]
    told = {kind for text in texts for kind in re.findall(r'^\tkind\w+ += "([\w-]+)"', text, re.MULTILINE)}
    assert told - {"other"} <= set(KINDS)
    assert {kind for kind in KINDS if kind.startswith("tailscale")} <= told


@pytest.mark.parametrize(("tls", "asked"), [("tailscale", "tailscaled"), ("acme", "issuer"), ("", "issuer")])
def test_pending_certificate_is_a_warning(tls: str, asked: str) -> None:
    [finding] = check_edge(edge_status(pending=["rtc.example.com"]), NOW, tls)
    assert (finding.code, finding.subject, finding.severity) == ("certificate-pending", "rtc.example.com", "warning")
    assert asked in finding.cause
    assert finding.fix


def test_name_is_uncertified_only_without_any_certificate() -> None:
    failed, other = failure("dns"), failure("dns", "turn.example.com")
    at_hand = {"failures": [failed, other], "certificates": [certificate(timedelta(days=20))]}
    assert [finding.subject for finding in find_uncertified(edge_status(**at_hand), NOW)] == ["turn.example.com"]
    assert [finding.title for finding in judge(at_hand)] == [
        "there is no new certificate for rtc.example.com",
        "there is no certificate for turn.example.com",
    ]
    assert [finding.code for finding in find_uncertified(edge_status(pending=["a"]), NOW)] == ["certificate-pending"]


def test_causes_differ() -> None:
    causes = {judge({"failures": [failure(kind)]})[0].cause for kind in KINDS}
    assert len(causes) == len(KINDS)


@pytest.mark.parametrize("kind", ["other", "incorrect-response", "tomorrows"])
def test_failure_of_another_kind_shows_the_issuers_words_and_the_log(kind: str) -> None:
    [finding] = judge({"failures": [failure(kind)]})
    assert "the words of the issuer" in finding.detail
    assert [fix.command for fix in finding.fix] == ["lkhub logs edge"]


def test_each_name_is_a_finding_of_its_own() -> None:
    found = judge({"failures": [failure("dns"), failure("connection", "turn.example.com")]})
    assert [finding.subject for finding in found] == ["rtc.example.com", "turn.example.com"]


@pytest.mark.parametrize(
    ("left", "issuer", "severity"),
    [
        (timedelta(days=60), LETS_ENCRYPT, None),
        (EXPIRES_SOON + timedelta(minutes=1), LETS_ENCRYPT, None),
        (EXPIRES_SOON - timedelta(minutes=1), LETS_ENCRYPT, "warning"),
        (timedelta(hours=5), LETS_ENCRYPT, "warning"),
        (timedelta(0), LETS_ENCRYPT, "error"),
        (timedelta(days=-1), LETS_ENCRYPT, "error"),
        # The hub's own certificates are valid for half a day, and are renewed when a third of that is left.
        (timedelta(hours=12), OWN, None),
        (timedelta(hours=1), OWN, None),
        (timedelta(minutes=-1), OWN, "error"),
    ],
)
def test_certificate_that_was_not_renewed_is_reported_in_time(
    left: timedelta, issuer: str, severity: str | None
) -> None:
    found = judge({"certificates": [certificate(left, issuer)]})
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    for finding in found:
        assert (finding.code, finding.subject) == ("certificate-expires", "rtc.example.com")
        assert ("has expired" in finding.title) is (severity == "error")
        assert issuer in finding.detail


def test_certificate_without_a_name_is_still_reported() -> None:
    [finding] = judge({"certificates": [{**certificate(timedelta(0)), "names": []}]})
    assert finding.subject == "hub"


REASON = "the earlier one is not good for 192.168.1.77"


def test_another_root_is_reported_for_a_week() -> None:
    [finding] = check_root((NOW - timedelta(hours=2)).timestamp(), REASON, NOW)
    assert (finding.code, finding.subject, finding.severity) == ("root-changed", "root", "warning")
    assert finding.detail == "since 2026-11-21 10:00 UTC, as the earlier one is not good for 192.168.1.77"
    assert finding.fix[0].command == "lkhub trust"
    assert list(check_root((NOW - ROOT_CHANGE_TOLD - timedelta(minutes=1)).timestamp(), REASON, NOW)) == []
