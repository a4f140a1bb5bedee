"""Makes a child take over a change of its files without a restart."""

import anyio

from lkhub.errors import MachineError
from lkhub.host import files, processes
from lkhub.host.http import httpx
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.supervise.child import Child
from lkhub.supervise.ready import NotItsAnswerError, require_own
from lkhub.supervise.reread import post_reload, read_refusal


def can_reload(child: Child, plan: ProcessPlan, fingerprint: Fingerprint) -> bool:
    """Whether reading files again is enough for the child to change to `plan`."""
    before = child.fingerprint
    same_program = before.program == fingerprint.program and _start(child.plan) == _start(plan)
    only_rereads = plan.rereads != () and plan.rereads == child.plan.rereads and before.files == fingerprint.files
    takes_over = (plan.reloads and not _is_in_its_own_way(child.plan, plan)) or only_rereads
    return takes_over and same_program and child.state == "running"


def _start(plan: ProcessPlan) -> tuple[object, ...]:
    """What a process learns at its start alone. Held sockets are left out: it opens a socket that it is not given."""
    return plan.argv, plan.health, plan.variables, plan.folder, plan.user


def _is_in_its_own_way(old: ProcessPlan, new: ProcessPlan) -> bool:
    """Whether one plan listens on a port at every address and the other at one address. The process would have to close
    the old socket before it can open the new one."""
    return any(
        held.port == before.port and held.address != before.address and "" in (held.address, before.address)
        for held in new.listens
        for before in old.listens
    )


async def reload(child: Child, plan: ProcessPlan, fingerprint: Fingerprint) -> None:
    """Make the child read its files again as `plan` says, without interrupting a call. If it refuses them, nothing
    changes and MachineError is raised."""
    before, taken = child.fingerprint, files.stamp(plan.watched)
    # If the supervisor dies now, the next one does not know whether the child has read the files. Neither is it known
    # if the process ends before it answers, since it is then started again with the files that it finds.
    only_rereads = plan.rereads != () and fingerprint.files == before.files
    child.fingerprint = before.without_rereads() if only_rereads else before.without_files()
    process = child.process
    if child.state != "running" or process is None:
        raise MachineError(f"{child.plan.name} has ended meanwhile, and is started again; try the change once more")
    child.remember()
    try:
        answer = await post_reload(process, child.plan, child.shared.timings.ready)
        require_own(answer, process)
        refusal = "" if answer.is_success else read_refusal(answer)
    except (httpx.HTTPError, NotItsAnswerError) as error:
        another = isinstance(error, NotItsAnswerError)
        refusal = f"{error} in its place" if another else f"it does not answer ({type(error).__name__})"
        if not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            before = child.fingerprint  # the request may have arrived, so the child may still read the files
    if refusal:
        child.fingerprint = before
        child.remember()
        raise MachineError(f"{child.plan.name} refuses its new configuration: {refusal}")
    child.plan, child.fingerprint, child.taken = plan, fingerprint, taken
    child.remember()


async def take_back(child: Child, plan: ProcessPlan, fingerprint: Fingerprint, tasks: anyio.abc.TaskGroup) -> None:
    """Bring the child back to `plan` after a failed reload. Raises MachineError if it refuses that too, or does not
    start."""
    process = child.process
    if process is not None and child.state == "running":
        try:
            await reload(child, plan, fingerprint)
            return
        except MachineError:
            with anyio.move_on_after(child.shared.timings.status):
                await processes.wait_until_gone(process)
            if processes.is_alive(process):
                raise
    # It has ended meanwhile, and may have been started again with the files of the change.
    await child.stop("replace")
    child.plan, child.fingerprint = plan, fingerprint
    await child.start(tasks, persist=True)
