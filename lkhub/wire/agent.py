"""What `lkhub run-agent` is told: one file for each process of an agent that the hub runs, and one for each agent that
a unit or a container of its own runs. And what such a unit tells of itself."""

import re
from collections.abc import Iterator

from msgspec import Struct

from lkhub.wire.message import dump_message, parse_message


class AgentConfig(Struct, frozen=True):
    """As `lkhub.plan.agents.AgentPlan`, for one of its processes. `variables` are the variables of the
    agent's environment: the name there → the name under which `lkhub run-agent` is given it."""

    name: str
    project: str
    command: tuple[str, ...]
    home: str
    uid: int | None
    port: int
    variables: dict[str, str]
    inputs: str
    uv: str
    entry: str


def dump_agent(config: AgentConfig) -> str:
    return dump_message(config, indent=2)


def parse_agent(text: str) -> AgentConfig:
    """Raises ValueError for another text."""
    return parse_message(AgentConfig, text)


class GivenAgent(Struct, frozen=True):
    """What the hub gives an agent that it does not run itself. `project` is the name of the folder beside this file
    with a copy of the project, "" for an agent that is an `image`; `ports` are the health ports by the name of the
    process; `variables` have their values. The rest is as in AgentConfig."""

    name: str
    project: str
    command: tuple[str, ...]
    inputs: str
    uv: str
    entry: str
    ports: dict[str, int]
    variables: dict[str, str]
    image: str = ""


GIVEN_FILE = "agent.json"
"""Its name in the agent's folder."""

RESTART_FILE = "restart"
"""Beside it: written anew, it asks for a new worker."""

ENDED_FILE = "ended"
"""Beside it, from the orderly end of the hub to its next start."""


FAILED_FILE = "failed"
"""In the agent's own folder: why a version of it could not be installed."""


def dump_given(agent: GivenAgent) -> str:
    return dump_message(agent, indent=2)


def parse_given(text: str) -> GivenAgent:
    """Raises ValueError for another text."""
    return parse_message(GivenAgent, text)


class KeptWorker(Struct, frozen=True):
    """A worker of an agent in a unit. `since`: when it was installed and began to run, in epoch seconds; None: it is
    being installed. `address`: where its connection to media comes from, "" where it has none. `ends`: it was told to
    finish its calls."""

    pid: int
    since: float | None
    address: str
    ends: bool


class KeptAgent(Struct, frozen=True):
    """What the unit of an agent tells, as a line of `systemctl status`: everybody can read that, and little else of a
    unit. `failed`: when the version that it has to run could not be installed, and `why`; None: it could. `ended`: how
    the worker has ended that is started again soon, as in subprocess.Popen; None: one runs, or none has ended."""

    state: str
    restarts: int
    workers: tuple[KeptWorker, ...] = ()
    failed: float | None = None
    why: str = ""
    ended: int | None = None


def show_kept(agent: KeptAgent) -> str:
    return "; ".join(_show_kept(agent))


def _show_kept(agent: KeptAgent) -> Iterator[str]:
    yield agent.state
    yield f"{agent.restarts} restarts"
    for worker in agent.workers:
        how = "ends" if worker.ends else "runs"
        since = "" if worker.since is None else f" since {worker.since:.0f}"
        yield f"pid {worker.pid} {how}{since}" + (f" from {worker.address}" if worker.address else "")
    if agent.ended is not None:
        yield f"the last ended {f'by signal {-agent.ended}' if agent.ended < 0 else f'with exit code {agent.ended}'}"
    if agent.failed is not None:
        yield f"not installed at {agent.failed:.0f}: {agent.why}"


# What the keeper tells is other people's code's word: both are one user. So no number is longer than that of a pid, a
# count or a time can be, and what reads it needs no judgement of its own.
_NUMBER = "[0-9]{1,10}"

_RESTARTS = re.compile(f"({_NUMBER}) restarts")

_WORKER = re.compile(rf"pid ({_NUMBER}) (ends|runs)(?: since ({_NUMBER}))?(?: from (\S+))?")

_ENDED = re.compile("the last ended (by signal|with exit code) ([0-9]{1,3})")

_FAILED = re.compile(f"({_NUMBER}): (.*)")


def parse_kept(text: str) -> KeptAgent:
    """What a line of `show_kept` says. What is missing in it, as in that of another version, is empty."""
    before, _, failed = text.partition("; not installed at ")
    state, *parts = before.split("; ")
    restarts = next((int(found[1]) for part in parts if (found := _RESTARTS.fullmatch(part))), 0)
    workers = (
        KeptWorker(int(found[1]), float(found[3]) if found[3] else None, found[4] or "", found[2] == "ends")
        for part in parts
        if (found := _WORKER.fullmatch(part))
    )
    ended = next((found for part in parts if (found := _ENDED.fullmatch(part))), None)
    told = _FAILED.fullmatch(failed)
    return KeptAgent(
        state,
        restarts,
        tuple(workers),
        failed=float(told[1]) if told else None,
        why=told[2] if told else "",
        ended=(-int(ended[2]) if ended[1] == "by signal" else int(ended[2])) if ended else None,
    )
