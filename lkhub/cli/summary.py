"""What `lkhub up` ends with: a few lines that a person can read."""

import sys

from lkhub.cli.applied import require_applied
from lkhub.cli.show import (
    describe_outside,
    describe_path,
    err,
    out,
    show_findings,
    show_qr,
    show_rows,
    show_unseen,
)
from lkhub.cli.token import make_link
from lkhub.health.checks import CalledHub, check_paths
from lkhub.health.status import Verified
from lkhub.plan.model import Plan

# The room of the first join link. Any other name is as good.
FIRST_ROOM = "lobby"


def show_summary(plan: Plan, verified: Verified | None, *, link: bool = False, pending: bool = False) -> None:
    """The hub is up: what was proved, where it is, and how to join.

    What is no terminal is a file, a journal or a container's log, which would keep a token for others to read: the join
    link is printed there only where `link` asks for it.
    """
    out.print(f"{plan.name} is up" + (", with a change that waits until nobody is in a call" if pending else ""))
    verified = verified or Verified(0.0, ())
    rows = {
        f"verified {path.path}": describe_path(path) + describe_outside(path, verified.outside)
        for path in verified.paths
        if path.ok
    }
    # Of what is in force: a change that waits may have other addresses.
    applied = require_applied(plan.paths)
    urls = applied["urls"]
    rows |= {"LIVEKIT_URL": urls["livekit"], "web": urls["web"]}
    if urls.get("trust"):
        rows["trust"] = f"{urls['trust'][0]} once on each device (`lkhub trust`)"
    address = make_link(plan.paths, FIRST_ROOM) if link or sys.stdout.isatty() else ""
    rows["join"] = address or f"lkhub token --room {FIRST_ROOM} --link"
    rows["API key"] = "lkhub env"
    show_rows(rows)
    if address:
        sys.stdout.flush()
        show_qr(address)
    for note in plan.notes:
        err.print(f"note: {note}")
    for warning in plan.warnings:
        err.print(f"warning: {warning}")
    show_unseen(verified, urls["livekit"])
    show_findings(check_paths(verified.paths, CalledHub.of(applied)))
