"""Codes of agents: those that don't run, and rooms that lack theirs."""

from collections.abc import Sequence

from lkhub.findings.declare import Says, declare


@declare("agents-not-apart", "warning")
def agents_not_apart(names: Sequence[str]) -> Says:
    """Agents run as the hub's own user. The subject is `agents`.

    **Why.** Only root can start a program as another user. An agent is other people's code, with all of its
    dependencies, and as the hub's own user it can read the hub's API keys, its certificate authority and its store.

    **What to do.** Nothing if you trust that code as you trust the hub. Else start the hub as root: each agent then has
    a user of its own.
    """
    of, runs = ("the agent", "runs") if len(names) == 1 else ("the agents", "run")
    return Says(
        f"{of} {', '.join(names)} {runs} as the hub's own user, and can read the hub's keys",
        "only root can start a program as another user",
    )


@declare("agent-installing", "info")
def agent_installing(name: str) -> Says:
    """The dependencies of an agent are being installed, or the files of its models fetched. The subject is its process.

    **Why.** It is the first start of this version of its project. Rooms get the agent once it has registered.

    **What to do.** Wait. Its log says how far it is:

    ```sh
    lkhub agents logs NAME
    ```
    """
    return Says(f"{name} is being installed", "this version of its project has not run yet")


@declare("agent-install-failed", "error")
def agent_install_failed(name: str, replaces: bool) -> Says:
    """A version of an agent's project could not be installed. The subject is its process.

    **Why.** Its log says it, most often in uv's words: a dependency that can't be found or built, an index or a proxy
    that can't be reached, a `uv.lock` that does not fit `pyproject.toml`, a full disk. It is tried again at growing
    intervals, up to 30 s.

    **What to do.** Read its log, mend the project, and apply it:

    ```sh
    lkhub agents logs NAME
    lkhub up
    ```

    Where a worker of the earlier version runs, it goes on and takes rooms until another version is installed and has
    registered.
    """
    if replaces:
        return Says(
            f"the new version of {name} could not be installed", "the earlier worker runs on, and takes the rooms"
        )
    return Says(f"{name} could not be installed", "rooms get no agent from it")


@declare("agent-not-registered", "error", warning="where a container runs it beside the hub's")
def agent_not_registered(name: str, *, contained: bool = False) -> Says:
    """An agent runs, and no worker of it is connected to media. The subject is its process.

    **Why.** Its code may do something else for long before it registers, or can't reach media. Its health check says
    nothing about it: it answers 200 before the worker has registered, and while it has lost the server. Of an agent in
    a container of its own, the hub knows no more than that no worker of it is connected: it may be installed at this
    moment, could not be installed, or was not started. Of one that is an `image` it knows even that only where no
    worker is connected at all.

    **What to do.** Read its log:

    ```sh
    lkhub agents logs NAME
    ```

    Of one in a container of its own, `docker compose logs agent-NAME` shows it.
    """
    if contained:
        return Says(
            f"no worker of {name} is connected",
            "its container is installing it, could not, or does not run; which of them can't be seen from here",
        )
    return Says(f"{name} runs, and no worker of it has registered", "rooms get no agent from it")


@declare("agent-missing", "error")
def agent_missing(agent: str, rooms: int) -> Says:
    """Rooms wait for an agent, and no worker of that name is connected. The subject is the agent's name for LiveKit, ""
    for the agent that joins every room.

    **Why.** A dispatch asks for an agent by the `agent_name` of its code, and that may be written otherwise there; or
    its worker does not run.

    **What to do.** Compare the names, and see what the workers do:

    ```sh
    lkhub agents list
    ```

    An agent that registers later joins the rooms that wait.
    """
    which = f"agent {agent}" if agent else "agent"
    return Says(f"no worker for {which}, and {_count(rooms)} for it", "no worker of that name is connected to media")


@declare("agent-full", "warning")
def agent_full(agent: str, rooms: int) -> Says:
    """Rooms wait for an agent, and each of its workers says that it takes no more. The subject is the agent's name for
    LiveKit.

    **Why.** A worker of livekit-agents counts itself as full when the machine's CPU, of all its programs, is at 70 % or
    more (`load_threshold`), or while it ends.

    **What to do.** Free the machine, raise `load_threshold` in the agent's code, or run more workers elsewhere
    (`replicas` adds none on a machine that is busy). An agent joins as soon as a worker is free.
    """
    which = f"agent {agent}" if agent else "the agent"
    return Says(f"every worker of {which} is full, and {_count(rooms)} for it", "its workers take no more rooms now")


@declare("agent-refuses", "warning")
def agent_refuses(agent: str, rooms: int) -> Says:
    """Rooms have no agent, because each of its workers was asked and refused. The subject is the agent's name for
    LiveKit.

    **Why.** The agent's code decides it, in its `request_fnc`; or the worker was full at that moment.

    **What to do.** Nothing where that is meant. Else read the agent's log.
    """
    which = f"agent {agent}" if agent else "the agent"
    return Says(f"every worker of {which} refused {_rooms(rooms)}", "its code takes no part in them")


@declare("agent-fails", "error")
def agent_fails(agent: str, rooms: int) -> Says:
    """An agent has ended by itself again and again in the same room. The subject is the agent's name for LiveKit.

    **Why.** Its code fails. The room gets it again at growing intervals, up to 30 s.

    **What to do.** Read its log:

    ```sh
    lkhub agents logs NAME
    ```
    """
    which = f"agent {agent}" if agent else "the agent"
    return Says(f"{which} fails again and again in {_rooms(rooms)}", "its process ends soon after it was started")


@declare("health-exposed", "warning")
def health_exposed(process: str, port: int, *, known: bool = True) -> Says:
    """An agent's health check can be reached from other machines. The subject is its process.

    **Why.** livekit-agents listens on all interfaces by default, and a `command` or an `image` of the spec is run as it
    is. Of an `image` the hub sees no more than that a program listens on every interface at port 8081, where
    livekit-agents does by default. It may be another program.

    **What to do.** Leave the `command` out, so that the hub starts the agent with its health check on 127.0.0.1; or
    write `AgentServer(host="127.0.0.1")` in its code. Where another program has the port, nothing if that is meant to
    be reached.
    """
    if known:
        return Says(f"{process} listens on port {port} of every interface", "other machines can see its health check")
    return Says(
        f"port {port} is open on every interface, and it may be the health check of {process}",
        "livekit-agents listens there by default; which program does now can't be seen from here",
    )


@declare("health-port-taken", "warning")
def health_port_taken(process: str, port: int) -> Says:
    """Another program listens at the port that the spec has for an agent's health check. The subject is its process.

    **Why.** That program was there first, as after a reboot. The hub starts no agent at a port that is taken; where a
    unit, a container or a restart has to start one all the same, its health check takes any port that is free. So a
    monitor of the agent asks the other program, which may say that all is well.

    **What to do.** See which program has the port. Then stop it and start the agent's worker anew, or give the agent
    another port (`health`) in the spec:

    ```sh
    sudo ss -lntp
    lkhub agents restart NAME
    ```
    """
    return Says(
        f"port {port}, of the health check of {process}, is another program's",
        "a worker that starts now has its health check on another port, and a monitor of this one asks that program",
    )


def _count(rooms: int) -> str:
    return "1 room waits" if rooms == 1 else f"{rooms} rooms wait"


def _rooms(rooms: int) -> str:
    return "1 room" if rooms == 1 else f"{rooms} rooms"
