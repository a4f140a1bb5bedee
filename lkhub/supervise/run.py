"""The supervisor's own process: its lock, its signals, and its answers to other commands."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread

from lkhub.errors import START, HubError, InputError, MachineError, describe_error, flatten
from lkhub.host.files import read_input, read_text
from lkhub.host.keyfile import Keys, revoke_key
from lkhub.host.lock import hold_lock
from lkhub.host.processes import forget_variables
from lkhub.host.service_manager import tell_manager
from lkhub.host.state_directory import remove_half_written
from lkhub.plan.paths import BACKED_UP, StatePaths
from lkhub.prepare.hub import PreparedHub, prepare_again, prepare_hub
from lkhub.prepare.secrets import rotate_keys
from lkhub.state.restore import require_restored
from lkhub.supervise.adopt import adopt
from lkhub.supervise.answering import Answering
from lkhub.supervise.control_server import Handler, Handlers, Tell
from lkhub.supervise.report import report_hub
from lkhub.supervise.shared import Say
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.timings import USUAL, Timings
from lkhub.supervise.watch.watchers import Watchers
from lkhub.wire.control import (
    ApplyRequest,
    HubReport,
    KeysChanged,
    LeaveRequest,
    Outcome,
    Restarted,
    RestartRequest,
    RevokeKeyRequest,
    RotateKeysRequest,
    StatusRequest,
    Stopped,
    StopRequest,
)
from lkhub.wire.exchange import Request
from lkhub.wire.failure import Failure

RUNS_ON = "what ran before runs on, without a supervisor, and calls go on"


async def run_hub(
    hub: PreparedHub,
    say: Say,
    ready: Callable[[Supervisor, Outcome | HubError], Awaitable[None]],
    timings: Timings = USUAL,
) -> None:
    """Run a hub until a signal or `lkhub down` ends it. `ready` is called once, with the outcome of the first apply. A
    hub that is stopped before that ends without it.

    Raises HubError if the hub does not start. If the processes of an earlier supervisor were taken over and the change
    to them failed, they run on and `ready` gets the error instead.
    """
    paths, say = hub.plan.paths, calmly(say)
    with _unwrapped(), hold_lock(paths, timings.lock) as lock:
        require_restored(paths)
        remove_half_written(paths.root)
        hub = _follow_state(hub)
        async with _supervision(paths, say, timings) as supervisor:
            supervisor.shared.use_environ(hub.environ)
            await adopt(supervisor, (*hub.plan.processes, *hub.plan.spare))
            handlers: dict[type[Request[Any]], Handler] = {}
            answering = Answering(paths.control, handlers, supervisor.tasks, say, timings)
            watchers = Watchers(supervisor, lock, answering)
            handlers |= _make_handlers(supervisor, watchers)
            try:
                outcome: Outcome | HubError = await supervisor.apply(hub)
            except HubError as error:
                if not (supervisor.children or supervisor.stopping):
                    raise
                outcome = error
            watchers.start()
            # Only now are other commands answered: a hub that is still starting gives them no answer.
            await answering.look()
            try:
                if not supervisor.stopping:
                    await ready(supervisor, outcome)
            except OSError as error:  # a full disk or a closed pipe: a failed message must not end a call
                say(f"can't report on the start of the hub: {describe_error(error)}")
            await anyio.sleep_forever()
        if supervisor.left_for_next:
            # Not a success: a service manager starts the next one then.
            raise MachineError("this supervisor has left its processes to the next one, and calls go on")
        if supervisor.gave_way_to:
            other = f"another supervisor (pid {supervisor.gave_way_to}) has this hub by now"
            raise MachineError(f"{other}, and this one has ended; calls go on", hints=("`lkhub status` shows it",))


def _follow_state(hub: PreparedHub) -> PreparedHub:
    """The hub as it is prepared now where another command has changed its state since it was: `lkhub keys` its keys, or
    `lkhub restore` all of it. The start would write the earlier files over it. Raises MachineError where the spec has
    changed too, or may have."""
    root = hub.plan.paths.root
    kept = {path: text for path, text in hub.files.items() if os.path.relpath(path, root).split("/")[0] in BACKED_UP}
    is_same = all(read_text(path) in (None, text) for path, text in kept.items())
    # A restore may have put the first spec where there was none.
    if read_input(hub.spec) != hub.raw if hub.spec else not is_same:
        raise MachineError("the spec has changed since this start has read it", hints=(START,))
    return hub if is_same else prepare_again(hub)


def calmly(say: Say) -> Say:
    """`say`, but a full disk or a closed terminal does not end the hub."""

    def say_if_possible(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            say(text)

    return say_if_possible


@contextlib.contextmanager
def _unwrapped() -> Iterator[None]:
    """Turn an exception group of HubErrors into one HubError. A group with any other exception stays as it is, so that
    no trace of a bug is lost."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors, rest = flatten(group)
        if rest or not errors:
            raise
        if len(errors) == 1:
            raise errors[0] from None
        message = "\n".join(dict.fromkeys(error.message for error in errors))
        hints = tuple(dict.fromkeys(hint for error in errors for hint in error.hints))
        raise Failure(message, hints, errors[0].exit_code).as_error() from None


@contextlib.asynccontextmanager
async def _supervision(paths: StatePaths, say: Say, timings: Timings) -> AsyncIterator[Supervisor]:
    """A supervisor that handles signals. When the block ends, by an error or a signal, all processes are stopped. After
    an error, processes taken over from an earlier supervisor run on, since they may carry a call."""
    async with anyio.create_task_group() as tasks:
        supervisor = Supervisor(paths, say, tasks, timings)
        await tasks.start(_serve_signals, supervisor, tasks.cancel_scope, say)
        try:
            yield supervisor
        except Exception as error:
            if not (supervisor.took_over and supervisor.children):
                raise
            supervisor.leave()
            if not isinstance(error, HubError):
                say(RUNS_ON)
                raise
            raise type(error)(f"{error.message}\n{RUNS_ON}", hints=error.hints) from error
        finally:
            # Also after an orderly stop: a change in progress may have started a process since.
            with anyio.CancelScope(shield=True):
                await supervisor.stop("now")
            tasks.cancel_scope.cancel()


def _list_signals() -> Iterator[signal.Signals]:
    """The signals that stop the hub. What nohup has started goes on when its terminal is closed."""
    yield from (signal.SIGINT, signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        yield signal.SIGHUP


async def _serve_signals(
    supervisor: Supervisor, scope: anyio.CancelScope, say: Say, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """The first signal drains and stops, the second stops at once."""
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(*_list_signals()) as signals:
            task_status.started()
            async for _ in signals:
                if supervisor.stopping:
                    say("stopping now")
                    supervisor.stop_now()
                else:
                    text = _describe_stop(supervisor)
                    say(text)
                    tell_manager(STATUS=text)
                    tasks.start_soon(_drain, supervisor, scope, say)


def _find_drain(supervisor: Supervisor) -> int:
    """How long a stop waits for calls; its text has a unit. It follows from the running processes, also after a change
    that was refused."""
    limits = [child.plan.drain_limit for child in supervisor.children.values()]
    return max(limits, default=0)


def _describe_stop(supervisor: Supervisor) -> str:
    drain = _find_drain(supervisor)
    return f"stopping; people in a call may finish for up to {drain} (once more to stop now)" if drain else "stopping"


async def _drain(supervisor: Supervisor, scope: anyio.CancelScope, say: Say) -> None:
    try:
        await supervisor.stop("drain")
    except MachineError as error:
        say(f"not stopped: {error.message}")  # the next signal tries again
        return
    scope.cancel()


def _make_handlers(supervisor: Supervisor, watchers: Watchers) -> Handlers:
    # Changes are made in the order of the requests, so the last request decides what is in force.
    changing = anyio.Lock()

    async def status(request: StatusRequest, _: Tell) -> HubReport:
        # A process that hangs must not keep `status` from saying so.
        with anyio.move_on_after(supervisor.shared.timings.status):
            await watchers.look_for_status(request.max_age)
        return report_hub(supervisor, watchers)

    async def apply(request: ApplyRequest, tell: Tell) -> Outcome:
        if changing.locked():
            tell("another change is being made; waiting for its end")
        async with changing:
            try:
                # A missing key file would be made anew, with keys that no application has, and restart all processes.
                await watchers.state_directory.look()
            except MachineError as error:
                raise MachineError(f"{error.message}\nthe hub runs on as it is", hints=error.hints) from error
            # In a thread: name servers and a STUN server may take seconds, and a process that dies meanwhile must be
            # started again at once. A stop does not wait for the thread either.
            arguments = request.spec, supervisor.paths.root, request.environ
            hub = await anyio.to_thread.run_sync(prepare_hub, *arguments, abandon_on_cancel=True)
            # This supervisor may have been started with a variable that the spec refers to only now.
            forget_variables(hub.environ)
            return await supervisor.apply(hub, now=request.now)

    async def change_keys(change: Callable[[Keys], Keys], *, now: bool) -> KeysChanged:
        async with changing:
            await watchers.state_directory.look()  # as before an apply
            return await supervisor.take_keys(change, now=now)

    async def rotate(request: RotateKeysRequest, _: Tell) -> KeysChanged:
        return await change_keys(rotate_keys, now=request.now)

    async def revoke(request: RevokeKeyRequest, _: Tell) -> KeysChanged:
        return await change_keys(lambda keys: revoke_key(keys, request.key), now=request.now)

    async def restart(request: RestartRequest, _: Tell) -> Restarted:
        name, names = request.name, list(supervisor.children)
        # A name that a change has just removed is an error: only a request without a name restarts everything.
        if name is not None:
            if name not in names:
                raise InputError(f"there is no process {name}", hints=(f"one of: {', '.join(names)}",))
            names = [name]
        return await supervisor.restart(names)

    async def stop(request: StopRequest, tell: Tell) -> Stopped:
        drain = _find_drain(supervisor)
        if request.drain and drain and (people := await supervisor.calls.count()) != 0:
            who = "whoever is" if people is None else "1 person" if people == 1 else f"{people} people"
            tell(f"waiting up to {drain} for {who} in a call to finish (`lkhub down --now` does not wait)")
        await supervisor.stop("drain" if request.drain else "now")
        supervisor.tasks.cancel_scope.cancel()
        return Stopped()

    async def leave(_: LeaveRequest, __: Tell) -> Stopped:
        async with changing:
            supervisor.left_for_next = True
            supervisor.leave()
        supervisor.tasks.cancel_scope.cancel()
        return Stopped()

    return {
        StatusRequest: status,
        ApplyRequest: apply,
        RotateKeysRequest: rotate,
        RevokeKeyRequest: revoke,
        RestartRequest: restart,
        StopRequest: stop,
        LeaveRequest: leave,
    }
