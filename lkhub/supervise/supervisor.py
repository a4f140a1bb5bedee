"""Makes the running processes match a prepared hub, and keeps them running.

What survives the death of what: children are in sessions of their own and write to files, so they live
on when the supervisor is killed; the next one adopts them by the identities that it finds on disk.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc

from lkhub.errors import HubError, MachineError
from lkhub.host import files
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.state.applied import load_applied, write_applied
from lkhub.supervise.child import Child
from lkhub.supervise.crew import Crew, require_programs
from lkhub.supervise.doors import Doors
from lkhub.supervise.ending import Ending, order_ends
from lkhub.supervise.people import count_people, resume_relayed
from lkhub.supervise.record import CONFIGS
from lkhub.supervise.watch.logs import rotate_logs
from lkhub.supervise.watch.outside import Outside

# So long after media was another one, an empty hub may be one whose people are on their way back: the last of 60 was
# back after 22 s (measured).
REJOIN_SECONDS = 30.0


@dataclass(frozen=True)
class Applied:
    """What an apply did: the processes that it started, or the number of people it waits for (None: it
    could not ask, so it waits as well). `cut` people lost their connection for a moment; `reloaded` are processes
    that took their change over without a restart."""

    changed: tuple[str, ...]
    pending: bool = False
    people: int | None = 0
    cut: int = 0
    reloaded: tuple[str, ...] = ()


class Supervisor:
    """The processes of one hub."""

    def __init__(self, paths: StatePaths, say: Callable[[str], None], tasks: anyio.abc.TaskGroup) -> None:
        self.paths = paths
        self.say = say
        self.tasks = tasks
        self.current: PreparedHub | None = None
        self.pending: PreparedHub | None = None
        self.stopping = False
        self.gave_way_to = 0
        self.took_over = False
        self._leaves = False
        self.moved = ""
        self.lost: tuple[str, ...] | None = None
        self.doubt = ""
        self.crew = Crew(paths, say, tasks, self.returned)
        self.outside = Outside(paths, time.time)
        self._changing = anyio.Lock()
        self._rejoined_by = 0.0
        self._removed_at = 0.0
        self._without_log: set[ProcessId | None] = set()
        self._lost = ""
        self._unwritten = False
        self._waits: Mapping[str, Any] = {}

    @property
    def children(self) -> dict[str, Child]:
        """The processes, by their names."""
        return self.crew.children

    @property
    def doors(self) -> Doors:
        return self.crew.doors

    # --- what the operator asks for

    async def apply(self, wanted: PreparedHub, *, now: bool = False, instead_of: PreparedHub | None = None) -> Applied:
        """Make the processes match `wanted`. What did not change is not touched.

        A change that would interrupt a call waits until no one is in one, unless `now`. It takes the place of one that
        waits already, also where it is refused. With `instead_of` nothing is done unless that is still what is wanted.
        Where the new hub does not start, the old one is started again and MachineError says so.
        """
        async with self._changing:
            self._require_going_on()
            if instead_of is not None and self.wanted is not instead_of:
                return Applied(())
            try:
                return await self._apply(wanted, now=now)
            except Exception:
                if self.pending is not None and self.pending is not wanted:
                    self.say("the change that waited is dropped: a later one was tried since")
                self.pending = None
                raise

    async def restart(self, names: Iterable[str]) -> int | None:
        """Restart processes as they are; how many people were in a call (None: could not ask). MachineError where one
        does not start; it is tried again like one that crashed."""
        async with self._changing:
            self._require_going_on()
            children = [self.children[name] for name in names]
            require_programs(child.plan for child in children)
            people = await self.count_people() if any(child.plan.carries_calls for child in children) else 0
            if people != 0:
                self._expect_people()
            failures = await _stop_all((child, "replace") for child in children)
            try:
                await self.crew.start((child for child in children if child.state == "stopped"), persist=True)
            except MachineError as error:
                raise MachineError(
                    "\n".join([*failures, error.message]),
                    hints=("it is started again by itself, less and less often: `lkhub status`",),
                ) from error
            finally:
                for child in children:
                    if child.state == "running":
                        await self.returned(child)
            if failures:
                raise MachineError("\n".join(failures))
            return people

    async def take_files(self, name: str) -> None:
        """Let a process read its files again, as one that it watches was replaced. MachineError where it refuses."""
        async with self._changing:
            child = self.children.get(name)
            if child is not None and child.state == "running":
                await child.reload(child.plan, child.fingerprint)

    async def stop(self, how: Ending) -> None:
        """Stop everything, unless it is another supervisor's by now, or the next one's. MachineError where that did not
        succeed: what could not be ended runs on."""
        if self.gave_way_to or self._leaves:
            return
        self.stopping = True
        if failures := await _stop_all(order_ends(list(self.children.values()), lambda child: child.plan.name, how)):
            self.stopping = False
            raise MachineError("\n".join(failures), hints=("`lkhub down` tries it again",))
        self.doors.close_except(set())

    def give_way(self, pid: int) -> None:
        """End, and leave the processes to another supervisor, whose state directory this is by now."""
        self.say(f"another supervisor (pid {pid}) has this hub by now; this one ends, and leaves it the processes")
        self.gave_way_to, self.stopping = pid, True
        self.tasks.cancel_scope.cancel()

    def leave(self) -> None:
        """End, and leave the processes running for the next supervisor."""
        self._leaves = self.stopping = True

    def stop_now(self) -> None:
        """Cut a drain short."""
        for child in self.children.values():
            child.stop_now()

    # --- what goes on by itself

    async def rotate_logs(self) -> None:
        """Move what large logs say out of the way."""
        # In a thread: megabytes are copied, which takes long on a slow disk.
        await anyio.to_thread.run_sync(rotate_logs, [self.paths.log(name) for name in (*self.children, "hub")])

    async def write_missing(self) -> None:
        """Write what somebody has removed from the state directory or damaged there, or what could not be written.
        Raises MachineError where it still can't."""
        async with self._changing:
            for child in self.children.values():
                child.keep_record()
            current = self.current
            if current is None:
                return
            # This one is removed when people were told.
            kept = {path: text for path, text in current.files.items() if path != self.paths.root_change}
            self.crew.write({path: text for path, text in kept.items() if self._is_damaged(path, text)})
            if self._unwritten or not _is_readable(self.paths):
                write_applied(current)
                self._unwritten = False
            self.outside.write_missing()

    def notice_removal(self, at: float, lost: str) -> None:
        """The state directory was removed; `lost` is what can't be written again, besides what is always lost."""
        self._removed_at, self._lost = at, lost
        self._without_log = {child.process for child in self.children.values()}

    async def apply_pending(self) -> None:
        """Make the change that waits, if there is one and nobody is in a call."""
        if self.pending is None:
            return
        async with self._changing:
            waiting, before = self.pending, self.current
            if waiting is None or self.stopping:
                return
            try:
                applied = await self._apply(waiting)
            except HubError as error:
                self.pending = None
                self.say(f"the change that waited failed: {error.message}")
                return
        if not applied.pending:
            self.say(f"the change that waited is in force: {', '.join(applied.changed)} restarted")
            self.tell_notes(before)

    async def look_outside(self) -> None:
        """Bring the record of who has used which path up to date."""
        await self.outside.look(self.children)

    async def ask(self, name: str) -> Any:
        """What a process of the engine says of itself; None where there is none, or it does not say."""
        child = self.children.get(name)
        return await child.ask_status() if child and child.state == "running" and child.plan.ready.socket else None

    def notice_move(self, what: str, lost: tuple[str, ...] | None = None) -> None:
        """Keep for `status` that this machine's address is not the one that clients are told; "" that it is. `lost`:
        it has none, and what to do about that."""
        if what and what != self.moved:
            self.say(what)
        self.moved, self.lost = what, lost

    def tell_notes(self, before: PreparedHub | None) -> None:
        """Say what came with the change from `before` to what is in force, such as a new root that every device has to
        trust."""
        notes = self.current.plan.notes if self.current else ()
        for note in notes:
            if before is None or note not in before.plan.notes:
                self.say(note)

    def notice_doubt(self, what: str) -> None:
        """Say once why this machine's address can't be compared; "" that it can."""
        if what and what != self.doubt:
            self.say(what)
        self.doubt = what

    @property
    def wanted(self) -> PreparedHub | None:
        """What the operator wants: the change that waits, else what is in force."""
        return self.pending or self.current

    def as_json(self) -> dict[str, Any]:
        """Processes and pending change, for `status`."""
        wanted = self.wanted
        return {
            "processes": [child.as_json() for child in self.children.values()],
            "failures": {child.plan.name: child.last_failure for child in self.children.values()},
            "removed": self._describe_removal(),
            "refused": {child.plan.name: child.refused for child in self.children.values() if child.refused},
            "unrecorded": {child.plan.name: child.unrecorded for child in self.children.values() if child.unrecorded},
            "hangs": {child.plan.name: child.hangs for child in self.children.values() if child.hangs},
            "stopped": [child.plan.name for child in self.children.values() if child.stopped],
            "pending": self.pending is not None,
            "waits": self._waits if self.pending else None,
            "moved": self.moved,
            "lost": self.lost,
            "spec": wanted.spec if wanted else None,
            "digest": files.digest(wanted.raw) if wanted else None,
            "pid": os.getpid(),
        }

    # --- how

    def _is_damaged(self, path: str, text: str) -> bool:
        """Whether a file is gone or empty, as after a crash of the machine. What is rendered is not edited: a process
        that ends would be started with it."""
        try:
            found = files.read_text(path)
        except MachineError:
            return True
        return found is None or (not found and text != "") or (path.startswith(self.paths.rendered) and found != text)

    def _describe_removal(self) -> Mapping[str, Any] | None:
        """When the state directory was removed, and which processes have written since to a log that is gone."""
        names = [child.plan.name for child in self.children.values() if child.process in self._without_log]
        return {"at": self._removed_at, "logs": names, "lost": self._lost} if names else None

    async def _apply(self, wanted: PreparedHub, *, now: bool = False) -> Applied:
        differ = self._find_changed(wanted)
        reloaded = [name for name in differ if self._can_reload(name, wanted)]
        changed = [name for name in differ if name not in reloaded]
        gone = [name for name in self.children if name not in wanted.fingerprints]
        if not differ and not gone:
            # They are as they were, unless somebody removed or changed one.
            self.crew.write(wanted.files)
            self._record(wanted)
            return Applied(())
        people: int | None = 0
        if any(self._carries_calls(name) for name in [*changed, *gone]):
            people = await self.count_people()
            if people != 0 and not now:
                self.pending, self._waits = wanted, {"restarts": [*changed, *gone], "people": people}
                return Applied((*changed, *gone), pending=True, people=people)
            if people != 0:
                self._expect_people()
        relay_before = self._read_relay() if "relay" in self.children and "relay" in (*changed, *gone) else None
        await self.crew.replace(wanted, changed, gone, reloaded)
        self._record(wanted)
        await self._resume_relayed(relay_before)
        return Applied((*changed, *gone), cut=people or 0, reloaded=tuple(reloaded))

    def _find_changed(self, wanted: PreparedHub) -> list[str]:
        def is_same(name: str) -> bool:
            child = self.children.get(name)
            return child is not None and child.state == "running" and child.fingerprint == wanted.fingerprints[name]

        return [process.name for process in wanted.plan.processes if not is_same(process.name)]

    def _can_reload(self, name: str, wanted: PreparedHub) -> bool:
        plan = next(process for process in wanted.plan.processes if process.name == name)
        return name in self.children and self.children[name].can_reload(plan, wanted.fingerprints[name])

    def _carries_calls(self, name: str) -> bool:
        child = self.children.get(name)
        return child is not None and child.plan.carries_calls

    async def returned(self, child: Child) -> None:
        """A process is there again, and knows nothing of whom the one before knew."""
        if child.plan.name == "media":
            self._expect_people()
        if child.plan.name == "relay":
            await self._resume_relayed(self._read_relay())

    def _expect_people(self) -> None:
        """People were cut off, and their clients are about to be back."""
        self._rejoined_by = time.monotonic() + REJOIN_SECONDS

    def _require_going_on(self) -> None:
        if self.stopping:
            raise MachineError("the hub is stopping", hints=("`lkhub up` starts it again once it is down",))

    def _read_relay(self) -> str | None:
        with contextlib.suppress(MachineError):
            return files.read_text(self.paths.render(CONFIGS["relay"]))
        return None

    async def _resume_relayed(self, relay_json: str | None) -> None:
        """Tell the clients of a relay that is gone. Those of media, the edge and serve lose a connection by that and
        open it again; these would wait for ICE to give up the path."""
        media = self.children.get("media")
        if not relay_json or media is None or media.state != "running" or not media.plan.ready.socket:
            return
        try:
            if told := await resume_relayed(media.plan.ready.socket, relay_json):
                self.say(f"the relay is another one: {told} of its clients were told to connect again")
        except MachineError as error:
            self.say(error.message)

    async def count_people(self) -> int | None:
        """How many are in a call; None where media can't be asked."""
        media = self.children.get("media")
        if media is None or media.process is None or media.state != "running":
            return 0
        # Not by the record of what is in force: one that is lost says nothing of whom a change would cut off.
        people = await count_people(media.plan.ready, media.process, self.paths.keys)
        return None if people == 0 and time.monotonic() < self._rejoined_by else people

    def _record(self, wanted: PreparedHub) -> None:
        self.current, self.pending, self.moved = wanted, None, ""
        for process in wanted.plan.processes:
            # How long it drains is no part of the fingerprint, and of one that was taken over by its mark the plan knew
            # less.
            if self.children[process.name].fingerprint == wanted.fingerprints[process.name]:
                self.children[process.name].follow(process)
        try:
            # A secret that the spec no longer has must not stay behind.
            files.remove_others(self.paths.rendered, wanted.files)
        except MachineError as error:
            self.say(error.message)
        try:
            write_applied(wanted)
        except MachineError as error:
            # It is in force all the same.
            self._unwritten = True
            self.say(f"{error.message}; commands tell of the hub as it was until it can be")
        self.outside.follow(wanted.plan)


async def _stop_all(children: Iterable[tuple[Child, Ending]]) -> list[str]:
    """End each of them; why some of them could not be."""
    failures = []
    for child, ending in children:
        try:
            await child.stop(ending)
        except MachineError as error:
            failures.append(error.message)
    return failures


def _is_readable(paths: StatePaths) -> bool:
    """Whether commands find what is in force."""
    with contextlib.suppress(MachineError):
        return load_applied(paths) is not None
    return False
