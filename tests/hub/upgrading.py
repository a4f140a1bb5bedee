"""A service that is upgraded, as the steps of an upgrade see it."""

from dataclasses import dataclass, field

from packaging.version import Version

from lkhub.hub.upgrade import Upgrade, Wanted
from lkhub.state.upgrade import Condition, UpgradeRecord
from lkhub.wire.upgrade import Look, ReplacedProcess
from tests.hub.conftest import Told

OLD, NEW = "0.1.0", "0.2.0"
WELL = Condition(running=True, proved=("udp",))
UNWELL = Condition(running=True, failed={"udp": "nothing was heard"})
WAITING = Condition(running=True, pending=True, proved=("udp",))
INTERRUPTING = Look(NEW, (ReplacedProcess("media", "it is another program", interrupts=True),))


class Killed(BaseException):
    """As by `kill -9`: nothing is cleaned up after it."""


@dataclass
class Machine:
    """A service whose copies are named by their versions. `fails` has what a step raises, by `STEP FOLDER`; `killed`
    is the number of the step that the command does not outlive."""

    current: str = OLD
    units: str = OLD
    copies: set[str] = field(default_factory=lambda: {OLD})
    record: UpgradeRecord | None = None
    answer: Look = INTERRUPTING
    conditions: dict[str, list[Condition]] = field(default_factory=dict)
    people: list[int | None] = field(default_factory=list)
    beside: list[tuple[int, ...]] = field(default_factory=list)
    fails: dict[str, BaseException] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    killed: int = -1
    dead: bool = False
    told: dict[str, Condition] = field(default_factory=dict)

    def _step(self, *words: str) -> None:
        if self.dead or len(self.steps) == self.killed:
            self.dead = True
            raise Killed
        self.steps.append(" ".join(words))
        if error := self.fails.get(" ".join(words)):
            raise error

    def find_current(self) -> str:
        return self.current

    def ask_version(self, folder: str) -> Version:
        assert folder in self.copies
        if error := self.fails.get(f"version {folder}"):
            raise error
        return Version(folder)

    def make(self, wanted: Wanted) -> str:
        self._step("make", str(wanted.version))
        self.copies.add(str(wanted.version))
        return str(wanted.version)

    def remove(self, folder: str) -> None:
        self._step("remove", folder)
        assert folder != self.current, "the hub runs by it"
        self.copies.discard(folder)

    def remove_half_made(self) -> None:
        self._step("remove half-made")

    def remove_others(self, *kept: str) -> None:
        self._step("remove others")
        self.copies &= set(kept)

    def look(self, folder: str) -> Look:
        self._step("look", folder)
        return self.answer

    def try_out(self, folder: str) -> None:
        self._step("try", folder)

    def ask_condition(self, folder: str, *, anew: bool = False) -> Condition:
        assert anew or self.record is not None, "an old verification proves nothing"
        self._step("ask", folder)
        left, last = self.conditions.get(folder, [WELL]), self.told.get(folder)
        if last and not last.pending and not anew:  # the same verification
            return last
        self.told[folder] = left.pop(0) if len(left) > 1 else left[0]
        return self.told[folder]

    def count_people(self) -> int | None:
        return self.people.pop(0) if self.people else 0

    def list_beside(self) -> tuple[int, ...]:
        return self.beside.pop(0) if self.beside else ()

    def install(self, folder: str, *, now: bool) -> None:
        # The units are written before the link is moved.
        self.units = folder
        self._step("install", folder, *(["now"] if now else []))
        assert folder in self.copies
        self.current = folder

    def read_record(self) -> UpgradeRecord | None:
        return self.record

    def write_record(self, record: UpgradeRecord) -> None:
        self._step("record", "back" if record.back else "forth")
        self.record = record

    def remove_record(self) -> None:
        self._step("forget")
        self.record = None

    def sleep(self, seconds: float) -> None:
        self._step("sleep")


def upgrade(machine: Machine, *, now: bool = False, version: str = NEW, told: Told | None = None) -> Version:
    told = told or Told()
    return Upgrade(machine, told, told.lines.append, now=now).run(Wanted(Version(version)))
