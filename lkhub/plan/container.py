"""Where a hub in a container has its files: what the image holds, and what is mounted there."""

from lkhub.plan.installation import Installation
from lkhub.plan.service import FOLDER, USER

PROGRAMS = "/opt/lkhub"

COMMAND = "/usr/local/bin/lkhub"
"""What the container runs, and what its operator types in it."""

SECRETS = "/run/secrets"
"""The folder with the secrets of the spec that are files, each under `KeptSecret.name`."""

UID = 10001
"""The number of the hub's user, and of its group."""

AGENT_UID = 10002
"""The number of an agent's user, and of its group. Containers keep agents apart, so all have the same."""

AGENT_STATE = "/var/lib/lkhub-agent"
"""Where the container of an agent has what that agent keeps."""

AGENT_FOLDER = "/run/lkhub-agent"
"""Where it finds what the hub gives it."""

CONTAINED = Installation(
    engine=f"{PROGRAMS}/bin/lkhub-engine",
    python=f"{PROGRAMS}/bin/python",
    state="/var/lib/lkhub",
    folder=FOLDER,
    user=USER,
    agents_apart=True,
)
"""The installation of such a hub."""
