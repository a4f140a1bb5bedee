"""Folds findings under the findings that cause them, so that causes are shown first. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lkhub.findings.finding import Finding, Ref


class Folded(NamedTuple):
    """A finding that no other finding explains, and the findings that it explains."""

    finding: Finding
    consequences: tuple[Finding, ...] = ()


def fold(findings: Iterable[Finding]) -> tuple[Folded, ...]:
    """The causes with their consequences, in the order of the causes. Where a cause has a cause itself, its consequence
    folds under the latter. A finding folds only if each finding that it depends on is among `findings`: causes that
    explain a finding in part must not hide it.
    """
    found = tuple(findings)
    by_ref = {finding.ref: finding for finding in found}
    heads = {finding.ref: _find_head(finding, by_ref) for finding in found}
    return tuple(
        Folded(head, tuple(other for other in found if other.ref != head.ref and heads[other.ref] == head.ref))
        for head in found
        if heads[head.ref] == head.ref
    )


def _find_head(finding: Finding, by_ref: Mapping[Ref, Finding]) -> Ref:
    """The last finding in the chain of causes, which ends where a cause is missing. `finding` itself where the chain is
    a circle."""
    seen, at = {finding.ref}, finding
    while at.depends_on and all(cause in by_ref for cause in at.depends_on):
        at = by_ref[at.depends_on[0]]
        if at.ref in seen:
            return finding.ref
        seen.add(at.ref)
    return at.ref
