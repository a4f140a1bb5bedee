"""`lkhub status`: what runs, whether calls get through, and what is wrong."""

import typer

from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.show import (
    describe_state,
    lasting,
    out,
    show_detour,
    show_findings,
    show_paths,
    show_rows,
    show_unseen,
)
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import EXIT_UNWELL
from lkhub.findings.fold import fold
from lkhub.hub.gather import read_status
from lkhub.hub.locate import find_hub
from lkhub.hub.status import HubStatus
from lkhub.wire.control import ProcessReport


def status(spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """Show what runs, the last verification, and what is wrong.

    Exits 1 where the hub is not running as it should, or one of the findings is an error.
    """
    hub = read_status(find_hub(spec, state))
    if json:
        show_json(hub.as_json())
    else:
        show_status(hub)
    if not hub.is_well:
        raise typer.Exit(EXIT_UNWELL)


def show_status(hub: HubStatus) -> None:
    """The status as a person reads it: data on stdout, findings on stderr."""
    out.print(f"{hub.applied.name if hub.applied else 'hub'} is {hub.state}")
    urls = hub.urls
    rows = {name: url for name, url in urls.items() if url}
    rows |= {f"site {name}": ", ".join(addresses) for name, addresses in hub.sites.items()}
    for process in hub.processes:
        rows[process.name] = _describe(process)
    for process in hub.retired:
        rows[f"{process.name}, before"] = f"finishing its calls ({_describe_retired(process)})"
    show_rows(rows)
    if verified := hub.current_verification:
        out.print(f"verified {lasting(verified.at)} ago, from this machine:")
        show_paths(verified)
        show_detour(verified)
        show_unseen(verified, urls["livekit"] or "")
    elif hub.state == "running":
        since = "has its certificate" if hub.is_certified_since else "started"
        out.print(f"not verified since it {since}: `lkhub verify{hub.typed.options}`")
    show_findings(fold(hub.find()))


def _describe_retired(process: ProcessReport) -> str:
    people = process.people
    told = "" if people is None else ", 1 person in them" if people == 1 else f", {people} people in them"
    return f"pid {process.pid}, for {lasting(process.since)}{told}"


def _describe(process: ProcessReport) -> str:
    count = process.restarts
    restarts = "" if not count else ", 1 restart" if count == 1 else f", {count} restarts"
    pid = f"pid {process.pid}, " if process.pid else ""
    return f"{describe_state(process)} ({pid}for {lasting(process.since)}{restarts})"
