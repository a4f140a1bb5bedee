"""Makes a child take over a change of its files without a restart."""

import anyio

from lkhub.errors import MachineError
from lkhub.host import files, processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.supervise.child import Child
from lkhub.supervise.ready import NotItsAnswerError, require_own
from lkhub.wire.failure import FailureAnswer
from lkhub.wire.message import parse_message


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
        answer = await _post(process, child.plan, child.shared.timings.ready)
        require_own(answer, process)
        refusal = "" if answer.is_success else _read_refusal(answer)
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


def _read_refusal(answer: httpx.Response) -> str:
    """Why a process refuses its files. Never empty: an empty text would count as consent."""
    try:
        return parse_message(FailureAnswer, answer.content).error.message or "it gives no reason"
    except ValueError:
        return f"it answers with status {answer.status_code}, and its reason can't be read"


async def _post(process: ProcessId, plan: ProcessPlan, seconds: float) -> httpx.Response:
    """The process's answer. Raises httpx.HTTPError if there is none, or if the process ends first: its control socket
    stays open for the next process, so a connection would wait until that process is started."""
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
