"""The builds of a hub's web sites: what came of them, and how long they take."""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lkhub.checks.sites import BuiltSite, KeyState
from lkhub.errors import HubError
from lkhub.host.keyfile import load_keys
from lkhub.hub.progress import Progress
from lkhub.hub.running import ask_running, require_report
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedBuild, AppliedRecord, load_applied
from lkhub.state.site_build import SiteBuildRecord, find_site_build
from lkhub.wire.control import ProcessReport, RestartRequest
from lkhub.wire.site_build import BUILD_SECONDS, COME_SECONDS, COPY_SECONDS, MOST_TRIES, name_site_process

# The longest that a build may take: it may be given out again, and its project and its files are copied.
_MOST_SECONDS = MOST_TRIES * COME_SECONDS + COPY_SECONDS + BUILD_SECONDS + COPY_SECONDS

_POLL_SECONDS = 0.2

# A build that fails has a record of it, and its process has ended well. One that ends again and again otherwise can
# write none: the disk is full, or may not be written.
_MOST_RESTARTS = 3


def read_builds(paths: StatePaths, applied: AppliedRecord | None, now: float) -> tuple[BuiltSite, ...]:
    """What came of the last build of each site of the spec in force; one whose first build is not over is missing."""
    builds = applied.builds if applied else ()
    records = {build.site: record for build in builds if (record := find_site_build(paths, build.site))}
    for build in builds:
        # Another one runs, or is to run: why the one before failed does not matter any more.
        if (record := records.get(build.site)) and not _is_of(record, build):
            records[build.site] = replace(record, problem="", lines=(), missing="")
    keys = _list_keys(paths) if records else None
    return tuple(_describe(site, record, keys, now) for site, record in records.items())


def _describe(site: str, record: SiteBuildRecord, keys: Mapping[str, KeyState] | None, now: float) -> BuiltSite:
    served = record.served
    if served is None:
        return BuiltSite(site, record.problem, record.lines, served=False, missing=record.missing)
    state: KeyState | None = None if keys is None else keys.get(served.key, "revoked")
    due = served.is_due(now)
    return BuiltSite(site, record.problem, record.lines, True, served.key, state, served.until, due, record.missing)


def _list_keys(paths: StatePaths) -> dict[str, KeyState] | None:
    """The state of each key that the hub accepts; None where its keys can't be read."""
    with contextlib.suppress(HubError):
        current, *retiring = load_keys(paths.keys)
        return {current: "current", **dict.fromkeys(retiring, "retiring")}
    return None


def wait_for_builds(paths: StatePaths, applied: AppliedRecord, progress: Progress) -> tuple[BuiltSite, ...]:
    """Wait until each site is built, or its build has failed; what came of it. UnwellError where the hub is stopped
    meanwhile."""
    began = time.monotonic()
    lost: set[str] = set()
    processes = require_report(paths).processes
    noted = {build.site: find_site_build(paths, build.site) for build in applied.builds}
    # Restarts of before say nothing: what kept the build from being noted may have been mended since.
    before = {process.name: process.restarts for process in processes}
    _build_lost(paths, applied, processes)
    while names := [build.site for build in applied.builds if build.site not in lost and not _is_over(paths, build)]:
        if (waited := time.monotonic() - began) > _MOST_SECONDS:
            lost.update(names)
            break
        progress.tell(f"building {', '.join(names)}; a build may take {BUILD_SECONDS // 60} minutes", f"{waited:.0f} s")
        # Asked before the records are read again: a build writes its record before it ends.
        ended = {process.name for process in require_report(paths).processes if _has_given_up(process, before)}
        for site in names:
            # What was noted since is of a later change, and what is in force then is noted after its build has begun.
            if name_site_process(site) in ended and find_site_build(paths, site) == noted.get(site):
                lost.add(site)
        time.sleep(_POLL_SECONDS)
        # Another command may have replaced a build, or taken its site away.
        applied = load_applied(paths) or applied
    known = [site for site in read_builds(paths, applied, time.time()) if site.name not in lost]
    gone = [BuiltSite(site, _LOST, served=os.path.exists(paths.site_files(site))) for site in sorted(lost)]
    return (*known, *gone)


def _build_lost(paths: StatePaths, applied: AppliedRecord, processes: Iterable[ProcessReport]) -> None:
    """Build the sites again whose build was done, and whose record was lost since."""
    done = {process.name for process in processes if process.done}
    for build in applied.builds:
        if (process := name_site_process(build.site)) in done and not _is_over(paths, build):
            ask_running(paths, RestartRequest(process))


_LOST = "what came of the build could not be noted"


def _has_given_up(process: ProcessReport, before: Mapping[str, int]) -> bool:
    earlier = before.get(process.name, 0)
    restarts = process.restarts - (earlier if process.restarts >= earlier else 0)
    return process.done or process.state == "failed" or restarts >= _MOST_RESTARTS


def _is_over(paths: StatePaths, build: AppliedBuild) -> bool:
    record = find_site_build(paths, build.site)
    return record is not None and _is_of(record, build)


def _is_of(record: SiteBuildRecord, build: AppliedBuild) -> bool:
    return (record.inputs, record.again) == (build.inputs, build.again)
