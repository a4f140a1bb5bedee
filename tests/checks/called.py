"""Hubs that were called, failed calls, and the findings about them."""

from dataclasses import replace

from lkhub.checks import causes_connection, causes_http, causes_media
from lkhub.checks.called import FOREIGN, CalledHub
from lkhub.checks.calls import check_paths
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Finding

OWN = CalledHub(
    "public",
    "acme",
    name="rtc.example.com",
    web="127.0.0.1:8080",
    ports={"udp": "7882/udp", "tcp": "7881/tcp", "turn-udp": "3478/udp", "turn-tls": "443/tcp"},
    turn="rtc.example.com:443",
    turn_upstream="127.0.0.1:443",
)
PROXIED = replace(
    OWN, tls="external", upstream="127.0.0.1:7883", turn="turn.example.com:443", turn_upstream="127.0.0.1:5349"
)
GIVEN = replace(FOREIGN, given_tokens=True)
TABLES = {**causes_connection.CAUSES, **causes_http.CAUSES, **causes_media.CAUSES}


def fail(path: str, stage: str, reason: str, **evidence: str) -> PathResult:
    relay = evidence.pop("turn_url", None)
    return PathResult(path, False, stage, "what was seen", reason=reason, evidence=evidence, relay=relay)


def find(result: PathResult, hub: CalledHub = OWN) -> Finding:
    [finding] = check_paths([result], hub)
    return finding


def say(finding: Finding) -> str:
    """The whole text of a finding, as a person reads it."""
    fixes = (" ".join(filter(None, (fix.text, fix.command))) for fix in finding.fix)
    return " | ".join((finding.title, finding.detail, finding.cause, *fixes))
