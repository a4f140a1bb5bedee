"""Finds out what came of a change: whether calls get through, and what on this machine keeps clients from the hub.

Apart from `lkhub.hub.apply`, since a hub is started long before it can be examined.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from lkhub.checks.sites import BuiltSite, check_sites
from lkhub.checks.surroundings import Surroundings
from lkhub.findings.finding import Finding
from lkhub.hub.progress import Progress
from lkhub.hub.running import wait_for_certificates
from lkhub.hub.status import Verified
from lkhub.hub.surroundings import gather_surroundings
from lkhub.hub.verify import is_well, verify_hub
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import load_applied
from lkhub.state.outside import read_sightings


@dataclass(frozen=True)
class Examined:
    """What is known of a hub after a change. `verified` is None if no calls were made. `built` has the findings about
    the builds of its web sites."""

    surroundings: Surroundings
    verified: Verified | None
    built: tuple[Finding, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a web site was not built, a path is not proved, or clients are kept from it. Without a verification
        nothing is known of paths."""
        if any(finding.severity == "error" for finding in self.built):
            return True
        if self.verified is None:
            return False
        unproved = any(path.ok is not True for path in self.verified.paths)
        return unproved or not is_well(self.verified, self.surroundings)


def examine_hub(
    paths: StatePaths,
    progress: Progress,
    *,
    verify: bool,
    is_stopping: Callable[[], bool] = lambda: False,
    tell: Callable[[Examined], None] = lambda _: None,
) -> Examined:
    """Gather the surroundings of a running hub. With `verify` also call the hub through every path, once it has its
    certificates, unless `is_stopping` says by then that it is being stopped. `tell` hears what came of that. Then wait
    until its web sites are built, which may take minutes. Raises UnwellError if the hub is stopped during a wait."""
    if verify:
        wait_for_certificates(paths, progress)
    surroundings = gather_surroundings(paths, read_sightings(paths))
    verified = verify_hub(paths, surroundings, progress=progress) if verify and not is_stopping() else None
    tell(Examined(surroundings, verified, ()))
    built = wait_for_sites(paths, progress) if not is_stopping() else ()
    return Examined(surroundings, verified, tuple(check_sites(built, datetime.now(UTC))))


def wait_for_sites(paths: StatePaths, progress: Progress) -> tuple[BuiltSite, ...]:
    """Wait until the web sites of the spec in force are built; what came of it. Raises UnwellError if the hub is
    stopped meanwhile."""
    applied = load_applied(paths)
    if applied is None or not applied.builds:
        return ()
    # Imported here: 3 ms, which a hub without sites that are built does without.
    from lkhub.hub.builds import wait_for_builds

    return wait_for_builds(paths, applied, progress)
