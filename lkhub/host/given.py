"""The folders of the state directory that the hub fills for agents which have units or containers of their own.

    for-agents/NAME/       mounted where the agent is, and nothing else of the hub's is
        agent.json         what it is told, with its key
        DIGEST/            a copy of its project
        restart            written anew where a new worker is asked for
        ended              from the orderly end of the hub to its next start; touched when that begins

An agent is another user, so everything in its folder can be read by every user that reaches it. The state directory
is closed to all users but the hub's, so none reaches it but by the mount.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.host.agent_home import copy_files
from lkhub.host.files import ensure_private_dir, explain_os_errors, remove, write_private
from lkhub.host.trees import let_all_read
from lkhub.plan.agents import name_copy
from lkhub.plan.model import AgentPlan
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import ENDED_FILE, RESTART_FILE

_FOLDER_MODE, _FILE_MODE = 0o755, 0o644


def write_given(path: str, text: str) -> bool:
    """Write a file into the folder of an agent. False where it had this text already. Raises MachineError."""
    ensure_given_dir(os.path.dirname(path))
    return write_private(path, text, _FILE_MODE)


def ensure_given_dir(folder: str) -> None:
    """Make the folder that an agent, or the builds of a site, are given. Raises MachineError."""
    above = os.path.dirname(folder)
    # Docker makes it as root where it mounts a volume in it. The state directory above it is closed anyway.
    if not os.path.isdir(above) or os.stat(above).st_uid == os.geteuid():
        ensure_private_dir(above)
    with explain_os_errors(folder, "create"):
        os.makedirs(folder, mode=_FOLDER_MODE, exist_ok=True)
        if os.stat(folder).st_uid == os.geteuid():
            os.chmod(folder, _FOLDER_MODE)


def give_projects(agents: Iterable[AgentPlan]) -> None:
    """Copy the projects of agents into their folders, those versions that are not there yet. Raises MachineError."""
    for agent in agents:
        if agent.given and agent.inputs:
            _give_project(agent)


def _give_project(agent: AgentPlan) -> None:
    ensure_given_dir(agent.given)
    copy = f"{agent.given}/{name_copy(agent.inputs)}"
    if os.path.isdir(copy):
        return
    new = f"{copy}.new"
    with explain_os_errors(copy, "write"):
        shutil.rmtree(new, ignore_errors=True)
        copy_files(agent.project, new)
        let_all_read(new)
        os.sync()  # a power cut would leave empty files under a digest that counts as there
        os.rename(new, copy)


def tell_end(agents: Iterable[AgentPlan]) -> None:
    """Tell agents that the hub has ended. What can't be written is left out."""
    for agent in agents:
        with contextlib.suppress(MachineError):
            write_given(f"{agent.given}/{ENDED_FILE}", "")


def tell_start(agents: Iterable[AgentPlan]) -> None:
    """Tell agents that the hub starts. Those whose units would end, since it has ended, wait for it again."""
    for agent in agents:
        with contextlib.suppress(OSError):
            os.utime(f"{agent.given}/{ENDED_FILE}")


def remove_given(paths: StatePaths, agents: Iterable[AgentPlan]) -> None:
    """Remove what no agent gets any more, and that the hub has ended. What can't be removed stays, and so does the
    folder of an agent that is gone: a unit that still has it mounted would not see another one of that name."""
    kept = {agent.given: name_copy(agent.inputs) for agent in agents if agent.given}
    if not os.path.isdir(paths.for_agents):
        return
    for folder in filter(Path.is_dir, Path(paths.for_agents).iterdir()):
        copy = kept.get(str(folder))
        for path in folder.iterdir():
            if path.is_dir():
                if path.name != copy:
                    shutil.rmtree(path, ignore_errors=True)
            elif copy is None or path.name == ENDED_FILE:
                remove(str(path))


def ask_for_restart(folder: str) -> None:
    """Have each process of an agent start a new worker. Raises MachineError."""
    write_given(f"{folder}/{RESTART_FILE}", f"{time.time()}\n")
