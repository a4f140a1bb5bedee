from datetime import UTC, datetime

import pytest

from lkhub.checks.sites import BuiltSite, check_sites
from lkhub.findings.finding import Finding
from lkhub.wire.site_build import Builder

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SOON, PAST = NOW.timestamp() + 86400, NOW.timestamp() - 1


def judge(*sites: BuiltSite) -> list[Finding]:
    return list(check_sites(sites, NOW))


def test_site_that_is_as_it_should_be_is_no_finding() -> None:
    assert judge(BuiltSite("bmo"), BuiltSite("bmo", key="API1", key_state="current", until=SOON)) == []
    assert judge(BuiltSite("bmo", key="API1", key_state=None)) == [], "the hub's keys are not known"


def test_build_that_failed_is_an_error_with_its_last_lines() -> None:
    [finding] = judge(BuiltSite("bmo", "it ended with exit code 1", ("src/main.ts:", "Unexpected token")))
    assert (finding.code, finding.subject, finding.severity) == ("site-build-failed", "bmo", "error")
    assert finding.detail == "src/main.ts:\nUnexpected token"
    assert [fix.command for fix in finding.fix] == ["lkhub logs site-bmo", "lkhub up"]
    assert "visitors get what the build before has made" in finding.cause
    [first] = judge(BuiltSite("bmo", "it ended with exit code 1", served=False))
    assert "503" in first.cause


@pytest.mark.parametrize(
    ("missing", "look", "mend"),
    [
        ("unit", "systemctl status lkhub-site-bmo.service", "lkhub install"),
        (
            "container",
            "docker compose logs site-bmo",
            "lkhub render compose -o . && docker compose up --detach --build",
        ),
    ],
)
def test_build_that_was_not_begun_is_no_fault_of_the_project(missing: Builder, look: str, mend: str) -> None:
    [finding] = judge(BuiltSite("bmo", "nothing has asked for it", served=False, missing=missing))
    assert [fix.command for fix in finding.fix] == [look, mend, "lkhub up"]


@pytest.mark.parametrize(("until", "severity", "word"), [(SOON, "warning", "ends"), (PAST, "error", "ended")])
def test_token_that_ends(until: float, severity: str, word: str) -> None:
    [finding] = judge(BuiltSite("bmo", key="API1", key_state="current", until=until, due=True))
    assert (finding.code, finding.severity) == ("site-token-ends", severity)
    assert f"bmo {word} on 2026-11-" in finding.title


@pytest.mark.parametrize(("state", "severity"), [("retiring", "warning"), ("revoked", "error")])
def test_key_that_is_no_longer_the_hubs(state: str, severity: str) -> None:
    [finding] = judge(BuiltSite("bmo", key="API1", key_state=state, until=SOON, due=True))  # type: ignore[arg-type]
    assert (finding.code, finding.severity) == ("site-token-key", severity)
    assert "API1" in finding.title
