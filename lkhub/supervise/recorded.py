"""Keeps the record of a child on disk up to date."""

from lkhub.errors import MachineError
from lkhub.host.processes import ProcessId
from lkhub.state.identity import Identity, read_record, remove_record, write_record
from lkhub.supervise.shared import Shared


class Recorded:
    """`failure` is why the record can't be written, None if it can. A process without a record runs on, and the next
    supervisor recognises it by its mark."""

    def __init__(self, name: str, shared: Shared, process: ProcessId | None = None) -> None:
        self.failure: MachineError | None = None
        self._name = name
        self._shared = shared
        self._process = process

    def write(self, identity: Identity) -> None:
        self._shared.note_agent(identity)
        try:
            write_record(self._shared.paths, identity)
            self._process, self.failure = identity.process, None
        except MachineError as error:
            if self.failure is None:
                self._shared.say(f"{self._name} runs without a record: {error.message}")
            self.failure = error

    def write_missing(self, identity: Identity) -> None:
        """Write the record again if it was removed or damaged, or could not be written."""
        found = read_record(self._shared.paths, self._name)
        if found is None or found.process != identity.process or self.failure:
            self.write(identity)

    def remove(self) -> None:
        if self._process is not None:
            remove_record(self._shared.paths, self._name, self._process)
        self._process, self.failure = None, None
