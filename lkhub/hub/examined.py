"""Waits for what a hub that was started by a service manager finds out about itself."""

import time
from dataclasses import replace

from lkhub.hub.examine import wait_for_sites
from lkhub.hub.gather import read_status
from lkhub.hub.progress import Progress
from lkhub.hub.status import HubStatus
from lkhub.plan.paths import StatePaths

# A verification takes a second or two, and up to a minute where the edge gets a certificate first.
SECONDS = 90.0
POLL_SECONDS = 0.25


def await_examined(paths: StatePaths, progress: Progress) -> HubStatus:
    """The status of a running hub, once it is verified and its web sites are built. Raises UnwellError where it is
    stopped during a build."""
    progress.tell("waiting for what the hub finds out about itself")
    status = _await_verification(paths)
    if status.supervisor is None or not (built := wait_for_sites(paths, progress)):
        return status
    return replace(read_status(paths), builds=built)


def _await_verification(paths: StatePaths) -> HubStatus:
    """The status once the hub is verified or ended, or after a minute and a half."""
    deadline = time.monotonic() + SECONDS
    while True:
        status = read_status(paths)
        if status.current_verification or status.state != "running" or time.monotonic() > deadline:
            return status
        time.sleep(POLL_SECONDS)
