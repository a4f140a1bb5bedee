"""`lkhub agents`: the agents of a running hub."""

import shlex
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from lkhub.cli.down import refuse_restart
from lkhub.cli.env import show_dotenv
from lkhub.cli.logs import list_written, show_logs
from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.show import err, name_hub, out, say, show_hints
from lkhub.cli.shared.show_json import show_json
from lkhub.cli.shared.table import show_table
from lkhub.errors import InputError, MachineError, UnwellError
from lkhub.host.as_root import as_root
from lkhub.host.control import ask
from lkhub.host.files import explain_os_errors
from lkhub.hub.agent_images import list_images, refuse_image, require_image
from lkhub.hub.agent_units import add_given, has_units, list_given, restart_given
from lkhub.hub.agents import AgentRow, is_seen, list_rows
from lkhub.hub.locate import find_hub
from lkhub.hub.rooms import HubRooms, find_room
from lkhub.hub.running import ask_running
from lkhub.livekit.room_calls import create_dispatch
from lkhub.livekit.room_config import AgentDispatch
from lkhub.livekit.tokens import show_name
from lkhub.plan.paths import StatePaths
from lkhub.render.targets.kubernetes.agents import render_secret
from lkhub.source.typed import pack
from lkhub.spec.duration import Duration
from lkhub.wire.control import HubReport, RestartRequest, StatusRequest

app = make_app(help="The agents of a running hub.", no_args_is_help=True)


class Format(StrEnum):
    """How the variables of an agent are written."""

    dotenv = "dotenv"
    secret = "secret"  # noqa: S105


Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name in the spec.")]


@app.callback()
def _group() -> None:
    """The agents of a running hub."""


@app.command("list")
def list_agents(spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """List the workers that are connected, with their rooms, the agents whose worker is not, and the rooms that wait.

    A worker that is `full` takes no more rooms; a worker that `ends` was told to, and finishes its calls. `installing`
    and `failed to install` say since when.
    """
    paths = find_hub(spec, state)
    report = _ask_report(paths, max_age=0.0)
    rows, known = list_rows(paths, report), report.media.agents if report.media else None
    if json:
        waiting = [pack(room) for room in known.waiting] if known else None
        show_json({"agents": [_pack(row) for row in rows], "waiting": waiting})
        return
    heads = ("PROCESS", "AGENT", "STATE", "SINCE", "LOAD", "ROOMS")
    unseen = [row for row in rows if row.process and row.process.pid and not is_seen(row.process)]
    show_table(heads, [_describe(row, is_known=known is not None and row not in unseen) for row in rows])
    if unseen:
        see = as_root("agents", "list", "--state", paths.root)
        say(f"which worker is whose process can be seen by root alone: `{see}`", "note", "cyan")
    elsewhere = _list_elsewhere(paths)
    if elsewhere:
        say(f"{', '.join(elsewhere)}: in a container of its own, whose worker is one of these", "note", "cyan")
    if known is None:
        say("media does not say which workers are connected", "warning", "yellow")
        return
    if not rows and not elsewhere:
        say("no agent is in the spec, and no worker is connected", "agents")
    # A room may lack several agents of one name.
    for room in {(room.room, room.agent, room.reason): room for room in known.waiting}.values():
        why = _REASONS.get(room.reason, room.reason)
        out.print(f"room {show_name(room.room)} waits for {_name_agent(room.agent)}: {why}")


@app.command()
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines, from the end.")] = 50,
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Show what an agent has written, all of its replicas by time. The hub need not run."""
    paths = find_hub(spec, state)
    refuse_image(paths, f"agent-{name}", "and writes there", compose="logs", kubectl="logs")
    if f"agent-{name}" in _list_elsewhere(paths):
        raise InputError(
            f"agent-{name} runs in a container of its own, and writes there",
            hints=(f"`docker compose logs agent-{name}`, in the folder of compose.yaml",),
        )
    with explain_os_errors(paths.logs, "read"):
        written = sorted({*list_given(paths), *list_written(paths, "agent-*.log")})
    show_logs(
        paths, _choose(written, name, f"no agent has written anything yet in {paths.root}"), follow=follow, lines=lines
    )


@app.command()
def restart(name: Name, spec: HubSpec = None, state: State = None) -> None:
    """Start an agent anew. Once the new worker has registered, the earlier one takes no more rooms, and finishes its
    calls beside the new one."""
    paths = find_hub(spec, state)
    refuse_restart(paths, f"agent-{name}")
    if restart_given(paths, f"agent-{name}"):
        err.print(f"asked for new workers of {name}, which start within seconds")
        return
    report = ask_running(paths, StatusRequest())
    rows = {row.process.name: row for row in list_rows(paths, report) if row.process}
    for process in _find_processes(report, name):
        ask(paths.control, RestartRequest(process))
        err.print(name_hub(f"restarted {process}{_describe_earlier(report, rows.get(process), name)}"))


def _describe_earlier(report: HubReport, row: AgentRow | None, name: str) -> str:
    """What becomes of the earlier worker, where that is known."""
    if row and row.worker:
        return "; the earlier worker takes rooms until the new one has registered"
    if report.media and report.media.agents and row and row.process and is_seen(row.process):
        return f"; no worker of it was registered: `lkhub agents logs {name}`"
    return ""


@app.command()
def env(
    name: Name,
    format: Annotated[
        Format, typer.Option(help="dotenv for the env_file of Docker, secret for `kubectl apply -f -`.")
    ] = Format.dotenv,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print the variables of an agent that is an `image`: its `env`, and LIVEKIT_URL, LIVEKIT_API_KEY and
    LIVEKIT_API_SECRET.

    Secrets are among them.
    """
    agent = require_image(find_hub(spec, state), name)
    if json:
        show_json(agent.variables)
    elif format is Format.secret:
        print(render_secret(agent.name, agent.variables))
    else:
        print(
            show_dotenv(
                agent.variables, "`--format secret` and `--json` print it for programs that take any character"
            ),
            end="",
        )


@app.command()
def dispatch(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The name of an open room, or its SID.")],
    agent: Annotated[
        str, typer.Option("--agent", metavar="NAME", help="The `agent_name` of its code. Default: agents without one.")
    ] = "",
    metadata: Annotated[str, typer.Option("--metadata", help="Text that the agent is given.")] = "",
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Call an agent into an open room, besides those that are in it."""
    paths = find_hub(spec, state)
    report = _ask_report(paths, max_age=0.0)
    opens = f"`lkhub rooms create {shlex.quote(room)}` opens a room of that name"
    with HubRooms(paths) as service:
        try:
            found = find_room(service, room)
        except UnwellError as error:
            raise UnwellError(error.message, hints=(*error.hints, opens)) from None
        _require_its_name(paths, report, agent)
        try:
            service.ask(create_dispatch(found.name, AgentDispatch(agent_name=agent, metadata=metadata)))
        except MachineError as error:
            if error.code not in ("not_found", "unavailable"):
                raise
            raise UnwellError(f"room {show_name(found.name)} has closed meanwhile", hints=(opens,)) from error
    err.print(f"asked for {_name_agent(agent)} in room {show_name(found.name)}")
    _warn_of_no_worker(report, agent)


def _require_its_name(paths: StatePaths, report: HubReport, agent: str) -> None:
    """Raise InputError where the spec has an agent of this name whose code has another one: the room would wait for
    ever, and `lkhub status` would call that an error."""
    rows = [row for row in list_rows(paths, report) if row.worker]
    if not agent or any(row.worker and row.worker.agent == agent for row in rows):
        return
    own = _match([row.process.name for row in rows if row.process], agent)
    named = {row.worker.agent for row in rows if row.worker and row.process and row.process.name in own}
    if not named:
        return
    if "" in named:
        hint = (
            f"without --agent it is called; it joins every room by itself, unless its code has `agent_name={agent!r}`"
        )
        raise InputError(f"the code of agent {agent} has no agent_name, which --agent takes", hints=(hint,))
    shown = ", ".join(f"`--agent {shlex.quote(show_name(each))}`" for each in sorted(named))
    raise InputError(
        f"the code of agent {agent} has another agent_name, which --agent takes", hints=(f"{shown} calls it",)
    )


def _warn_of_no_worker(report: HubReport, agent: str) -> None:
    """Say that no worker takes the room now, and when one will."""
    known = report.media.agents if report.media else None
    if known is None:
        return
    workers = [worker for worker in known.workers if worker.agent == agent]
    if not workers:
        say(f"no worker of {_name_agent(agent)} is connected; it joins once one is", "warning", "yellow")
        show_hints(["`lkhub agents list` shows those that are"])
    elif not any(worker.free for worker in workers):
        say(f"every worker of {_name_agent(agent)} is full; it joins once one has room", "warning", "yellow")
        show_hints(["`lkhub agents list` shows how full they are; `replicas` in the spec starts more"])


def _ask_report(paths: StatePaths, max_age: float | None = None) -> HubReport:
    return add_given(ask_running(paths, StatusRequest() if max_age is None else StatusRequest(max_age=max_age)), paths)


def _list_elsewhere(paths: StatePaths) -> list[str]:
    """The processes of agents that other containers run."""
    return [] if has_units(paths) else [*list_given(paths), *list_images(paths)]


def _find_processes(report: HubReport, name: str) -> list[str]:
    return _choose(
        [process.name for process in report.processes if "registers" in process.roles], name, "the spec has none"
    )


def _choose(names: Sequence[str], name: str, none: str) -> list[str]:
    """The processes of an agent among those of all agents. `none`: the hint where there are none."""
    found = _match(names, name)
    if not found:
        known = ", ".join(each.removeprefix("agent-") for each in names)
        raise InputError(f"there is no agent {name}", hints=(f"one of: {known}" if known else none,))
    return found


def _match(names: Iterable[str], agent: str) -> list[str]:
    """Those of the processes that are an agent's."""
    return [each for each in names if each == f"agent-{agent}" or each.removeprefix(f"agent-{agent}-").isdigit()]


_REASONS = {
    "no-worker": "no worker of that name is connected",
    "full": "every worker of it is full",
    "refused": "every worker of it refused the room",
    "failing": "it ended again and again, and is asked again after a pause",
}


def _name_agent(agent: str) -> str:
    return f"agent {show_name(agent)}" if agent else "an agent without a name"


def _show_since(since: float) -> str:
    return str(Duration(max(0, int(time.time() - since))))


def _describe(row: AgentRow, *, is_known: bool) -> tuple[str, ...]:
    worker, process = row.worker, row.process
    if worker is None:
        assert process is not None
        if row.installing:
            return process.name, "", "installing", _show_since(process.since), "", ""
        if row.failure:
            return process.name, "", "failed to install", _show_since(row.failure.at), "", ""
        state = "not registered" if process.state == "running" and is_known else process.state
        return process.name, "", state, "", "", ""
    ends = worker.draining or (process is not None and process.state == "stopping")
    state = "ends" if ends else "free" if worker.free else "full"
    rooms = ", ".join(sorted(show_name(job.room) for job in worker.jobs))
    return (
        process.name if process else worker.address,
        # In quotes where it has spaces, which would look like the columns beside it.
        show_name(worker.agent) if worker.agent else "",
        state,
        _show_since(worker.since),
        f"{worker.load:.0%}",
        rooms,
    )


def _pack(row: AgentRow) -> dict[str, object]:
    process = row.process
    return {
        "process": {"name": process.name, "pid": process.pid, "state": process.state} if process else None,
        "worker": pack(row.worker) if row.worker else None,
        "installing": row.installing,
        "failure": {"at": row.failure.at, "why": row.failure.why} if row.failure else None,
    }
