"""The folder of an agent: copies of its project, and what is installed for them.

    lock            held while one of its processes installs
    launcher.py     lkhub/agent_launcher.py
    failed          why the last version that was tried could not be installed
    user/           the agent's HOME, with the caches of its tools
    tmp-RANDOM/     the temporary files of one of its processes
    DIGEST/         one version of the project
        project/      its copy
        environment/  its dependencies
        uv            the program that installs them
        installed     it is whole

Where the hub is root, all of that is root's but for `user`, `tmp-RANDOM`, `project` and `environment`, which are the
agent's: root writes only where the agent can put no link.
"""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lkhub.errors import HubError, MachineError
from lkhub.host.files import MAX_SOCKET_PATH, explain_os_errors, open_lock, read_text, user_name, write_private
from lkhub.host.project import copy_project, own_tree
from lkhub.host.trees import list_tree, remove_tree
from lkhub.plan.agents import DIGEST_LETTERS, name_copy
from lkhub.source.json_text import parse_json
from lkhub.source.typed import Epoch, ShapeError, pack, unpack
from lkhub.wire.agent import FAILED_FILE, AgentConfig, parse_agent

# Not copied: version control, what tools make again in the copy, and the spec and the one before it, which may have
# secrets.
NOT_COPIED = frozenset(
    {
        *(".git", ".hg", ".svn", ".venv", "venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
        *("hub.yaml", "hub.yaml.before"),
    }
)

# It runs in the agent's environment, which has no lkhub, and maybe as a user that can't read ours.
LAUNCHER = Path(__file__).parent.parent / "agent_launcher.py"

# The one that runs, and the earlier one, which runs again where a change fails.
KEPT_COPIES = 2

# What is no copy in an agent's folder, and what tools keep in its HOME and make again.
_NO_COPIES = frozenset({"lock", "launcher.py", FAILED_FILE, "user"})
_OF_TOOLS = (".cache", ".local/share/uv")

# The end of the name of a copy that is being made.
_NEW = ".new"

# The beginning of the name of a folder for temporary files.
_TEMPORARY = "tmp-"

# Python's multiprocessing, which livekit-agents runs each call with, has sockets in such folders below TMPDIR.
_MOST_BELOW_TEMPORARY = "/pymp-12345678/listener-12345678"


@dataclass(frozen=True)
class InstallFailure:
    """The project with the digest `inputs` could not be installed at `at` (epoch seconds), and why."""

    inputs: str
    at: Epoch
    why: str


class AgentHome:
    """The folder `path` of an agent that runs as `uid`; None: as our own user. Methods raise MachineError."""

    def __init__(self, path: str, uid: int | None) -> None:
        self.path, self.uid = path, uid
        self.launcher, self.user = f"{path}/launcher.py", f"{path}/user"
        self._failed = f"{path}/{FAILED_FILE}"

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folder, and hold its lock: two processes of one agent start at the same moment, and one installs."""
        self._make()
        with explain_os_errors(f"{self.path}/lock", "lock"):
            handle = open_lock(f"{self.path}/lock")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            write_private(self.launcher, LAUNCHER.read_text(), 0o644)
            yield
        finally:
            os.close(handle)

    def _make(self) -> None:
        above = os.path.dirname(self.path)
        with explain_os_errors(self.path, "make"):
            os.makedirs(above, mode=0o700 if self.uid is None else 0o711, exist_ok=True)
            for folder in (self.path, self.user):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
            _require_own(above)
            _require_own(self.path)
            if self.uid is not None:
                os.chmod(above, 0o711)  # noqa: S103 (agents go through it, and see nothing)
            self._open_for_agent(self.path)
            self.give(self.user)
        if self.uid is not None:
            _require_way_to(self.path)

    def _open_for_agent(self, folder: str) -> None:
        """Let the agent's user, and no other one, reach what is in a folder of root's."""
        if self.uid is not None:
            os.chown(folder, -1, self.uid, follow_symlinks=False)
            os.chmod(folder, 0o710)  # noqa: S103 (the group is that of this agent alone)

    def give(self, path: str) -> None:
        """Make the agent's user the owner of a file or an empty folder that is in a folder of ours."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def note_failure(self, inputs: str, why: str) -> None:
        """Write down that the project with this digest could not be installed, where that is possible."""
        with contextlib.suppress(MachineError):
            write_private(self._failed, json.dumps(pack(InstallFailure(inputs, time.time(), why))))

    def forget_failure(self) -> None:
        """Take it back: it is installed."""
        with contextlib.suppress(OSError):
            Path(self._failed).unlink(missing_ok=True)

    def read_failure(self) -> InstallFailure | None:
        """None where the last version was installed, is being installed for the first time, or this can't be read."""
        try:
            return unpack(InstallFailure, parse_json(read_text(self._failed) or ""))
        except (MachineError, ShapeError, ValueError):
            return None

    def find_failure(self, inputs: str) -> InstallFailure | None:
        """Why the project with this digest could not be installed when that was last tried; None where it was."""
        failure = self.read_failure()
        return failure if failure and failure.inputs == inputs else None

    def make_temporary(self) -> str | None:
        """Make a folder for the temporary files of this process, whatever program it becomes, and remove those of
        processes that have ended. None where its path is too long for the sockets that are put there."""
        with explain_os_errors(self.path, "write"):
            for name in os.listdir(self.path):
                if name.startswith(_TEMPORARY) and not _is_in_use(f"{self.path}/{name}"):
                    remove_tree(self.path, name)
            folder = tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.path)
            if len(os.fsencode(folder + _MOST_BELOW_TEMPORARY)) > MAX_SOCKET_PATH:
                os.rmdir(folder)
                return None
            self.give(folder)
            _keep(folder)
        return folder

    def find_copy(self, inputs: str) -> "AgentCopy":
        """The copy of the project with this digest, which need not be there."""
        return AgentCopy(self, f"{self.path}/{name_copy(inputs)}")

    def remove_old(self, newest: "AgentCopy") -> None:
        """Remove the earlier copies that no process runs from, but for the last."""
        with contextlib.suppress(OSError):
            begun = [f"{self.path}/{name}" for name in os.listdir(self.path) if name.endswith(_NEW)]
            there = [f"{self.path}/{name}" for name in os.listdir(self.path) if len(name) == DIGEST_LETTERS]
            others = sorted((path for path in there if path != newest.folder), key=os.path.getmtime, reverse=True)
            for path in (*begun, *others[KEPT_COPIES - 1 :]):
                if not _is_in_use(path):
                    remove_tree(*os.path.split(path))


class AgentCopy:
    """One version of an agent's project in `folder`."""

    def __init__(self, home: AgentHome, folder: str) -> None:
        self._home, self.folder = home, folder
        self.project, self.environment, self.uv = f"{folder}/project", f"{folder}/environment", f"{folder}/uv"
        self._done = f"{folder}/installed"

    def is_installed(self) -> bool:
        return os.path.exists(self._done)

    def note_installed(self) -> None:
        with explain_os_errors(self._done, "write"):
            os.sync()  # a power cut would leave this file, and modules without their text
            Path(self._done).touch()

    def find_start(self) -> float | None:
        """When the last process began to run from it, in epoch seconds; None where that can't be seen."""
        with contextlib.suppress(OSError):
            if self.is_installed():
                return os.stat(self.folder).st_mtime
        return None

    def make(self, project: str, uv: str) -> None:
        """Copy the project, and uv where it needs it. What was begun before and not ended is made anew."""
        # The agent can enter the copy only when all of it is there: an earlier version may run.
        new = f"{self.folder}{_NEW}"
        with explain_os_errors(self.folder, "write"):
            for path in (new, self.folder):
                remove_tree(*os.path.split(path))
            os.mkdir(new, 0o700)
            copy_files(project, f"{new}/project")
            os.mkdir(f"{new}/environment", 0o700)
            if uv:
                shutil.copy(uv, f"{new}/uv")
            if self._home.uid is not None:
                own_tree(f"{new}/project", self._home.uid, self._home.uid)
            self._home.give(f"{new}/environment")
            self._home._open_for_agent(new)
            os.rename(new, self.folder)

    def keep(self) -> None:
        """Keep it from being removed for as long as this process lives, whatever program it becomes."""
        with explain_os_errors(self.folder, "open"):
            _keep(self.folder)
            os.utime(self.folder)


def find_home(rendered: str) -> tuple[AgentHome, AgentConfig] | None:
    """The folder of the agent that this rendered agent-NAME.json tells of; None where that can't be read."""
    try:
        config = parse_agent(read_text(rendered) or "")
    except (HubError, ValueError, TypeError, LookupError):
        return None
    return AgentHome(config.home, config.uid), config


def is_uninstalled(rendered: str) -> bool:
    """Whether what this rendered agent-NAME.json tells of could not be installed when that was last tried."""
    found = find_home(rendered)
    return found is not None and found[0].find_failure(found[1].inputs) is not None


def remove_left(folder: str, kept: Collection[str]) -> tuple[str, ...]:
    """Remove from a folder of agents what lkhub has made for those that are not among `kept`, unless something runs
    from it. What such an agent has kept in its HOME stays. Returns the folders that therefore stay, where something
    else was removed from them."""
    stay: list[str] = []
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            if name not in kept and os.path.isdir(path) and _remove_home(path):
                stay.append(path)
        os.rmdir(folder)
    return tuple(stay)


def _remove_home(path: str) -> bool:
    """Whether the folder of an agent stays, and something was removed from it."""
    with contextlib.ExitStack() as stack:
        try:
            handle = os.open(f"{path}/lock", os.O_RDONLY | os.O_NOFOLLOW)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # an installer is at work, or it is no folder of an agent
            return False
        copies = [f"{path}/{name}" for name in os.listdir(path) if name not in _NO_COPIES]
        if any(_is_in_use(each) for each in copies if os.path.isdir(each)):
            return False
        # Of what is in `user`, the agent may have made a link to a folder of ours.
        for each in (*(os.path.basename(copy) for copy in copies), *(f"user/{name}" for name in _OF_TOOLS)):
            remove_tree(path, each)
        if _has_files(f"{path}/user"):
            return bool(copies)
        remove_tree(*os.path.split(path))
    return False


def _has_files(folder: str) -> bool:
    try:
        return any(os.path.islink(path) or not os.path.isdir(path) for path in list_tree(folder))
    except FileNotFoundError:
        return False
    except OSError:  # it can't be known, so what may be there stays
        return True


def _keep(folder: str) -> None:
    """Keep a folder in use for as long as this process lives, whatever program it becomes."""
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.set_inheritable(handle, True)


def _is_in_use(folder: str) -> bool:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def copy_files(project: str, target: str) -> None:
    """Copy what an agent gets of its project into the new folder `target`. Raises MachineError."""
    copy_project(project, target, without=NOT_COPIED)


def _require_own(folder: str) -> None:
    """Raise MachineError unless this is a folder of our own, in which no other user can write."""
    status = os.lstat(folder)
    what = ""
    if not stat.S_ISDIR(status.st_mode):
        what = "is no folder"
    elif status.st_uid != os.geteuid():
        what = f"belongs to {user_name(status.st_uid)}"
    elif status.st_mode & 0o022:
        what = "can be written by other users"
    if what:
        raise MachineError(
            f"{folder} {what}, and agents are kept there", hints=("move it away, and lkhub makes it anew",)
        )


def can_reach(folder: str) -> bool:
    """Whether a user without rights can enter a folder."""
    real = Path(os.path.realpath(folder))
    with contextlib.suppress(OSError):
        return real.is_dir() and _find_closed((real, *real.parents)) is None
    return False


def can_read(path: str) -> bool:
    """Whether a user without rights can read a file, or what is in a folder."""
    real = Path(os.path.realpath(path))
    with contextlib.suppress(OSError):
        return bool(real.stat().st_mode & 0o004) and _find_closed(real.parents) is None
    return False


def judge_way_to(folder: str) -> str:
    """Why a user without rights can't reach a folder, which may itself be for that user alone, and which need not be
    there; "" where it can."""
    if closed := _find_closed(Path(os.path.realpath(folder)).parents):
        return f"the user of an agent can't enter {closed}, and the agent is kept in {folder}"
    return ""


def _find_closed(folders: Iterable[Path]) -> Path | None:
    """The first of these folders that is there and that a user without rights can't enter."""
    for each in folders:
        with contextlib.suppress(FileNotFoundError):
            if not each.stat().st_mode & 0o001:
                return each
    return None


OTHER_STATE = "choose another place for the hub with --state DIR, such as /var/lib/lkhub"
"""What to do then."""


def _require_way_to(folder: str) -> None:
    if why := judge_way_to(folder):
        raise MachineError(why, hints=(OTHER_STATE,))
