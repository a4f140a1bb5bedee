"""Waits for what a hub that was started by a service manager finds out about itself."""

import time

from lkhub.hub.gather import read_status
from lkhub.hub.status import HubStatus
from lkhub.plan.paths import StatePaths

# A verification takes a second or two, and up to a minute where the edge gets a certificate first.
SECONDS = 90.0
POLL_SECONDS = 0.25


def await_verification(paths: StatePaths) -> HubStatus:
    """The status of a running hub, once it is verified or ended, or after a minute and a half."""
    deadline = time.monotonic() + SECONDS
    while True:
        status = read_status(paths)
        if status.current_verification or status.state != "running" or time.monotonic() > deadline:
            return status
        time.sleep(POLL_SECONDS)
