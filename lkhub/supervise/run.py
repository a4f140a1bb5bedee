"""The supervisor's own process: its lock, its signals, and what it answers to other commands."""

import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread

from lkhub.errors import HubError, InputError, MachineError, describe_error, flatten, unpack_error
from lkhub.host.lock import hold_lock
from lkhub.host.processes import forget_variables
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub, prepare_hub
from lkhub.supervise.adopt import adopt
from lkhub.supervise.answering import Answering
from lkhub.supervise.control_server import Handler, Tell
from lkhub.supervise.guard import Guard
from lkhub.supervise.supervisor import Applied, Supervisor
from lkhub.supervise.watch import addresses, certificates, hanging, router
from lkhub.supervise.watch.addresses import Addresses
from lkhub.supervise.watch.certificates import Certificates
from lkhub.supervise.watch.hanging import Hanging
from lkhub.supervise.watch.home import Home
from lkhub.supervise.watch.router import Renewal

Say = Callable[[str], None]
Look = Callable[[], Awaitable[None]]

# How often a change that waits looks whether the hub is empty, and logs, records and the control socket are looked at.
TICK_SECONDS = 2.0

# Media and the relay remember the clients that they have seen for as long as they live; asking costs a few
# milliseconds.
OUTSIDE_SECONDS = 10.0

RUNS_ON = "what ran before runs on, without a supervisor, and calls go on"

# The processes answer in milliseconds. What one that hangs would have told is left out.
LOOK_SECONDS = 2.0


async def run_hub(
    hub: PreparedHub, say: Say, ready: Callable[[Supervisor, Applied | HubError], Awaitable[None]]
) -> None:
    """Run a hub until a signal or `lkhub down` ends it. `ready` is called once, with what applying did.

    Raises HubError where nothing comes up. Where an earlier hub was taken over and the change to it
    failed, that one runs on and `ready` gets the error instead.
    """
    paths, say = hub.plan.paths, calmly(say)
    with _unwrapped(), hold_lock(paths) as lock:
        async with _supervision(paths, say) as supervisor:
            await adopt(supervisor)
            try:
                outcome: Applied | HubError = await supervisor.apply(hub)
            except HubError as error:
                if not supervisor.children:
                    raise
                outcome = error
            guard, renewal = Guard(say), Renewal(paths, say)
            handlers = _handlers(supervisor, renewal, guard, lambda: home.look())
            answering = Answering(paths.control, handlers, supervisor.tasks, say)
            home = Home(lock, supervisor, answering, renewal.write_again)
            for what, look, seconds in (
                ("keep the state directory whole", home.look, TICK_SECONDS),
                ("see whether processes answer", Hanging(supervisor).look, hanging.LOOK_SECONDS),
                ("rotate logs", supervisor.rotate_logs, TICK_SECONDS),
                ("make the change that waits", supervisor.apply_pending, TICK_SECONDS),
                ("see who came from outside", supervisor.look_outside, OUTSIDE_SECONDS),
                ("see this machine's addresses", Addresses(supervisor).look, addresses.LOOK_SECONDS),
                ("see whether the certificate was replaced", Certificates(supervisor).look, certificates.LOOK_SECONDS),
                ("renew the router's port mappings", renewal.keep, router.LOOK_SECONDS),
            ):
                supervisor.tasks.start_soon(guard.watch, what, look, seconds)
            # From here on other commands are answered: to them a hub that is still starting is not there.
            await answering.look()
            supervisor.tasks.start_soon(guard.watch, "answer commands", answering.look, TICK_SECONDS)
            try:
                await ready(supervisor, outcome)
            except OSError as error:  # a full disk, or a reader that has gone: what is only told ends no call
                say(describe_error(error))
            await anyio.sleep_forever()
        if supervisor.gave_way_to:
            other = f"another supervisor (pid {supervisor.gave_way_to}) has this hub by now"
            raise MachineError(f"{other}, and this one has ended; calls go on", hints=("`lkhub status` shows it",))


def calmly(say: Say) -> Say:
    """A log on a full disk, or a terminal that is gone, must not end the hub."""

    def say_if_possible(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            say(text)

    return say_if_possible


@contextlib.contextmanager
def _unwrapped() -> Iterator[None]:
    """Let HubErrors leave a task group as one of them, not as members of a group. With a bug among them the group
    stays: none of it may be lost."""
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
        raise unpack_error({"message": message, "hints": hints, "exit_code": errors[0].exit_code}) from None


@contextlib.asynccontextmanager
async def _supervision(paths: StatePaths, say: Say) -> AsyncIterator[Supervisor]:
    """A supervisor with its helpers running. When the block is left, by an error or a signal, all is stopped; by an
    error what was taken over from an earlier supervisor is not, since it may carry a call."""
    async with anyio.create_task_group() as tasks:
        supervisor = Supervisor(paths, say, tasks)
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
            # Also after an orderly stop: a change that was under way may have started something since.
            with anyio.CancelScope(shield=True):
                await supervisor.stop("now")
            tasks.cancel_scope.cancel()


async def _serve_signals(
    supervisor: Supervisor, scope: anyio.CancelScope, say: Say, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """The first signal drains and stops, the second stops at once."""
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                if supervisor.stopping:
                    say("stopping now")
                    supervisor.stop_now()
                else:
                    say(_describe_stop(supervisor))
                    tasks.start_soon(_drain, supervisor, scope, say)


def _find_drain(supervisor: Supervisor) -> int:
    """How long a stop waits for calls; as text with its unit. Media as it runs decides, also where the change to it was
    refused."""
    media = supervisor.children.get("media")
    return media.plan.drain_limit if media else 0


def _describe_stop(supervisor: Supervisor) -> str:
    drain = _find_drain(supervisor)
    return f"stopping; people in a call may finish for up to {drain} (once more to stop now)" if drain else "stopping"


async def _drain(supervisor: Supervisor, scope: anyio.CancelScope, say: Say) -> None:
    try:
        await supervisor.stop("drain")
    except MachineError as error:
        say(f"not stopped: {error.message}")  # the next signal tries it again
        return
    scope.cancel()


def _handlers(supervisor: Supervisor, renewal: Renewal, guard: Guard, keep_home: Look) -> dict[str, Handler]:
    # Changes are made in the order in which they were asked for: what was asked for last is what stays.
    changing = anyio.Lock()

    async def status(_: Mapping[str, Any], __: Tell) -> Any:
        answer = {**supervisor.as_json(), "router": renewal.as_json(), "troubles": guard.as_json()}
        answer |= {"media": None, "edge": None, "relay": None}

        async def ask(name: str) -> None:
            answer[name] = await supervisor.ask(name)

        # A process that hangs must not keep `status` from saying so.
        with anyio.move_on_after(LOOK_SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervisor.look_outside)
                for name in ("media", "edge", "relay"):
                    tasks.start_soon(ask, name)
        return answer

    async def apply(request: Mapping[str, Any], tell: Tell) -> Any:
        if changing.locked():
            tell("another change is being made; waiting for its end")
        async with changing:
            try:
                await keep_home()  # else keys are made that nobody has, and everything restarts with them
            except MachineError as error:
                raise MachineError(f"{error.message}\nthe hub runs on as it is", hints=error.hints) from error
            # In a thread: name servers and a STUN server take seconds, and a process that dies meanwhile must be
            # started again at once. A hub that is stopped does not wait for them either.
            arguments = request["spec"], supervisor.paths.root, request["environ"]
            hub = await anyio.to_thread.run_sync(prepare_hub, *arguments, abandon_on_cancel=True)
            # This supervisor may have been started with a variable that the spec refers to only now.
            forget_variables(hub.environ)
            return asdict(await supervisor.apply(hub, now=request["now"]))

    async def restart(request: Mapping[str, Any], _: Tell) -> Any:
        name, names = request["name"], list(supervisor.children)
        # Only what says so ends every call. One that the command has just seen may have been taken out by a change.
        if name is not None:
            if name not in names:
                raise InputError(f"there is no process {name}", hints=(f"one of: {', '.join(names)}",))
            names = [name]
        return {"restarted": names, "people": await supervisor.restart(names)}

    async def stop(request: Mapping[str, Any], tell: Tell) -> Any:
        drain = _find_drain(supervisor)
        if request["drain"] and drain and (people := await supervisor.count_people()) != 0:
            who = "whoever is" if people is None else "1 person" if people == 1 else f"{people} people"
            tell(f"waiting up to {drain} for {who} in a call to finish (`lkhub down --now` does not wait)")
        await supervisor.stop("drain" if request["drain"] else "now")
        supervisor.tasks.cancel_scope.cancel()
        return {}

    return {"status": status, "apply": apply, "restart": restart, "stop": stop}
