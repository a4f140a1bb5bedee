"""What agents are told: a file for each process that the hub runs, read by `lkhub run-agent`, and one for each agent
that a unit or a container of its own runs."""

from collections.abc import Mapping

from lkhub.plan.agents import name_copy, name_held
from lkhub.plan.model import AgentPlan, Plan
from lkhub.render.files import RenderedFile
from lkhub.wire.agent import GIVEN_FILE, AgentConfig, GivenAgent, dump_agent, dump_given


def render_agents(plan: Plan) -> tuple[RenderedFile, ...]:
    """A file for each process that the hub runs."""
    return tuple(
        RenderedFile(
            f"{name}.json",
            dump_agent(
                AgentConfig(
                    name=agent.name,
                    project=agent.project,
                    command=agent.command,
                    home=agent.home,
                    uid=agent.uid,
                    port=port,
                    variables={variable.name: name_held(variable.name) for variable in agent.variables},
                    inputs=agent.inputs,
                    uv=agent.uv,
                    entry=agent.entry,
                )
            ),
        )
        for agent in plan.agents
        if agent.in_hub
        for name, port in agent.processes
    )


def render_given(plan: Plan, agent: AgentPlan, values: Mapping[str, str]) -> RenderedFile:
    """What an agent is given that the hub does not run, with the `values` of its variables; the name is the path."""
    given = GivenAgent(
        name=agent.name,
        project=name_copy(agent.inputs),
        image=agent.image,
        command=agent.command,
        inputs=agent.inputs,
        uv=agent.uv,
        entry=agent.entry,
        ports=dict(agent.processes),
        variables=dict(values),
    )
    path = plan.paths.for_image(agent.name) if agent.image else f"{agent.given}/{GIVEN_FILE}"
    return RenderedFile(path, dump_given(given))
