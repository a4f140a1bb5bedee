"""The commands in findings of a hub, typed for that hub. Pure."""

from collections.abc import Iterable

from lkhub.findings.finding import Finding


def with_options(found: Iterable[Finding], options: str) -> tuple[Finding, ...]:
    """The findings of a hub that commands need `options` for, such as ` --state DIR`, with fixes that are typed so; ""
    for the default hub."""
    return tuple(finding.with_options(options) for finding in found)
