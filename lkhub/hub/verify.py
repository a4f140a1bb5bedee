"""A real call through each path of this hub, and what it proves."""

import time
from dataclasses import replace

from lkhub.checks.called import CalledHub
from lkhub.checks.calls import needs_certificate
from lkhub.checks.paths import Overrides, WebResult, not_promised
from lkhub.checks.sends import blame_sends
from lkhub.checks.supervised import check_hanging
from lkhub.checks.surroundings import Surroundings, check_surroundings
from lkhub.errors import MachineError
from lkhub.findings.finding import Finding, Typed
from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.hub.called import describe_called
from lkhub.hub.gather import refresh_sightings
from lkhub.hub.overrides import choose_overrides
from lkhub.hub.probe import verify_paths
from lkhub.hub.progress import Progress
from lkhub.hub.running import ask_report
from lkhub.hub.status import Verified
from lkhub.hub.web import verify_web
from lkhub.hub.web_proxy import verify_proxy
from lkhub.plan.model import ALL_PATHS, ProbePath
from lkhub.plan.paths import StatePaths
from lkhub.state.verified import write_verified
from lkhub.wire.control import HubReport


def verify_hub(
    paths: StatePaths, around: Surroundings, only: tuple[ProbePath, ...] = (), *, progress: Progress | None = None
) -> Verified:
    """Probe the running hub through the paths `only`, or through all that its spec promises. A verification of all
    paths is recorded for `status`. The result also has which paths clients on other machines have used."""
    applied = require_applied(paths)
    promised = tuple(path for path in ALL_PATHS if path in applied.probes)
    if progress:
        progress.tell(f"calling itself through {', '.join(only or promised)}")
    key, secret = next(iter(load_keys(paths.keys).items()))
    resolve, notes = choose_overrides(paths, applied, around)
    overrides = Overrides(applied.ca, resolve, applied.urls.local_media)
    called = describe_called(applied, ask_report(paths).edge)
    tried = tuple(path for path in only or promised if path in promised)
    results = verify_paths(applied.urls.livekit, tried, key, secret, overrides=overrides) if tried else ()
    results += tuple(not_promised(path) for path in only if path not in promised)
    if any(result.ok is False for result in results):
        results = blame_sends(results, ask_report(paths), time.time())
    web: tuple[WebResult, ...] = ()
    urls = applied.urls
    if not only and urls.local_serve:
        web = verify_web(urls.web, urls.local_serve, urls.livekit, key, secret, overrides)
        if applied.tls == "external":
            web += verify_proxy(urls.web, overrides)
    uncertified = any(needs_certificate(result, called) for result in results)
    verified = Verified(time.time(), results, note="; ".join(notes), web=web, uncertified=uncertified)
    if not only:
        try:
            write_verified(paths, verified.as_record())
        except MachineError as error:  # the result is returned all the same
            if progress:
                progress.warn(f"`lkhub status` will not tell of these calls: {error.message}")
    return replace(verified, outside=refresh_sightings(paths))


def find_in_calls(verified: Verified, called: CalledHub, around: Surroundings, typed: Typed) -> tuple[Finding, ...]:
    """The findings about a verification that was made just now, and about the hub's surroundings. `typed`: how commands
    about this hub are typed."""
    found = (*called.uncertified, *verified.find(called.within(around)), *check_surroundings(around))
    return tuple(finding.as_typed(typed) for finding in found)


def find_hanging(report: HubReport) -> list[Finding]:
    """Which processes do not answer that clients and applications need."""
    needed = {each.name: each.pid for each in report.processes if "registers" not in each.roles}
    stopped = {name: pid for name, pid in needed.items() if name in report.stopped}
    return list(check_hanging({name: why for name, why in report.hangs.items() if name in needed}, stopped))


def is_well(verified: Verified, around: Surroundings) -> bool:
    """Whether at least one path was proved, no path and no needed part of the web failed, and no finding about the
    surroundings is an error. A path that could not be tried has not failed."""
    failed = any(path.ok is False for path in verified.paths) or any(part.keeps_out for part in verified.web)
    closed = any(finding.severity == "error" for finding in check_surroundings(around))
    return any(path.ok for path in verified.paths) and not failed and not closed
