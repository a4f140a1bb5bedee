"""The configuration of each process of an agent, read by `lkhub run-agent`."""

from lkhub.plan.agents import VARIABLE_PREFIX
from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.wire.agent import AgentConfig, dump_agent


def render_agents(plan: Plan) -> tuple[RenderedFile, ...]:
    """A file for each process."""
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
                    variables={
                        variable.name.removeprefix(VARIABLE_PREFIX): variable.name for variable in agent.variables
                    },
                    inputs=agent.inputs,
                    uv=agent.uv,
                    entry=agent.entry,
                )
            ),
        )
        for agent in plan.agents
        for name, port in agent.processes
    )
