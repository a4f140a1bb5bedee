"""Findings about the OpenID provider. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime

from lkhub.findings.catalogue.openid import openid_provider_fails
from lkhub.findings.finding import Finding, Fix


def check_openid(failing: float | None, problem: str) -> Iterator[Finding]:
    """A finding where the provider can't be used since `failing` (epoch seconds)."""
    if failing is None:
        return
    since = f"{datetime.fromtimestamp(failing, UTC):%Y-%m-%d %H:%M:%S %Z}"
    yield openid_provider_fails().about(
        "access.oidc",
        detail=f"since {since}: {problem}",
        fix=(Fix("see what the hub's requests to it came to", "lkhub logs serve"),),
    )
