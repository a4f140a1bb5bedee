"""What an earlier supervisor left running is taken over. None of it is killed that may carry a call."""

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.plan.model import PROCESS_NAMES, ProcessPlan
from lkhub.supervise.child import Child
from lkhub.supervise.ending import Ending, end_process, tell_to_drain
from lkhub.supervise.record import Found, Identity, find_running, read_record
from lkhub.supervise.supervisor import Supervisor

# As long as the engine takes for a limit (maxDrainSeconds in engine/internal/process/control.go).
FOREVER_SECONDS = 365 * 24 * 3600


async def adopt(supervisor: Supervisor) -> None:
    """Watch over what runs. What can't be watched over ends when its calls have."""
    for found in find_running(supervisor.paths):
        if found.identity is None or found.name in supervisor.children:
            await _let_go(supervisor, found)
            continue
        child = Child.adopt(found.identity, supervisor.paths, supervisor.doors, supervisor.say, supervisor.returned)
        supervisor.children[found.name] = child
        supervisor.took_over = True
        supervisor.say(f"{found.name} (pid {found.process.pid}) is still running; taking it over")
    # Read before: the record of one that ends while it is taken over ends with it.
    records = {name: read_record(supervisor.paths, name) for name in PROCESS_NAMES}
    for name, child in list(supervisor.children.items()):
        try:
            await child.start(supervisor.tasks)
            child.keep_record()
        except MachineError as error:
            supervisor.say(f"{error.message}\nit is started anew")
            await child.stop("replace")
            del supervisor.children[name]
    for child in supervisor.children.values():
        await _keep_calls(supervisor, child)
    if supervisor.children:
        for identity in records.values():
            if identity is not None and identity.plan.name not in supervisor.children:
                await _start_dead(supervisor, identity)


async def _keep_calls(supervisor: Supervisor, child: Child) -> None:
    """Have one wait for its calls that the supervisor before was stopping: the hub was not to go on, and now it is. It
    can't be told to stay, and is started again as soon as nobody is in a call."""
    status = await supervisor.ask(child.plan.name) if child.plan.ready.socket else None
    if not isinstance(status, dict) or status.get("state") != "draining":
        return
    if child.process is not None and await tell_to_drain(child.process, child.plan, FOREVER_SECONDS):
        until = "it goes on until nobody is in a call, and starts anew then"
        supervisor.say(f"{child.plan.name} was being stopped; {until}")


async def _start_dead(supervisor: Supervisor, identity: Identity) -> None:
    """Start what died together with its supervisor as it was: a change that waits for the calls of the others must not
    keep it down. Only with the very files that it ran with."""
    if not _has_its_files(identity):
        return
    child = Child(
        identity.plan, identity.fingerprint, supervisor.paths, supervisor.doors, supervisor.say, supervisor.returned
    )
    supervisor.say(f"{identity.plan.name} died with its supervisor; starting it again")
    try:
        await child.start(supervisor.tasks)
        supervisor.children[identity.plan.name] = child
        await supervisor.returned(child)
    except MachineError as error:
        supervisor.say(error.message)
        await child.stop("replace")


def _has_its_files(identity: Identity) -> bool:
    try:
        texts = [files.read_text(path) for path in identity.plan.files]
    except MachineError:
        return False
    return files.digest("\0".join(text or "" for text in texts).encode()) == identity.fingerprint.files


async def _let_go(supervisor: Supervisor, found: Found) -> None:
    how: Ending = "now" if found.name == "serve" else "drain"
    plan = found.identity.plan if found.identity else None
    drain = plan.drain if plan else ProcessPlan.drain
    until = "" if how == "now" else f" when its calls are over, or after {drain} s"
    supervisor.say(f"{found.name} (pid {found.process.pid}) is left over and can't be taken over; it ends{until}")
    if found.name in supervisor.children:  # there is one that is better
        supervisor.tasks.start_soon(end_process, found.process, how, plan)
    else:  # the next one needs its ports
        await end_process(found.process, how, plan)
