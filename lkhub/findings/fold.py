"""Causes are shown, and what follows from them folds under them. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lkhub.findings.finding import Finding, Ref


class Folded(NamedTuple):
    """A finding that no other explains, and those that it does explain."""

    finding: Finding
    consequences: tuple[Finding, ...] = ()


def fold(findings: Iterable[Finding]) -> tuple[Folded, ...]:
    """In the order of the causes. A consequence folds under the cause of its cause, if that has one. It stands for
    itself unless each finding that it depends on is among the others: what does not explain it whole must not hide it.
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
    """The finding at the end of the causes, or this very one where they lead nowhere or in a circle."""
    seen, at = {finding.ref}, finding
    while at.depends_on and all(cause in by_ref for cause in at.depends_on):
        at = by_ref[at.depends_on[0]]
        if at.ref in seen:
            return finding.ref
        seen.add(at.ref)
    return at.ref
