"""The values of what the hub gives agents that a unit or a container of their own runs."""

from collections.abc import Mapping

from lkhub.host.variables import resolve_variables
from lkhub.plan.model import AgentPlan, Plan
from lkhub.render.agents import render_given


def list_given(plan: Plan, files: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The files for these agents: path → text. `files` are the hub's own, with the secrets; `environ` has the variables
    that the spec refers to. Raises MachineError where one is missing."""
    told = (agent for agent in plan.agents if agent.given or agent.image)
    given = (render_given(plan, agent, _resolve(agent, files, environ)) for agent in told)
    return {file.name: file.text for file in given}


def _resolve(agent: AgentPlan, files: Mapping[str, str], environ: Mapping[str, str]) -> Mapping[str, str]:
    # A file of the hub's own is written later.
    own = {each.name: files[each.file].removesuffix("\n") for each in agent.variables if each.file in files}
    return own | resolve_variables((each for each in agent.variables if each.name not in own), environ)
