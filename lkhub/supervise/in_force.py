"""The prepared hub that is in force, and its files."""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import anyio.to_thread

from lkhub.errors import MachineError, describe_error
from lkhub.host import agent_home, files
from lkhub.host.given import remove_given
from lkhub.plan.model import Plan
from lkhub.plan.paths import is_edited
from lkhub.prepare.hub import PreparedHub
from lkhub.state.applied import load_applied, write_applied
from lkhub.state.describe import describe_applied
from lkhub.supervise.edited import digest_rendered, keep_edited
from lkhub.supervise.fleet import Fleet


class InForce:
    """`hub` is what the running processes were made from, None before the first change. Each function in `heard` is
    called with every plan that comes into force."""

    def __init__(self, fleet: Fleet) -> None:
        self.hub: PreparedHub | None = None
        self.heard: list[Callable[[Plan], None]] = []
        self._fleet = fleet
        self._paths = fleet.shared.paths
        self._say = fleet.shared.say
        self._unwritten = False

    def become(self, wanted: PreparedHub, but: Collection[str] = ()) -> None:
        """`wanted` is in force from now on, but for the programs of the processes `but`, which wait."""
        self.hub = wanted
        self._fleet.shared.use_environ(wanted.environ)
        for process in (each for each in wanted.plan.processes if each.name not in but):
            # Roles are no part of the fingerprint, and the mark of a process that was taken over may lack some.
            self._fleet.children[process.name].follow(process)
        self._fleet.predecessors.follow(wanted.plan.processes)
        try:
            # A secret that the spec no longer has must not stay behind.
            edited = [path for path in files.list_files(self._paths.rendered) if is_edited(path)]
            files.remove_others(self._paths.rendered, [*wanted.files, *edited])
        except MachineError as error:
            self._say(error.message)
        self._remove_left(wanted.plan)
        try:
            self._write(wanted)
        except MachineError as error:
            # The new hub is in force all the same.
            self._unwritten = True
            self._say(f"{error.message}; commands tell of the hub as it was until it can be")
        try:
            remove_given(self._paths, wanted.plan.agents)
        except Exception as error:  # the new hub is in force all the same
            self._say(f"can't tell all agents that the hub is up: {describe_error(error)}")
        for hear in self.heard:
            hear(wanted.plan)

    def _remove_left(self, plan: Plan) -> None:
        """Remove the files of sites that are not built any more."""
        if os.path.isdir(self._paths.sites):
            # Imported here: 2 ms, which a hub that builds no site does without.
            from lkhub.host.project import remove_left

            remove_left(self._paths.sites, [site.name for site in (plan.edge.sites if plan.edge else ()) if site.build])

    async def remove_agents(self) -> None:
        """Remove the copies and environments of agents that are not in the plan any more, once nothing runs from
        them."""
        if self.hub is None:
            return
        names = [agent.name for agent in self.hub.plan.agents]
        for folder in (self._paths.agents, self._paths.agents_apart()):
            if not os.path.isdir(folder):
                continue
            # In a thread: an environment has ten thousands of files.
            try:
                left = await anyio.to_thread.run_sync(agent_home.remove_left, folder, names, abandon_on_cancel=True)
            except Exception as error:  # such as no free thread, which must not end the supervisor
                self._say(f"can't remove what agents have left in {folder}: {describe_error(error)}")
                continue
            for path in left:
                self._say(f"an agent is not in the spec any more, and what it has kept in its HOME stays: rm -r {path}")

    def keep_edited(self, wanted: PreparedHub) -> None:
        """Keep what somebody has written into the rendered files, before they are written for `wanted`. Raises
        MachineError."""
        keep_edited(wanted, [digest_rendered(self.hub)] if self.hub else self._read_written(), self._say)
        self._note_begun(wanted)

    def write_missing(self) -> None:
        """Write again the files that were removed from the state directory, were damaged there or could not be written.
        Raises MachineError if they still can't be written."""
        if self.hub is None:
            return
        # The operator may have removed the record of a new root, which ends the warning about it. By itself the warning
        # ends after a week.
        kept = {path: text for path, text in self.hub.files.items() if path != self._paths.root_change}
        keep_edited(self.hub, [digest_rendered(self.hub)], self._say)
        self._fleet.write({path: text for path, text in kept.items() if self._is_damaged(path, text)})
        if self._unwritten or not self._is_readable():
            self._write(self.hub)
            self._unwritten = False

    def _write(self, hub: PreparedHub) -> None:
        record = describe_applied(hub.plan, hub.spec, hub.interfaces, time.time())
        write_applied(self._paths, replace(record, rendered=digest_rendered(hub)))

    def _note_begun(self, wanted: PreparedHub) -> None:
        """Where this supervisor is killed in the middle of the change, the next one finds files that are not those on
        record, and nobody has edited them."""
        with contextlib.suppress(MachineError):
            record, begun = load_applied(self._paths), digest_rendered(wanted)
            if record and begun != record.rendered:
                write_applied(self._paths, replace(record, begun=begun))

    def _read_written(self) -> Sequence[Mapping[str, str]]:
        """The digests of the rendered files as another supervisor wrote them."""
        with contextlib.suppress(MachineError):
            if record := load_applied(self._paths):
                return (record.rendered, record.begun)
        return ()

    def _is_damaged(self, path: str, text: str) -> bool:
        """Whether a file is missing, or empty as after a crash of the machine. An edited rendered file counts as
        damaged too: a process that ends would be started with it."""
        try:
            found = files.read_text(path)
        except MachineError:
            return True
        return found is None or (not found and text != "") or (path.startswith(self._paths.rendered) and found != text)

    def _is_readable(self) -> bool:
        """Whether commands can read the applied record."""
        with contextlib.suppress(MachineError):
            return load_applied(self._paths) is not None
        return False

    def tell_notes(self, before: PreparedHub | None) -> None:
        """Say the notes that are new since `before`, such as a new root that every device has to trust."""
        notes = self.hub.plan.notes if self.hub else ()
        for note in notes:
            if before is None or note not in before.plan.notes:
                self._say(note.sentence)
