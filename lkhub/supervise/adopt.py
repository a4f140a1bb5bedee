"""What an earlier supervisor left running is taken over. None of it is killed that may carry a call."""

from collections.abc import Iterable

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.plan.process import ProcessPlan
from lkhub.state.identity import Identity, list_records
from lkhub.supervise.child import Child
from lkhub.supervise.ending import Ending, end_process, limit_drain, tell_to_drain
from lkhub.supervise.left import Left, find_running
from lkhub.supervise.supervisor import Supervisor

# As long as the engine takes for a limit (maxDrainSeconds in engine/internal/process/control.go).
FOREVER_SECONDS = 365 * 24 * 3600


async def adopt(supervisor: Supervisor, planned: Iterable[ProcessPlan] = ()) -> None:
    """Watch over what runs. What can't be watched over ends when its calls have. What a record or a mark does not tell
    of a process is taken from the plan of its name among `planned`."""
    planned = tuple(planned)
    children = supervisor.fleet.children
    for found in find_running(supervisor.paths):
        if not found.adoptable or found.name in children:
            await _let_go(supervisor, found)
            continue
        children[found.name] = Child.adopt(found.identity.fill(planned), supervisor.shared)
        supervisor.took_over = True
        supervisor.say(f"{found.name} (pid {found.process.pid}) is still running; taking it over")
    # Read before: the record of one that ends while it is taken over ends with it.
    records = list_records(supervisor.paths)
    for name, child in list(children.items()):
        try:
            await child.start(supervisor.tasks)
            child.keep_record()
        except MachineError as error:
            supervisor.say(f"{error.message}\nit is started anew")
            await child.stop("replace")
            del children[name]
    for child in children.values():
        await _keep_calls(supervisor, child)
    if children:
        for identity in records:
            if identity.name not in children:
                await _start_dead(supervisor, identity.fill(planned))


async def _keep_calls(supervisor: Supervisor, child: Child) -> None:
    """Have one wait for its calls that the supervisor before was stopping: the hub was not to go on, and now it is. It
    can't be told to stay, and is started again as soon as nobody is in a call."""
    status = await child.ask_status()
    if not isinstance(status, dict) or status.get("state") != "draining":
        return
    timings = supervisor.shared.timings
    if child.process is not None and await tell_to_drain(child.process, child.plan, FOREVER_SECONDS, timings):
        until = "it goes on until nobody is in a call, and starts anew then"
        supervisor.say(f"{child.plan.name} was being stopped; {until}")


async def _start_dead(supervisor: Supervisor, identity: Identity) -> None:
    """Start what died together with its supervisor as it was: a change that waits for the calls of the others must not
    keep it down. Only with the very files that it ran with."""
    if not _has_its_files(identity):
        return
    child = Child(identity.plan, identity.fingerprint, supervisor.shared)
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
    timings = supervisor.shared.timings
    if found.name in supervisor.fleet.children:  # there is one that is better
        supervisor.tasks.start_soon(end_process, found.process, how, found.plan, timings)
    else:  # the next one needs its ports
        await end_process(found.process, how, found.plan, timings)
