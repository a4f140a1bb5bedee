"""The ports that the spec gives to the health checks of agents: what listens there."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lkhub.checks.agents import HealthPort
from lkhub.host.agent_home import find_home
from lkhub.host.installation import read_agents_run
from lkhub.host.sockets import Sockets, can_see, read_sockets
from lkhub.host.tcp_table import Listening, list_listening
from lkhub.hub.agent_images import list_image_agents
from lkhub.hub.agent_units import has_units, read_given
from lkhub.plan.container import choose_agent_uid
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import GivenAgent
from lkhub.wire.control import HubReport, ProcessReport


@dataclass(frozen=True)
class _Wanted:
    """A process of an agent, and the port that the spec has for it. `ours`: the hub decides where it listens. `pid`:
    where it can be seen, else None, and `uid` is its user, if that is another one than the hub's."""

    process: str
    port: int
    ours: bool
    pid: int | None = None
    uid: int | None = None


def look_at_health_ports(
    paths: StatePaths, report: HubReport, read: Callable[[int], Sockets] = read_sockets
) -> tuple[HealthPort, ...]:
    """Those about which something is known. `read` reads the sockets of a process."""
    wanted = [*_list_own(paths, report.processes), *_list_given(paths, report.processes)]
    if not wanted:
        return ()
    # A worker shares the port with the one whose place it takes.
    agents = (each for each in (*report.processes, *report.retired) if "registers" in each.roles)
    held = {port for each in agents if each.pid for port in read(each.pid).listening}
    table = list_listening()
    return tuple(_judge(each, [row for row in table if row.port == each.port], held) for each in wanted)


def _list_own(paths: StatePaths, processes: Iterable[ProcessReport]) -> Iterator[_Wanted]:
    """Those that the hub runs."""
    for process in processes:
        found = find_home(paths.render(f"{process.name}.json")) if "registers" in process.roles else None
        if found and process.pid and can_see(process.pid):
            yield _Wanted(process.name, found[1].port, not found[1].command, process.pid)


def _list_given(paths: StatePaths, processes: Iterable[ProcessReport]) -> Iterator[_Wanted]:
    """Those that have units or containers of their own. Pods have networks of their own, too."""
    contained = read_agents_run() == "containers"
    if contained:
        # Each of its workers has the default of livekit-agents, or what its code says.
        for agent in list_image_agents(paths):
            yield from itertools.islice(_list(agent, ours=False), 1)
    known = {process.name: process.pid for process in processes} if has_units(paths) else {}
    for agent in read_given(paths).values():
        if contained:
            yield from _list(agent, ours=not agent.command, uid=choose_agent_uid(agent.name))
            continue
        for name, port in agent.ports.items():
            pid = known.get(name)
            uid = _find_user(pid) if pid else None
            if pid and uid is not None:
                yield _Wanted(name, port, not agent.command, pid if can_see(pid) else None, uid)


def _list(agent: GivenAgent, *, ours: bool, uid: int | None = None) -> Iterator[_Wanted]:
    for name, port in agent.ports.items():
        yield _Wanted(name, port, ours, None, uid)


def _find_user(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:  # it has ended, or this is macOS
        return None


def _judge(wanted: _Wanted, found: list[Listening], held: set[int]) -> HealthPort:
    of_agent = [row for row in found if row.uid == wanted.uid]
    in_the_way = [row for row in found if row.loopback or row.everywhere]
    # What a process is seen to listen on is a finding about that process.
    open_to = () if wanted.pid else found if wanted.uid is None else of_agent
    return HealthPort(
        wanted.process,
        wanted.port,
        taken=wanted.ours and bool(in_the_way) and not of_agent and wanted.port not in held,
        exposed=any(row.everywhere for row in open_to),
        known=wanted.pid is not None or wanted.uid is not None,
    )
