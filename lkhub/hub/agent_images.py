"""Agents that are images of their own: what the hub has written for them, and which tool has their containers."""

import contextlib

from lkhub.errors import InputError, MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.files import list_files, read_text
from lkhub.host.installation import read_agents_run
from lkhub.plan.container import NAMESPACE, name_deployment
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import GivenAgent, parse_given


def require_image(paths: StatePaths, name: str) -> GivenAgent:
    """What the container of this agent gets. Raises InputError where no agent of that name is an image, and
    MachineError."""
    with acting_as_owner(paths.root):
        found = _read_images(paths)
    if name in found:
        return found[name]
    known = f"one of: {', '.join(found)}" if found else "no agent of this hub has an `image`"
    raise InputError(f"there is no agent {name} that is an image", hints=(known,))


def list_images(paths: StatePaths) -> dict[str, str]:
    """The processes of such agents, each with the agent's name. Empty where this user may not read of them."""
    return {process: agent.name for agent in list_image_agents(paths) for process in agent.ports}


def list_image_agents(paths: StatePaths) -> tuple[GivenAgent, ...]:
    """What the hub has written for such agents. Empty where this user may not read it."""
    with contextlib.suppress(MachineError):
        return tuple(_read_images(paths).values())
    return ()


def _read_images(paths: StatePaths) -> dict[str, GivenAgent]:
    found = {}
    for path in filter(paths.is_for_image, list_files(paths.rendered)):
        try:
            agent = parse_given(read_text(path) or "")
        except (ValueError, LookupError, TypeError):
            raise MachineError(f"{path} is damaged", hints=("`lkhub up` writes it again",)) from None
        found[agent.name] = agent
    return found


def refuse_image(paths: StatePaths, process: str, why: str, *, compose: str, kubectl: str) -> None:
    """Raise InputError where this process is the container of an image, with the command that does it there: one of
    compose, or of kubectl."""
    name = list_images(paths).get(process)
    if name is None:
        return
    if read_agents_run() == "pods":
        hint = f"`kubectl -n {NAMESPACE} {kubectl} deployment/{name_deployment(name)}`"
    else:
        hint = f"`docker compose {compose} {process}`, in the folder of compose.yaml"
    raise InputError(f"{process} is the container of an image, {why}", hints=(hint,))
