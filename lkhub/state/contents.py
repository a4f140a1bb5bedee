"""Reads what the applied record holds of other packages: findings, and the table of the firewall.

It is apart from `lkhub.state.describe`, which imports the whole spec and plan: that would cost a command that only
reads the record 75 ms.
"""

import contextlib

from lkhub.findings.finding import Finding
from lkhub.firewall.table import FirewallTable
from lkhub.source.typed import ShapeError, unpack
from lkhub.state.applied import AppliedRecord


def find_table(record: AppliedRecord) -> FirewallTable | None:
    """The firewall's table of the hub in force; None if the record does not have it."""
    try:
        return unpack(FirewallTable, record.firewall)
    except ShapeError:
        return None


def list_findings(record: AppliedRecord) -> tuple[Finding, ...]:
    """The findings of the plan in force that this version can read."""
    found = []
    for each in record.findings:
        with contextlib.suppress(ShapeError):
            found.append(unpack(Finding, each))
    return tuple(found)
