"""What the record of what is in force holds of other packages: findings, and the table of the firewall.

Apart from `lkhub.state.describe`, which needs the whole spec and plan: 75 ms of a command that only reads the record.
"""

import contextlib

from lkhub.findings.finding import Finding
from lkhub.firewall.table import FirewallTable
from lkhub.source.typed import ShapeError, unpack
from lkhub.state.applied import AppliedRecord


def find_table(record: AppliedRecord) -> FirewallTable | None:
    """The firewall's table of what is in force; None where the record does not tell."""
    try:
        return unpack(FirewallTable, record.firewall)
    except ShapeError:
        return None


def list_findings(record: AppliedRecord) -> tuple[Finding, ...]:
    """What the plan that is in force says to people, as far as this version can read it."""
    found = []
    for each in record.findings:
        with contextlib.suppress(ShapeError):
            found.append(unpack(Finding, each))
    return tuple(found)
