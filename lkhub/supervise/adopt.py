"""Take over the processes that an earlier supervisor left running. A process that may carry a call is not killed."""

from collections.abc import Iterable
from dataclasses import replace

from lkhub.errors import MachineError, describe_error
from lkhub.host import files
from lkhub.host.processes import is_alive
from lkhub.plan.process import ProcessPlan
from lkhub.state.identity import Identity, list_records, list_retired, remove_retired
from lkhub.supervise.ask import ask_status
from lkhub.supervise.child import Child
from lkhub.supervise.ending import FOREVER_SECONDS, Ending, end_process, limit_drain, tell_to_drain
from lkhub.supervise.left import Left, find_running
from lkhub.supervise.supervisor import Supervisor


async def adopt(supervisor: Supervisor, planned: Iterable[ProcessPlan] = ()) -> None:
    """Watch the processes that run. A process that can't be watched ends when its calls are over. What neither record
    nor mark says of a process comes from the plan of the same name in `planned`."""
    planned = tuple(planned)
    children = supervisor.fleet.children
    for ended in list_retired(supervisor.paths):
        if not is_alive(ended.process):
            remove_retired(supervisor.paths, ended)
    retiring: list[Left] = []
    for found in await _tell_apart(find_running(supervisor.paths), supervisor.shared.timings.status):
        if found.retired and found.plan.handover:
            retiring.append(found)
            continue
        if found.retired:
            supervisor.fleet.retired.adopt(found.identity)
            continue
        if not found.adoptable or found.name in children:
            await _let_go(supervisor, found)
            continue
        children[found.name] = Child.adopt(found.identity.fill(planned), supervisor.shared)
        supervisor.took_over = True
        supervisor.say(f"{found.name} (pid {found.process.pid}) is still running; taking it over")
    # Read now: when a process ends while it is taken over, its record is removed.
    records = list_records(supervisor.paths)
    for name, child in list(children.items()):
        try:
            await child.start(supervisor.tasks)
            child.keep_record()
        except MachineError as error:
            supervisor.say(f"{error.message}\nit is started anew")
            await child.stop("replace")
            del children[name]
    for found in retiring:
        await _adopt_retiring(supervisor, found)
    for child in children.values():
        if child.plan.handover and child.plan.health.socket:  # its successor needs them while it has them
            await supervisor.shared.held.take(child.plan.health.socket, child.plan.listens)
        await _keep_calls(supervisor, child)
    if children:
        for identity in records:
            if identity.name not in children:
                await _start_dead(supervisor, identity.fill(planned))


async def _tell_apart(found: list[Left], seconds: float) -> list[Left]:
    """The same processes. Where several of one name run that hand over and their records are lost, only the newest that
    does not drain is not retired."""
    ordered: list[Left] = []
    current: set[str] = set()
    for each in sorted(found, key=lambda left: left.identity.since, reverse=True):
        if each.plan.handover and each.adoptable and not each.retired:
            status = await ask_status(each.plan, each.process, seconds)
            drains = status is not None and status.state == "draining"
            several = len([other for other in found if other.name == each.name]) > 1
            each = replace(each, retired=each.name in current or (drains and several))
            current |= set() if each.retired else {each.name}
        ordered.append(each)
    places = [each.process for each in found]
    return sorted(ordered, key=lambda left: places.index(left.process))


async def _adopt_retiring(supervisor: Supervisor, found: Left) -> None:
    """Watch a process that hands over. The earlier supervisor may have ended before it told the process so, which is
    told again; or before another process was there, and then this one stays."""
    name, identity = found.name, found.identity
    children = supervisor.fleet.children
    if name not in children:
        status = await ask_status(found.plan, found.process, supervisor.shared.timings.status)
        if status is not None and status.state == "running":
            children[name] = child = Child.adopt(identity, supervisor.shared)
            await child.start(supervisor.tasks)
            child.stay()
            supervisor.took_over = True
            supervisor.say(f"{name} (pid {found.process.pid}) is still running; taking it over")
            return
    supervisor.say(f"{name} (pid {found.process.pid}) goes on beside its successor, until its calls are over")
    await supervisor.fleet.predecessors.add(found.plan, found.process)


async def _keep_calls(supervisor: Supervisor, child: Child) -> None:
    """Let a process that the earlier supervisor was stopping wait for its calls, since the hub goes on after all. A
    drain can't be revoked, so the process is started again as soon as no participant is in a call."""
    status = await child.ask_status()
    if status is None or status.state != "draining":
        return
    timings = supervisor.shared.timings
    if child.process is not None and await tell_to_drain(child.process, child.plan, FOREVER_SECONDS, timings):
        until = "it goes on until nobody is in a call, and starts anew then"
        supervisor.say(f"{child.plan.name} was being stopped; {until}")


async def _start_dead(supervisor: Supervisor, identity: Identity) -> None:
    """Start a process that died together with its supervisor, as it was. Otherwise a pending change, which waits for
    the calls of other processes, would keep it down. It is started only if its files are still the same."""
    if not _has_its_files(identity):
        return
    # What it reads again may have changed meanwhile, and need not be as it was: then it is told to read it once more.
    child = Child(identity.plan, identity.fingerprint.without_rereads(), supervisor.shared)
    supervisor.say(f"{identity.name} died with its supervisor; starting it again")
    try:
        await child.start(supervisor.tasks)
        supervisor.fleet.children[identity.name] = child
        await supervisor.shared.returned(child.plan)
    except MachineError as error:
        supervisor.say(error.message)
        await child.stop("replace")


def _has_its_files(identity: Identity) -> bool:
    try:
        texts = [files.read_text(path) for path in identity.plan.files]
    except MachineError:
        return False
    return files.digest("\0".join(text or "" for text in texts).encode()) == identity.fingerprint.files


async def _let_go(supervisor: Supervisor, found: Left) -> None:
    how: Ending = "drain" if found.plan.carries_calls else "now"
    until = "" if how == "now" else f" when its calls are over, or after {limit_drain(found.plan)} s"
    supervisor.say(f"{found.name} (pid {found.process.pid}) is left over and can't be taken over; it ends{until}")
    if found.name in supervisor.fleet.children:  # a better process of this name was taken over
        supervisor.tasks.start_soon(_end, supervisor, found, how)
    else:  # the next process of this name needs its ports
        await _end(supervisor, found, how)


async def _end(supervisor: Supervisor, found: Left, how: Ending) -> None:
    try:
        await end_process(found.process, how, found.plan, supervisor.shared.timings)
    except Exception as error:
        # Neither a refusal of this machine, such as no free descriptor, nor a bug may end the supervisor or a call.
        supervisor.say(f"can't end {found.name} (pid {found.process.pid}): {describe_error(error)}")
