"""What listens at the ports that the spec gives to the health checks of agents."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lkhub.checks.agents import HealthPort
from lkhub.host import sockets
from lkhub.host.files import write_private
from lkhub.host.given import write_given
from lkhub.host.sockets import Sockets
from lkhub.host.tcp_table import Listening
from lkhub.hub import health_ports
from lkhub.hub.gather import _look_at_agents
from lkhub.hub.health_ports import look_at_health_ports
from lkhub.plan.container import choose_agent_uid
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import AgentConfig, GivenAgent, dump_agent, dump_given
from lkhub.wire.control import HubReport
from tests.reports import hub_report

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux shows all sockets to every user")

UID = choose_agent_uid("bmo")


@pytest.fixture
def other() -> Iterator[int]:
    """The port of another program, this one, at every address."""
    with socket.create_server(("", 0)) as held:
        yield held.getsockname()[1]


@pytest.fixture
def agent() -> Iterator[tuple[int, int]]:
    """A process that listens on 127.0.0.1 with a child of its own: its pid, and the port."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as popen:
        assert popen.stdout
        yield popen.pid, int(popen.stdout.readline())
        popen.kill()


def report(pid: int | None, **said: Any) -> HubReport:
    agent = {"name": "agent-bmo", "pid": pid, "state": "running", "roles": ["registers"], **said}
    return hub_report({"processes": [{"name": "media"}, agent]})


def write_config(paths: StatePaths, port: int, *command: str) -> None:
    config = AgentConfig("bmo", "/src", command, f"{paths.root}/agents/bmo", None, port, {}, "d" * 64, "", "agent.py")
    write_private(paths.render("agent-bmo.json"), dump_agent(config))


def test_agent_of_the_hub_has_its_port_unless_another_program_has(
    paths: StatePaths, agent: tuple[int, int], other: int
) -> None:
    pid, port = agent
    write_config(paths, port)
    assert look_at_health_ports(paths, report(pid)) == (HealthPort("agent-bmo", port),)
    write_config(paths, other)
    assert look_at_health_ports(paths, report(pid)) == (HealthPort("agent-bmo", other, taken=True),)
    write_config(paths, other, "node", "agent.js")
    assert not look_at_health_ports(paths, report(pid))[0].taken, "its code says where it listens"


def test_port_is_the_agents_own_while_the_worker_of_before_has_it(paths: StatePaths, agent: tuple[int, int]) -> None:
    pid, port = agent
    write_config(paths, port)
    retired = {"name": "agent-bmo", "pid": pid, "state": "stopping", "since": 1.0, "roles": ["registers"]}
    now = {"name": "agent-bmo", "pid": os.getpid(), "state": "running", "roles": ["registers"]}
    [found] = look_at_health_ports(paths, hub_report({"processes": [now], "retired": [retired]}))
    assert not found.taken


NOBODY, ITSELF = [Listening(8081, 0, everywhere=True)], [Listening(8081, UID, everywhere=True)]


@pytest.mark.parametrize(
    ("command", "image", "table", "found"),
    [
        ((), "", [], HealthPort("agent-bmo", 8081)),
        ((), "", [Listening(8081, UID, loopback=True)], HealthPort("agent-bmo", 8081)),
        ((), "", [Listening(8081, 0)], HealthPort("agent-bmo", 8081)),
        ((), "", [Listening(8082, 0, everywhere=True)], HealthPort("agent-bmo", 8081)),
        ((), "", NOBODY, HealthPort("agent-bmo", 8081, taken=True)),
        ((), "", [Listening(8081, 0, loopback=True)], HealthPort("agent-bmo", 8081, taken=True)),
        (("bun",), "", NOBODY, HealthPort("agent-bmo", 8081)),
        (("bun",), "", ITSELF, HealthPort("agent-bmo", 8081, exposed=True)),
        ((), "bmo:1", NOBODY, HealthPort("agent-bmo", 8081, exposed=True, known=False)),
        ((), "bmo:1", [Listening(8081, 0, loopback=True)], HealthPort("agent-bmo", 8081, known=False)),
    ],
    ids=range(10),
)
def test_agent_in_a_container_is_known_by_its_user_alone(
    paths: StatePaths,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    image: str,
    table: list[Listening],
    found: HealthPort,
) -> None:
    ports = {"agent-bmo": 8081, **({"agent-bmo-2": 8082} if image else {})}
    given = GivenAgent("bmo", "x", command, "x", "", "", ports, {}, image)
    path = paths.for_image("bmo") if image else f"{paths.for_agent('bmo')}/agent.json"
    write_given(path, dump_given(given))
    monkeypatch.setattr(health_ports, "list_listening", lambda: tuple(table))
    # Elsewhere it is not known which user an agent is, and a pod has a network of its own.
    for kind in ("", "pods"):
        monkeypatch.setenv("LKHUB_AGENTS", kind)
        assert _look_at_agents(paths, hub_report({"processes": []}))[1] == ()
    monkeypatch.setenv("LKHUB_AGENTS", "containers")
    assert _look_at_agents(paths, hub_report({"processes": []}))[1] == (found,)


@pytest.mark.parametrize(
    ("uid", "command", "found"),
    [
        (UID, (), HealthPort("agent-bmo", 8081)),
        (UID, ("bun",), HealthPort("agent-bmo", 8081, exposed=True)),
        (0, (), HealthPort("agent-bmo", 8081, taken=True)),
    ],
    ids=["own", "exposed", "taken"],
)
def test_agent_in_a_unit_is_known_by_its_user_where_its_sockets_cannot_be_seen(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch, uid: int, command: tuple[str, ...], found: HealthPort
) -> None:
    given = GivenAgent("bmo", "x", command, "x", "", "", {"agent-bmo": 8081}, {})
    write_given(f"{paths.for_agent('bmo')}/agent.json", dump_given(given))
    exposed = [Listening(8081, uid, loopback=not command, everywhere=bool(command))]
    monkeypatch.setattr(health_ports, "list_listening", lambda: tuple(exposed))
    monkeypatch.setattr(health_ports, "has_units", lambda _: True)
    monkeypatch.setattr(health_ports, "can_see", lambda _: False)
    monkeypatch.setattr(health_ports, "_find_user", lambda _: UID)
    assert look_at_health_ports(paths, report(os.getpid())) == (found,)
    assert look_at_health_ports(paths, report(None)) == ()


def test_sockets_of_an_agent_are_read_once(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch, agent: tuple[int, int]
) -> None:
    """That takes some milliseconds for each process."""
    pid, port = agent
    write_config(paths, port)
    reads: list[int] = []

    def read(pid: int) -> Sockets:
        reads.append(pid)
        return Sockets()

    monkeypatch.setattr(sockets, "read_sockets", read)
    agents, ports = _look_at_agents(paths, report(pid))
    assert ([each.name for each in agents], [each.port for each in ports], reads) == (["agent-bmo"], [port], [pid])


def test_hub_without_agents_is_not_looked_at(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_ports, "look_at_health_ports", lambda *_: pytest.fail("it is looked at"))
    assert _look_at_agents(paths, hub_report({"processes": [{"name": "media"}]}))[1] == ()
