"""Findings about agents and the rooms that lack them. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lkhub.findings.catalogue.agents import (
    agent_fails,
    agent_full,
    agent_install_failed,
    agent_installing,
    agent_missing,
    agent_not_registered,
    agent_refuses,
    health_exposed,
    health_port_taken,
)
from lkhub.findings.declare import Statement
from lkhub.findings.finding import Finding, Fix
from lkhub.livekit.tokens import show_name
from lkhub.wire.engine import AgentsStatus, AgentWorker

# A worker registers within 3 s, and within 30 s on a busy machine (measured).
REGISTERING_SECONDS = 60

# An agent is in a room that lacks one within 3 s where a worker is free.
WAITING_SECONDS = 5


@dataclass(frozen=True)
class AgentProcess:
    """A process of an agent. It is installed and runs since `since`. `worker`: its worker that is connected to media,
    if any. `installing`: its dependencies are being installed. `failure`: why its version could not be installed when
    that was last tried, "" where it could or was not tried. `replaces`: an earlier worker does its work as long as it
    has no worker. `exposed` are the TCP ports on which it listens on every interface. `seen`: its
    sockets can be seen, and so whether a worker is this one. `contained`: it has a container of its own, of which
    nothing is known but this."""

    name: str
    since: float
    worker: AgentWorker | None = None
    installing: bool = False
    failure: str = ""
    replaces: bool = False
    exposed: tuple[int, ...] = ()
    seen: bool = True
    contained: bool = False


_BIND_LOOPBACK = Fix("leave its `command` out of the spec, or bind 127.0.0.1 in its code")

_OF_AN_IMAGE = Fix('if it is the agent, write AgentServer(host="127.0.0.1") in its code')


@dataclass(frozen=True)
class HealthPort:
    """The port that the spec has for the health check of the agent's process `name`. `taken`: another program listens
    there. `exposed`: something listens there on every interface, and `known`: it is this agent."""

    name: str
    port: int
    taken: bool = False
    exposed: bool = False
    known: bool = True


def check_health_ports(ports: Iterable[HealthPort]) -> Iterator[Finding]:
    for each in ports:
        see = Fix("see which program has the port", f"sudo ss -lntp 'sport = :{each.port}'")
        if each.taken:
            agent = Fix("stop it, and start the agent's worker anew; or give the agent another `health` in the spec")
            yield health_port_taken(each.name, each.port).about(each.name, fix=(see, agent))
        if each.exposed:
            fixes = (_BIND_LOOPBACK,) if each.known else (see, _OF_AN_IMAGE)
            yield health_exposed(each.name, each.port, known=each.known).about(each.name, fix=fixes)


def check_agents(processes: Iterable[AgentProcess], known: AgentsStatus | None, now: float) -> Iterator[Finding]:
    """The findings about agents. `known`: what media knows of them; None: it does not answer."""
    for process in processes:
        yield from _check_process(process, known, now)
    waiting: dict[tuple[str, str], set[str]] = {}
    for each in known.waiting if known else ():
        if now - each.since >= WAITING_SECONDS:  # for each agent that it lacks, of which two may have one name
            waiting.setdefault((each.agent, each.reason), set()).add(each.room)
    for (agent, reason), rooms in waiting.items():
        if says := _REASONS.get(reason):
            # Whoever may open rooms and dispatch agents chooses these names.
            shown = show_name(agent) if agent else ""
            yield says(shown, len(rooms)).about(
                shown or "agents",
                detail=_name_rooms(rooms),
                fix=(Fix("see the workers", "lkhub agents list"),),
            )


def _check_process(process: AgentProcess, known: AgentsStatus | None, now: float) -> Iterator[Finding]:
    read = Fix("read its log", f"lkhub logs {process.name}")
    if process.failure:
        yield agent_install_failed(process.name, process.replaces).about(
            process.name, detail=process.failure, fix=(read, Fix("mend the project, and apply it", "lkhub up"))
        )
    elif process.installing:
        yield agent_installing(process.name).about(process.name, fix=(read,))
    elif _lacks_worker(process, known) and now - process.since >= REGISTERING_SECONDS:
        yield _tell_not_registered(process, read)
    for port in process.exposed:
        yield health_exposed(process.name, port).about(process.name, fix=(_BIND_LOOPBACK,))


def _tell_not_registered(process: AgentProcess, read: Fix) -> Finding:
    says = agent_not_registered(process.name, contained=process.contained)
    if not process.contained:
        return says.about(process.name, fix=(read,))
    see = Fix("see what its container does", f"docker compose logs {process.name}")
    return says.about(process.name, severity="warning", fix=(see,))


def _lacks_worker(process: AgentProcess, known: AgentsStatus | None) -> bool:
    """Whether it is known that no worker of this process is connected."""
    return known is not None and process.worker is None and (process.seen or not known.workers)


_REASONS: dict[str, Callable[[str, int], Statement]] = {
    "no-worker": agent_missing,
    "full": agent_full,
    "refused": agent_refuses,
    "failing": agent_fails,
}

# As many names as fit into a line.
MAX_NAMED = 5


def _name_rooms(rooms: Iterable[str]) -> str:
    names = sorted(map(show_name, rooms))
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
