"""Makes the running processes match a prepared hub, and keeps them running.

Children are in sessions of their own and write to files, so they live on when the supervisor is killed. The next
supervisor adopts them by their records and marks.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

import anyio
import anyio.abc
import anyio.to_thread
from msgspec import structs

from lkhub.errors import HubError, MachineError, describe_error
from lkhub.host.given import give_projects, tell_end, tell_start
from lkhub.host.keyfile import Keys
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan, list_only_through
from lkhub.prepare.hub import PreparedHub, prepare_again
from lkhub.prepare.ring import read_keys, replace_keys, write_ring
from lkhub.supervise.calls import Calls
from lkhub.supervise.change import Change
from lkhub.supervise.child import Child
from lkhub.supervise.ending import Ending, order_ends
from lkhub.supervise.fleet import Differences, Fleet
from lkhub.supervise.in_force import InForce
from lkhub.supervise.key_change import KeyChange
from lkhub.supervise.pending import Pending
from lkhub.supervise.predecessors import Predecessor
from lkhub.supervise.reload import reload
from lkhub.supervise.shared import Say, Shared
from lkhub.supervise.spawn import require_program
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.control import KeysChanged, Outcome, Restarted


class Supervisor:
    """The processes of one hub."""

    def __init__(self, paths: StatePaths, say: Say, tasks: anyio.abc.TaskGroup, timings: Timings = USUAL) -> None:
        self.paths = paths
        self.say = say
        self.tasks = tasks
        self.shared = Shared(paths, say, self._notice_return, timings=timings)
        self.fleet = Fleet(self.shared, tasks)
        self.calls = Calls(self.fleet)
        self.in_force = InForce(self.fleet)
        self.fleet.retired.heard.append(self.in_force.remove_agents)
        self.pending: Pending | None = None
        # Called before a process that knows the participants is ended because another takes its place.
        self.before_replacing: list[Callable[[], Awaitable[None]]] = []
        self.gave_way_to = 0
        self.took_over = False
        self.left_for_next = False
        self._leaves = False
        self.hurries = False
        self._changing = anyio.Lock()

    @property
    def stopping(self) -> bool:
        return self.fleet.stopping

    @property
    def children(self) -> dict[str, Child]:
        """The processes, by their names."""
        return self.fleet.children

    @property
    def wanted(self) -> PreparedHub | None:
        """What the operator wants: the pending change, otherwise the hub in force."""
        return self.pending.hub if self.pending else self.in_force.hub

    # --- what the operator asks for

    async def apply(self, wanted: PreparedHub, *, now: bool = False, instead_of: PreparedHub | None = None) -> Outcome:
        """Make the processes match `wanted`. Processes that do not change are not touched.

        A change that would interrupt a call waits until no participant is in a room, unless `now` is set. Each call
        drops the pending change, even if the new one is refused. With `instead_of`, nothing is done unless that hub is
        still the wanted one. If the new hub does not start, the old one is started again and MachineError says so.
        """
        async with self._changing:
            self.fleet.require_going_on()
            if instead_of is not None and self.wanted is not instead_of:
                return Outcome(())
            try:
                return await self._apply(wanted, now=now)
            except Exception:
                if self.pending is not None and self.pending.hub is not wanted:
                    self.say("the change that waited is dropped: a later one was tried since")
                self.pending = None
                raise

    async def restart(self, names: Iterable[str]) -> Restarted:
        """Restart processes without a change. Raises MachineError if one does not start; it is then tried again like a
        process that crashed."""
        async with self._changing:
            self.fleet.require_going_on()
            children = [self.children[name] for name in names]
            plans = [child.plan for child in children]
            for plan in plans:
                require_program(plan)
            people = await self.calls.count() if any(plan.carries_calls for plan in plans) else 0
            if people != 0:
                self.calls.expect_back()
            await self._announce(plans)
            failures = await self.fleet.stop((child, "replace") for child in children)
            try:
                await self.fleet.start((child for child in children if child.state == "stopped"), persist=True)
            except MachineError as error:
                self.fleet.require_going_on()
                raise MachineError(
                    "\n".join([*failures, error.message]),
                    hints=("it is started again by itself, less and less often: `lkhub status`",),
                ) from error
            finally:
                for child in children:
                    if child.state == "running":
                        await self.shared.returned(child.plan)
            if failures:
                raise MachineError("\n".join(failures))
            return Restarted(tuple(plan.name for plan in plans), people, list_only_through(plans))

    async def take_keys(self, change: Callable[[Keys], Keys], *, now: bool = False) -> KeysChanged:
        """Replace the keys that lkhub generated by what `change` makes of them. Processes that read their keys again
        are not restarted. A livekit-server of the operator's is: that waits until no participant is in a room, unless
        `now` is set. Raises HubError if the keys stay as they are."""
        async with self._changing:
            self.fleet.require_going_on()
            restarts = any(self.paths.keys in child.plan.files for child in self.children.values())
            hub = self.wanted if restarts else self.in_force.hub
            if hub is None:
                if self.pending is None:
                    raise MachineError("no spec is in force yet", hints=("`lkhub up` tries it again",))
                # The processes were taken over, and may have been made from another spec.
                waits = "the keys stay as they are until the change is made that waits for the end of the calls"
                raise MachineError(waits, hints=("`lkhub status` says what makes it at once, and then this works",))
            before = read_keys(hub)
            keys = change(before)
            outcome = Outcome(())
            if restarts:
                outcome = await self._restart_with(hub, before, keys, now=now)
            else:
                self.in_force.hub = await KeyChange(self.fleet, hub, keys).make()
                await self._renew_retiring(self.in_force.hub)
                if self.pending is not None:
                    self.pending = Pending(replace_keys(self.pending.hub, keys), self.pending.change)
            current, *retiring = keys
            return KeysChanged(current, tuple(retiring), outcome.pending, outcome.people, outcome.cut)

    async def _restart_with(self, hub: PreparedHub, before: Keys, keys: Keys, *, now: bool) -> Outcome:
        write_ring(self.paths, before, keys)
        try:
            # Its livekit.yaml may name a key too.
            wanted = await anyio.to_thread.run_sync(prepare_again, hub, abandon_on_cancel=True)
            return await self._apply(wanted, now=now)
        except HubError:
            write_ring(self.paths, keys, before)
            raise

    async def take_files(self, name: str) -> None:
        """Make a process read its files again after a watched file was replaced. Raises MachineError if it refuses."""
        async with self._changing:
            child = self.children.get(name)
            if child is not None and child.state == "running":
                await reload(child, child.plan, child.fingerprint)

    async def stop(self, how: Ending) -> None:
        """Stop all processes, unless another supervisor has them or the next one is to get them. Raises MachineError if
        some could not be ended; they run on."""
        if self.gave_way_to or self._leaves:
            return
        self.fleet.stopping = True
        failures: list[str] = []
        async with anyio.create_task_group() as tasks:
            # Calls of predecessors get as much time as the others, and the relay and the edge stay meanwhile.
            tasks.start_soon(self.fleet.predecessors.end, "now" if self.hurries else how, failures)
            failures += await self.fleet.stop(self._order_ends(how, hand_over=True))
        failures += await self.fleet.stop(self._order_ends(how, hand_over=False))
        await self.fleet.retired.end()
        if failures:
            self.fleet.stopping = self.hurries = False
            raise MachineError("\n".join(failures), hints=("`lkhub down` tries it again",))
        self.shared.held.close_except(set())
        if given := [agent for agent in (self.in_force.hub.plan.agents if self.in_force.hub else ()) if agent.given]:
            tell_end(given)

    def give_way(self, pid: int) -> None:
        """End, and leave the processes to another supervisor that holds the state directory by now."""
        self.say(f"another supervisor (pid {pid}) has this hub by now; this one ends, and leaves it the processes")
        self.gave_way_to, self.fleet.stopping = pid, True
        self.tasks.cancel_scope.cancel()

    def leave(self) -> None:
        """End, and leave the processes running for the next supervisor."""
        self._leaves = self.fleet.stopping = True

    def stop_now(self) -> None:
        """End every drain at once, also those that have not begun."""
        self.hurries = True
        self.fleet.predecessors.stop_now()
        for child in self.children.values():
            child.stop_now()

    # --- what goes on by itself

    async def write_missing(self) -> None:
        """Write again the files that were removed from the state directory, were damaged there or could not be written.
        Raises MachineError if they still can't be written."""
        async with self._changing:
            for child in self.children.values():
                child.keep_record()
            self.in_force.write_missing()

    async def apply_pending(self) -> None:
        """Make the pending change, if there is one and no participant is in a room."""
        if self.pending is None:
            return
        async with self._changing:
            pending, before = self.pending, self.in_force.hub
            if pending is None or self.fleet.stopping:
                return
            try:
                outcome = await self._apply(pending.hub)
            except HubError as error:
                self.pending = None
                self.say(f"the change that waited failed: {error.message}")
                return
        if not outcome.pending:
            made = outcome.describe_made()
            self.say(f"the change that waited is in force{f': {made}' if made else ''}")
            for line in outcome.describe_uncut():
                self.say(line)
            self.in_force.tell_notes(before)

    async def _notice_return(self, plan: ProcessPlan) -> None:
        await self.calls.notice_return(plan)

    # --- how

    def _order_ends(self, how: Ending, *, hand_over: bool) -> Iterator[tuple[Child, Ending]]:
        children = [child for child in self.children.values() if (child.plan.handover is not None) == hand_over]
        for child, ending in order_ends(children, lambda child: child.plan, how):
            yield child, "now" if self.hurries else ending

    async def _apply(self, wanted: PreparedHub, *, now: bool = False) -> Outcome:
        asked = wanted
        wanted = self.fleet.choose(asked)
        self.in_force.keep_edited(wanted)
        if given := [agent for agent in wanted.plan.agents if agent.given]:
            tell_start(given)
            # In a thread: a project may have a gigabyte.
            await anyio.to_thread.run_sync(give_projects, given)
        differences = self.fleet.compare(wanted)
        if differences == Differences():
            # The files may have been removed or edited meanwhile.
            self.fleet.write(wanted.files)
            self._put_in_force(wanted)
            return Outcome(())
        replaced, new, gone = differences.replaced, self._list_new(differences), differences.gone
        # One that is down has no calls, and one beside which it ran may have some for hours.
        up = [name for name in differences.ended if name in self.children and self.children[name].process]
        plans = self.fleet.list_plans(up)
        in_the_way = self._find_in_the_way(wanted, differences)
        people: int | None = 0
        if any(plan.carries_calls for plan in plans):
            people = await self.calls.count()
            if people != 0 and not now:
                return await self._wait_for_calls(asked, wanted, differences, people)
        elif in_the_way:
            people = await self.calls.count_of([(each.plan, each.process) for each in in_the_way])
        if in_the_way and not now:
            retired = tuple(each.process.pid for each in in_the_way)
            return self._wait(
                asked, Outcome(replaced, pending=True, people=people, retired=retired, new=new, gone=gone)
            )
        plans += tuple(each.plan for each in in_the_way)
        if people != 0:
            self.calls.expect_back()
        resumed = self.calls.read_resumed(differences.ended)
        await self._announce(plans)
        await Change(self.fleet, wanted, differences, in_the_way).make()
        self._put_in_force(wanted)
        await self.calls.resume(resumed)
        only_through = list_only_through(plans) if people else ()
        return Outcome(
            replaced,
            cut=people or 0,
            reloaded=differences.reloaded,
            only_through=only_through,
            beside=differences.beside,
            new=new,
            gone=gone,
        )

    async def _wait_for_calls(
        self, asked: PreparedHub, wanted: PreparedHub, differences: Differences, people: int | None
    ) -> Outcome:
        """Let a change wait that would interrupt calls. What of it interrupts none is made at once, where the rest are
        processes that only get another program."""
        split = self.fleet.split(wanted, differences)
        if split is None or self._find_in_the_way(wanted, split[0]):
            only_through = list_only_through(self.fleet.list_plans(differences.ended))
            return self._wait(
                asked,
                Outcome(
                    differences.replaced,
                    pending=True,
                    people=people,
                    only_through=only_through,
                    new=self._list_new(differences),
                    gone=differences.gone,
                ),
            )
        first, later = split
        new = self._list_new(first)
        if first != Differences():
            await Change(self.fleet, wanted, first).make()
        if self.in_force.hub is None or self.in_force.hub.fingerprints != wanted.fingerprints:
            self._put_in_force(wanted, but=later)
        only_through = list_only_through(self.fleet.list_plans(later))
        return self._wait(
            asked,
            Outcome(
                (*first.replaced, *later),
                pending=True,
                people=people,
                reloaded=first.reloaded,
                only_through=only_through,
                beside=first.beside,
                later=later,
                new=new,
                gone=first.gone,
            ),
        )

    def _wait(self, asked: PreparedHub, outcome: Outcome) -> Outcome:
        spec, in_force = asked.spec, self.in_force.hub
        if in_force:
            spec = None if in_force.spec == spec else spec or ""
        self.pending = Pending(asked, structs.replace(outcome.waiting, spec=spec))
        return outcome

    def _list_new(self, differences: Differences) -> tuple[str, ...]:
        """The processes that the change starts in the place of none."""
        return tuple(name for name in differences.changed if name not in self.children)

    def _find_in_the_way(self, wanted: PreparedHub, differences: Differences) -> list[Predecessor]:
        """The processes of an earlier change that still have their calls, on the ports of what starts now."""
        starts = [each for each in wanted.plan.processes if each.name in differences.changed]
        return [found for each in starts if (found := self.fleet.predecessors.find_in_the_way(each))]

    async def _renew_retiring(self, hub: PreparedHub) -> None:
        """Start those processes anew that have a key in their environment. No call ends by that."""
        changed = self.fleet.compare(hub).changed
        if retiring := tuple(plan.name for plan in self.fleet.list_plans(changed) if plan.retires is not None):
            try:
                await Change(self.fleet, hub, Differences(retiring)).make()
            except Exception as error:  # the keys are others by now, and the earlier one goes on until it is revoked
                self.say(f"{', '.join(retiring)} could not be started with the new key: {describe_error(error)}")

    async def _announce(self, replaced: Iterable[ProcessPlan]) -> None:
        if any(plan.knows_participants for plan in replaced):
            for note in self.before_replacing:
                await note()

    def _put_in_force(self, wanted: PreparedHub, but: Collection[str] = ()) -> None:
        self.pending = None
        self.in_force.become(wanted, but)
        self.fleet.retired.tell_others(tuple(self.fleet.children))
        self.tasks.start_soon(self.in_force.remove_agents)
