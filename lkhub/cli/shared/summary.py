"""The last output of `lkhub up`: findings, a QR code, and at the end the few lines that everybody needs."""

import sys
from collections.abc import Sequence

from lkhub.checks.surroundings import UNSEEN, Surroundings
from lkhub.cli.shared.show import (
    describe_briefly,
    describe_outside,
    out,
    say,
    show_detour,
    show_findings,
    show_qr,
    show_rows,
    show_unseen,
)
from lkhub.cli.shared.show_json import show_json
from lkhub.findings.finding import Finding
from lkhub.findings.fold import fold
from lkhub.hub.applied import require_applied
from lkhub.hub.called import describe_called
from lkhub.hub.examine import Examined
from lkhub.hub.gather import find_drift, find_in_installations, find_in_store, read_status
from lkhub.hub.locate import find_typed
from lkhub.hub.running import ask_report
from lkhub.hub.status import Verified
from lkhub.hub.tokens import make_link
from lkhub.hub.verify import find_hanging, find_in_calls
from lkhub.plan.model import Plan
from lkhub.plan.sites import site_origins
from lkhub.state.applied import AppliedRecord

# The room of the first join link. Any other name is as good.
FIRST_ROOM = "lobby"


def show_examined(plan: Plan, examined: Examined, *, link: bool, pending: bool, json: bool) -> None:
    """Show what came of `lkhub up`: the summary, or with `json` the hub's status."""
    if json:
        show_json(read_status(plan.paths, around=examined.surroundings).as_json())
    else:
        show_summary(plan, examined.verified, examined.surroundings, examined.built, link=link, pending=pending)


def describe_examined(examined: Examined) -> str:
    """One line about what came of `lkhub up`, for a service manager. It stays there, so it says of when it is."""
    if any(finding.severity == "error" for finding in examined.built):
        return "when it started, a web site was not built: `lkhub status` says how it is now"
    if examined.failed:
        return "when it started, not everybody got in: `lkhub status` says how it is now"
    if examined.verified is None:
        return "the processes run; whether calls get through was not tried"
    return f"when it started, calls got through: {', '.join(path.path for path in examined.verified.paths)}"


def show_summary(
    plan: Plan,
    verified: Verified | None,
    around: Surroundings = UNSEEN,
    built: Sequence[Finding] = (),
    *,
    link: bool = False,
    pending: bool = False,
) -> None:
    """Show that the hub is up: what was proved, its addresses, and how to join.

    Without a terminal the output goes to a file, a journal or a container's log, where others could read a token. There
    the join link is printed only if `link` asks for it. The lines that everybody needs come last and fit a terminal of
    24 rows; the QR code stands above them.
    """
    verified = verified or Verified(0.0, ())
    # The addresses of the spec in force: a pending change may have others.
    applied = require_applied(plan.paths)
    urls = applied.urls
    # Such as a new root, which the hub has only after the change is made.
    about = "of the change that waits: " if pending else ""
    for note in plan.notes:
        say(f"{about}{note.sentence}", "note", "cyan")
    for warning in plan.warnings:
        say(f"{about}{warning.sentence}", "warning", "yellow")
    show_unseen(verified, urls.livekit)
    show_detour(verified)
    # A command without these options is about the hub of another state directory.
    typed = find_typed(plan.paths)
    here = typed.options
    report = ask_report(plan.paths)
    findings = [each.as_typed(typed) for each in find_hanging(report)]
    findings += find_in_calls(verified, describe_called(applied, report.edge), around, typed)
    # Not among `findings`: calls get through all the same.
    agents = find_in_installations(plan.paths, report) if plan.agents else []
    beside = [*find_in_store(plan.paths), *find_drift(plan.paths), *agents, *built]
    show_findings(fold([*findings, *(each.as_typed(typed) for each in beside)]))

    rows = {
        f"verified {path.path}": describe_briefly(path) + describe_outside(path, verified.outside)
        for path in verified.paths
        if path.ok
    }
    rows |= {"LIVEKIT_URL": urls.livekit, "web": urls.web}
    if plan.edge and not pending:
        rows |= {f"site {site.name}": ", ".join(site_origins(plan.edge, site)) for site in plan.edge.sites}
    if urls.trust:
        rows["trust"] = f"{urls.trust[0]}, once on each device"
    opens = applied.auto_create
    address = make_link(plan.paths, FIRST_ROOM) if opens and (link or sys.stdout.isatty()) else ""
    first = "" if opens else f"lkhub rooms create {FIRST_ROOM}{here}; "
    rows["join"] = address or f"{first}lkhub token --room {FIRST_ROOM} --link{here}"
    rows["API key"] = f"lkhub env{here}"
    if address and (scanned := _choose_scanned(applied, address)):
        show_qr(scanned, below=_count_lines(rows))
    is_well = not any(finding.severity == "error" for finding in findings)
    state = "is up" if is_well else "runs, and not everybody gets in: what is wrong stands above"
    out.print(f"{plan.name} {state}" + (", with a change that waits until nobody is in a call" if pending else ""))
    show_rows(rows)


def _choose_scanned(applied: AppliedRecord, link: str) -> str | None:
    """The URL in the QR code: the join link, or the page with the root of a hub that certifies itself, which a phone
    needs first.

    None where a phone can't join: it can't reach this machine's loopback, and browsers give no camera to a page without
    TLS.
    """
    if applied.urls.trust:
        return applied.urls.trust[0]
    return link if applied.reach != "local" and link.startswith("https:") else None


def _count_lines(rows: dict[str, str]) -> int:
    """How many lines of this terminal the summary takes, with the prompt after it."""
    width = max(map(len, rows)) + 4
    return 2 + sum(-(-(width + len(value)) // out.width) for value in rows.values())
