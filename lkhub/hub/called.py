"""Describes the hub that a verification called, by the applied record and by what the edge reports."""

from datetime import UTC, datetime, timedelta

from lkhub.checks.called import FOREIGN, CalledHub
from lkhub.checks.edge import find_uncertified
from lkhub.state.applied import AppliedRecord
from lkhub.wire.engine import EdgeStatus

# A connection without the PROXY protocol is evidence for so long. Later the proxy may have been mended.
_RECENT = timedelta(minutes=10)


def describe_called(
    applied: AppliedRecord | None, edge: EdgeStatus | None = None, now: datetime | None = None
) -> CalledHub:
    """This machine's own hub, by its applied record and by what its edge says on its control socket. Without a record
    the hub counts as another machine's."""
    if applied is None:
        return FOREIGN
    now = now or datetime.now(UTC)
    endpoints, last = applied.endpoints, edge.unannounced if edge else None
    missing = find_uncertified(edge, now, applied.tls)
    return CalledHub(
        applied.reach,
        applied.tls,
        endpoints.name,
        endpoints.upstream,
        endpoints.web,
        applied.ports,
        endpoints.turn,
        endpoints.turn_upstream,
        applied.external_turn,
        unannounced=last.proxy if last and now - last.at < _RECENT else "",
        uncertified=tuple(finding for finding in missing if finding.subject == endpoints.name),
    )
