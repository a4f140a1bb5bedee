"""Where a hub in a container has its files: what the image holds, and what is mounted there."""

from lkhub.plan.installation import Installation
from lkhub.plan.service import FOLDER, USER
from lkhub.plan.users import choose_uid
from lkhub.wire.site_build import name_site_process

PROGRAMS = "/opt/lkhub"

COMMAND = "/usr/local/bin/lkhub"
"""What the container runs, and what its operator types in it."""

SECRETS = "/run/secrets"
"""The folder with the secrets of the spec that are files, each under its name in `Plan.credentials`."""

UID = 10001
"""The number of the hub's user, and of its group."""

AGENTS_STATE = "/var/lib/lkhub-agents"
"""The folder in the image with one for each agent, where its container has what that agent keeps."""

AGENT_FOLDER = "/run/lkhub-agent"
"""Where it finds what the hub gives it."""

SITE_FOLDER = "/run/lkhub-site"
"""Where the build of a web site finds the hub's socket for it."""

SITE_SCRATCH = "/var/tmp"  # noqa: S108
"""Where it builds. It is its own: of a unit, or a volume."""

CONTAINED = Installation(
    engine=f"{PROGRAMS}/bin/lkhub-engine",
    python=f"{PROGRAMS}/bin/python",
    state="/var/lib/lkhub",
    folder=FOLDER,
    user=USER,
    agents="containers",
)
"""The installation of such a hub."""

NAMESPACE = "lkhub"
"""The namespace of a hub in Kubernetes, and the name of each of its objects: a namespace has one hub."""


def name_deployment(agent: str) -> str:
    """The name of the objects of an agent in Kubernetes."""
    return f"{NAMESPACE}-agent-{agent}"


def name_agent_state(agent: str) -> str:
    """Where the container of this agent has what it keeps."""
    return f"{AGENTS_STATE}/{agent}"


def choose_site_uid(site: str) -> int:
    """The user, and the group, of the container in which this site is built: see `choose_agent_uid`."""
    return choose_uid(name_site_process(site), low=True)


def choose_agent_uid(agent: str) -> int:
    """The user, and the group, of the container of this agent: low, since Docker may run as an ordinary user."""
    return choose_uid(name_agent_state(agent), low=True)
