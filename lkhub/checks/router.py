"""What the supervisor says of the router's port mappings → findings. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from lkhub.findings.catalogue.names import router_mapping_ends
from lkhub.findings.finding import Finding, Fix
from lkhub.wire.control import RenewalFailure

# A router that starts again, or a cable that is out for a moment, is nothing to tell as long as the mappings hold.
LASTS = timedelta(minutes=5)

# Nor is one that is silent and has promised to hold them for longer: half of what it was asked for.
SOON = timedelta(hours=6)


def check_router(failure: RenewalFailure | None, now: datetime) -> Iterator[Finding]:
    """A finding where mappings that the operator asked for are not renewed."""
    if not failure:
        return
    left = None if failure.ends is None else timedelta(seconds=failure.ends - now.timestamp())
    over = left is not None and left <= timedelta(0)
    passing = timedelta(seconds=now.timestamp() - failure.since) < LASTS or (left is not None and left > SOON)
    if passing and not over:
        return
    yield router_mapping_ends(left).about(
        "router",
        severity="error" if over else "warning",
        detail=failure.detail,
        fix=(
            Fix("ask for them anew, and see what the router says", "lkhub firewall apply --router"),
            Fix(
                "or forward the ports on the router's own pages, and give these back", "lkhub firewall revert --router"
            ),
        ),
    )
