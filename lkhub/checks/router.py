"""Turns what the supervisor reports of the router's port mappings into findings. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from lkhub.findings.catalogue.names import router_mapping_ends
from lkhub.findings.finding import Finding, Fix
from lkhub.wire.control import RenewalFailure

# A failure that is shorter than this gets no finding while the mappings are still there: the router may be starting
# again, or a cable may be out for a moment.
LASTS = timedelta(minutes=5)

# Neither does a failure while the router keeps the mappings for longer than this: half of the time that it was asked
# for.
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
