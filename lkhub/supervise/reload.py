"""A child takes a change of its files over without a restart."""

import anyio

from lkhub.errors import MachineError
from lkhub.host import files, processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.supervise.child import Child
from lkhub.supervise.ready import NotItsAnswerError, require_own


def can_reload(child: Child, plan: ProcessPlan, fingerprint: Fingerprint) -> bool:
    """Whether the child becomes `plan` by reading its files again."""
    same_program = child.fingerprint.program == fingerprint.program and _start(child.plan) == _start(plan)
    return plan.reloads and same_program and child.state == "running" and not _is_in_its_own_way(child.plan, plan)


def _start(plan: ProcessPlan) -> tuple[object, ...]:
    """What a process is told when it starts and can't be told later, but for sockets: those that it is not given it
    opens itself."""
    return plan.argv, plan.health, plan.variables, plan.folder, plan.user


def _is_in_its_own_way(old: ProcessPlan, new: ProcessPlan) -> bool:
    """Whether `new` listens on a port everywhere that `old` has at one address, or the other way round: the process
    can't open the new socket before it has closed the old one."""
    return any(
        held.port == before.port and held.address != before.address and "" in (held.address, before.address)
        for held in new.listens
        for before in old.listens
    )


async def reload(child: Child, plan: ProcessPlan, fingerprint: Fingerprint) -> None:
    """Let the child read its files again and be `plan`; it interrupts nobody. MachineError, and nothing changed,
    where it refuses them."""
    before, taken = child.fingerprint, files.stamp(plan.watched)
    # Should this be the end of the supervisor, the next one does not know whether it happened. Nor do we, should
    # the process end before it answers, or have ended: it is started with the files that it finds by then.
    child.fingerprint = before.without_files()
    process = child.process
    if child.state != "running" or process is None:
        raise MachineError(f"{child.plan.name} has ended meanwhile, and is started again; try the change once more")
    child.remember()
    try:
        answer = await _post(process, child.plan, child.shared.timings.ready)
        require_own(answer, process)
        told = "" if answer.is_success else answer.json()["error"]["message"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        another = isinstance(error, NotItsAnswerError)
        told = f"{error} in its place" if another else f"it does not answer ({type(error).__name__})"
        unasked = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        if another or (isinstance(error, httpx.HTTPError) and not unasked):
            before = child.fingerprint  # it may have been asked, and may do it yet
    if told:
        child.fingerprint = before
        child.remember()
        raise MachineError(f"{child.plan.name} refuses its new configuration: {told}")
    child.plan, child.fingerprint, child.taken = plan, fingerprint, taken
    child.remember()


async def _post(process: ProcessId, plan: ProcessPlan, seconds: float) -> httpx.Response:
    """The process's answer. Raises httpx.HTTPError where there is none, also where the process ends first: its control
    socket stays open for the next process, and a connection to it would wait until that one is started."""
    answer: httpx.Response | httpx.HTTPError = httpx.ReadError("it has ended")

    async def end_with_it() -> None:
        await processes.wait_until_gone(process)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end_with_it)
        async with local_client(seconds, socket=plan.health.socket) as client:
            try:
                answer = await client.post("http://control/reload")
            except httpx.HTTPError as error:
                answer = error
        tasks.cancel_scope.cancel()
    if isinstance(answer, httpx.HTTPError):
        raise answer
    return answer


async def take_back(child: Child, plan: ProcessPlan, fingerprint: Fingerprint, tasks: anyio.abc.TaskGroup) -> None:
    """Have the child be `plan` again after a reload that failed. MachineError where it refuses that, too, or does not
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
    # It has ended meanwhile, and may be there again with the files of the change.
    await child.stop("replace")
    child.plan, child.fingerprint = plan, fingerprint
    await child.start(tasks, persist=True)
