"""Ends what an agent has left that nothing tells of any more: it has detached one process after the other, faster than
anybody can look.

Where the hub is root, each agent is a user of its own, and all that runs as that user is the agent's.
"""

import os
from collections.abc import Mapping

from lkhub.host.agent_home import find_home
from lkhub.host.processes import ProcessId, is_alive
from lkhub.host.session import Session, end_user
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.state.identity import Identity, list_records, list_retired


def follow_session(process: ProcessId, plan: ProcessPlan) -> Session:
    """The session of a process, whose user is known before the process has become that user, where it is an agent."""
    found = [find_home(path) for path in plan.files] if plan.registers else []
    return Session(process, next((each[1].uid for each in found if each is not None), None))


def end_strays(session: Session, paths: StatePaths, known: Mapping[ProcessId, Identity]) -> None:
    """Kill all processes of the user of an agent whose process, the leader of `session`, has ended. Not while another
    process of that agent runs, such as a replica: both are one user. Such a process has a record, or is `known` to this
    supervisor: a full disk takes no record. Does nothing where the agent was our own user."""
    if session.uid is None or session.uid == os.geteuid():
        return
    others = (
        each for each in (*list_records(paths), *list_retired(paths), *known.values()) if each.process != session.leader
    )
    if not any(each.plan.registers and is_alive(each.process) and _may_be(session.uid, each) for each in others):
        end_user(session.uid)


def _may_be(uid: int, other: Identity) -> bool:
    """Whether what a process starts may run as this user. It is still root's where it installs."""
    found = [find_home(path) for path in other.plan.files]
    return not found or any(each is None or each[1].uid == uid for each in found)
