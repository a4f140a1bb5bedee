"""Looks at the projects of agents: faults before anything is changed, and what decides whether an agent is started
anew."""

import os
import shutil
import sys
from collections.abc import Collection
from dataclasses import replace

from lkhub.errors import HubError, InputError
from lkhub.findings.catalogue.spec import keys_conflict, value_wrong
from lkhub.host.agent_home import NOT_COPIED, OTHER_STATE, judge_way_to
from lkhub.host.programs import is_copy
from lkhub.host.project import digest_project, find_link_out, find_missing, judge_project
from lkhub.plan.agents import IMAGE_FIX, IMAGE_REFUSED, PROJECT_FIX, PROJECT_REFUSED
from lkhub.plan.installation import Installation
from lkhub.plan.model import AgentPlan, Plan
from lkhub.secret import FromFile
from lkhub.shown import escape
from lkhub.source.path import Path
from lkhub.spec.load import LoadedSpec

# What the default command starts, the first that is there.
ENTRIES = ("agent.py", "src/agent.py")

PROJECT_FILE = "pyproject.toml"


def judge_kinds(loaded: LoadedSpec, plan: Plan) -> None:
    """Add a fault to `loaded` for each agent that the plan's installation can't run."""
    for index, agent in enumerate(plan.agents):
        if not _can_run(agent, plan.installation):
            key, why, fix = (
                ("image", IMAGE_REFUSED, IMAGE_FIX) if agent.image else ("project", PROJECT_REFUSED, PROJECT_FIX)
            )
            loaded.add(("agents", index, key), keys_conflict(why), fix)


def _can_run(agent: AgentPlan, installation: Installation) -> bool:
    return installation.runs_images if agent.image else installation.runs_projects or not agent.project


def judge_agents(loaded: LoadedSpec, plan: Plan, private: Collection[str] = ()) -> Plan:
    """The plan with what is known of the projects on this machine. Faults are added to `loaded`. `private` are the
    absolute paths of files that no agent may read but one whose own secrets they are."""
    judge_kinds(loaded, plan)
    agents = tuple(_judge(loaded, plan, index, agent, private) for index, agent in enumerate(plan.agents))
    return replace(plan, agents=agents)


def keep_agents(plan: Plan, before: Plan) -> Plan:
    """The plan with what was known of the projects in an earlier plan of the same spec. The hub runs copies of them: a
    project that was edited since waits for the next `up`, and one that is gone keeps the hub from nothing."""
    known = {agent.name: agent for agent in before.agents}
    kept = ((agent, known[agent.name]) for agent in plan.agents)
    return replace(
        plan, agents=tuple(replace(now, inputs=then.inputs, uv=then.uv, entry=then.entry) for now, then in kept)
    )


def _judge(loaded: LoadedSpec, plan: Plan, index: int, agent: AgentPlan, private: Collection[str]) -> AgentPlan:
    where: Path = ("agents", index, "project")
    if agent.image or not agent.project or not _can_run(agent, plan.installation):
        return agent
    try:
        missing = find_missing(agent.project)
    except HubError as error:
        _add(loaded, where, error)
        return agent
    if missing:
        loaded.add(where, value_wrong(f"{agent.project}: {missing}"), "write the folder of the agent's code")
        return agent
    if agent.uid is not None and (why := judge_way_to(agent.home)):
        loaded.add(where, value_wrong(f"{why}, so it would never start"), OTHER_STATE)
        return agent
    is_uv = os.path.isfile(os.path.join(agent.project, PROJECT_FILE))
    entry = next((each for each in ENTRIES if os.path.isfile(os.path.join(agent.project, each))), "")
    if not agent.command and not is_uv:
        why = f"{agent.project} has no {PROJECT_FILE}, so its dependencies are not known"
        loaded.add(
            where, value_wrong(why), "`uv init --bare` makes one there; or write a `command` that starts the agent"
        )
    elif not agent.command and not entry:
        why = f"{agent.project} has neither {' nor '.join(ENTRIES)}"
        loaded.add(where, value_wrong(why), "write a `command` that starts the agent, such as python main.py start")
    uv = (find_uv() or "") if is_uv else ""
    if is_uv and not uv:
        loaded.add(
            where,
            value_wrong("it is a project of uv, and uv is neither on the PATH nor beside this lkhub"),
            # A service's copy has no pip, and never looks into the environment that it was made from.
            "put uv on the PATH, or `pip install 'lkhub[agents]'` where you have lkhub from, and type that one's "
            "`lkhub install`, such as hub-env/bin/lkhub install"
            if is_copy()
            else "`pip install 'lkhub[agents]'` brings it along",
        )
    if _is_below(plan.paths.root, agent.project):
        what = f"{agent.project} has the hub's state directory {plan.paths.root} in it, and its keys would be copied"
        loaded.add(where, value_wrong(what), "write a folder that has the agent's code alone")
        return agent
    if secret := _find_private(loaded, plan, agent, private):
        what = f"{secret} is in {agent.project}, and would be copied for the agent"
        loaded.add(
            where, value_wrong(what), "write a folder that has the agent's code alone, or keep that file elsewhere"
        )
        return agent
    try:
        inputs = _digest(agent.project)
    except HubError as error:
        _add(loaded, where, error)
        return agent
    return replace(agent, inputs=inputs, uv=uv, entry=entry)


def _add(loaded: LoadedSpec, where: Path, error: HubError) -> None:
    loaded.add(where, value_wrong(error.message), next(iter(error.hints), ""))


def _find_private(loaded: LoadedSpec, plan: Plan, agent: AgentPlan, private: Collection[str]) -> str | None:
    """A file in the agent's project that the agent may not read. The secrets of agents of that project are theirs."""
    of_project = {
        os.path.normpath(plan.installation.beside_spec(source.path))
        for each, given in zip(plan.agents, loaded.spec.agents, strict=True)
        for source in given.env.values()
        if isinstance(source, FromFile) and each.project == agent.project
    }
    for path in set(private) - of_project:
        if os.path.basename(path) not in NOT_COPIED and os.path.exists(path) and _is_below(path, agent.project):
            return path
    return None


def _is_below(path: str, folder: str) -> bool:
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath((path, folder)) == folder


def find_uv() -> str | None:
    """uv beside our own Python, as `pip install lkhub[agents]` puts it there, or on the PATH."""
    return shutil.which("uv", path=os.path.dirname(sys.executable)) or shutil.which("uv")


def _digest(folder: str) -> str:
    """A digest of what is copied of a project. Raises HubError where it can't be an agent's."""
    if problem := judge_project(folder, (), NOT_COPIED):
        hint = "write a folder that has the agent's code alone; models are downloaded for it, or named by `env`"
        raise InputError(f"{folder}: {problem}", hints=(hint,))
    if link := find_link_out(folder, NOT_COPIED):
        raise InputError(
            f"{escape(link)} is a link out of the project, and the hub runs a copy of it",
            hints=("put what it leads to into the project",),
        )
    return digest_project(folder, (), NOT_COPIED)
