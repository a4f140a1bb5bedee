"""Finds out what came of a change: whether calls get through, and what on this machine keeps clients from the hub.

Apart from `lkhub.hub.apply`, since a hub is started long before it can be examined.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lkhub.checks.surroundings import Surroundings
from lkhub.hub.progress import Progress
from lkhub.hub.running import wait_for_certificates
from lkhub.hub.status import Verified
from lkhub.hub.surroundings import gather_surroundings
from lkhub.hub.verify import is_well, verify_hub
from lkhub.plan.paths import StatePaths
from lkhub.state.outside import read_sightings


@dataclass(frozen=True)
class Examined:
    """What is known of a hub after a change. `verified` is None if no calls were made."""

    surroundings: Surroundings
    verified: Verified | None

    @property
    def failed(self) -> bool:
        """Whether a path is not proved, or clients are kept from it. False without a verification."""
        if self.verified is None:
            return False
        unproved = any(path.ok is not True for path in self.verified.paths)
        return unproved or not is_well(self.verified, self.surroundings)


def examine_hub(
    paths: StatePaths, progress: Progress, *, verify: bool, is_stopping: Callable[[], bool] = lambda: False
) -> Examined:
    """Gather the surroundings of a running hub. With `verify` also call the hub through every path, once it has its
    certificates, unless `is_stopping` says by then that it is being stopped. Raises UnwellError if the hub is stopped
    during the wait for certificates."""
    if verify:
        wait_for_certificates(paths, progress)
    surroundings = gather_surroundings(paths, read_sightings(paths))
    verified = verify_hub(paths, surroundings, progress=progress) if verify and not is_stopping() else None
    return Examined(surroundings, verified)
