"""Adds to the commands in findings the options that name the hub. Pure."""

from collections.abc import Iterable

from lkhub.findings.finding import Finding


def with_options(found: Iterable[Finding], options: str) -> tuple[Finding, ...]:
    """The findings, with `options` added to the commands of their fixes. `options` makes a command about the hub, as
    ` --state DIR`; it is "" for the default hub."""
    return tuple(finding.with_options(options) for finding in found)
