"""Where a hub that is a service has its files: what `lkhub install` makes, and what units refer to."""

from dataclasses import dataclass

from lkhub.plan.installation import Installation

UNIT = "lkhub.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"

AGENT_UNITS = "lkhub-agent-*.service"
"""The names of the units of agents, as a pattern of the shell."""

SITE_UNITS = "lkhub-site-*.service"
"""Those of the units in which web sites are built."""

AGENTS_STATE = "lkhub-agents"
"""Below /var/lib: the folder with a folder of its own for each agent."""


def name_unit(process: str) -> str:
    """The unit of a process of an agent, or of the build of a site."""
    return f"lkhub-{process}.service"


FOLDER = "/etc/lkhub"
SPEC = f"{FOLDER}/hub.yaml"

FOLDER_MODE, SPEC_MODE = 0o750, 0o640
"""The service's user reads the spec and can't change it; others of the machine read neither."""

ENVIRONMENT = f"{FOLDER}/lkhub.env"
"""The variables that the spec refers to, `NAME=VALUE`, for root alone: systemd reads them."""

PROGRAMS = "/opt/lkhub"
"""One folder for each installed version, and the link `current` to the one that runs."""

CURRENT = f"{PROGRAMS}/current"

COMMAND = "/usr/local/bin/lkhub"
"""A link to the program, for root's shell."""

USER = "lkhub"

DAEMON = "lkhub.plist"
"""The file of a daemon of launchd, on macOS."""

LOAD = (
    f"sudo install -o root -g wheel -m 644 {DAEMON} /Library/LaunchDaemons/ "
    f"&& sudo launchctl bootstrap system /Library/LaunchDaemons/{DAEMON}"
)
"""The commands that start it, now and with the machine (launchctl(1))."""

# The drain ends the wait for calls; each process may then take 5 s to end (lkhub/supervise/timings.py).
STOP_MARGIN_SECONDS = 30


def limit_stop(wait: int) -> int:
    """For how many seconds what runs a hub, or an agent, waits for its end before it kills it: `wait` is for how long
    that waits for calls."""
    return wait + STOP_MARGIN_SECONDS


# Short against the time without a supervisor, and long for a spec with a fault, which is judged again each time.
RESTART_SECONDS = 5

HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108
"""Folders that the service does not see: ProtectHome and PrivateTmp of its unit."""


@dataclass(frozen=True)
class Service:
    """A hub that systemd runs. `of_user`: the user's own systemd runs it, with the user's rights; otherwise systemd of
    the machine does, as a user that is made for it. All paths are absolute; `hidden` are the folders that the hub does
    not see."""

    installation: Installation
    unit_file: str
    programs: str
    command: str
    hidden: tuple[str, ...] = ()
    of_user: bool = False

    @property
    def folder(self) -> str:
        return self.installation.folder

    @property
    def spec(self) -> str:
        return self.installation.spec

    @property
    def environment(self) -> str:
        """As ENVIRONMENT."""
        return f"{self.folder}/lkhub.env"

    @property
    def current(self) -> str:
        return f"{self.programs}/current"

    @property
    def units(self) -> str:
        """The folder with a copy of each unit as it was written."""
        return f"{self.programs}/units"

    @property
    def systemctl(self) -> str:
        """How its user calls systemctl."""
        return "systemctl --user" if self.of_user else "systemctl"

    @property
    def journalctl(self) -> str:
        """How its user reads its journal."""
        return f"journalctl --user-unit {UNIT}" if self.of_user else f"journalctl --unit {UNIT}"


INSTALLED = Installation(
    engine=f"{CURRENT}/bin/lkhub-engine",
    python=f"{CURRENT}/bin/python",
    state="/var/lib/lkhub",
    folder=FOLDER,
    user=USER,
    spec=SPEC,
    agents="apart",
)
"""The installation of a service of the machine."""

SYSTEM = Service(INSTALLED, UNIT_FILE, PROGRAMS, COMMAND, HIDDEN)
"""The service of the machine."""


def user_service(home: str, state: str, user: str) -> Service:
    """The service of a user with this home directory, whose hub keeps its state in `state`."""
    programs = f"{home}/.local/share/lkhub"
    installation = Installation(
        engine=f"{programs}/current/bin/lkhub-engine",
        python=f"{programs}/current/bin/python",
        state=state,
        folder=f"{home}/.config/lkhub",
        user=user,
        spec=f"{home}/.config/lkhub/hub.yaml",
    )
    unit_file = f"{home}/.config/systemd/user/{UNIT}"
    return Service(installation, unit_file, programs, f"{home}/.local/bin/lkhub", of_user=True)
