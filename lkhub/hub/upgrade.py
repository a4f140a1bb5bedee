"""Puts another version of lkhub in the place of the one that a service runs: what `lkhub upgrade` does.

Everything is judged before the first change of the running hub. Then a record is written, and from that moment on the
upgrade is either verified or taken back, by whoever finds the record. `Machine` is the seam: what it does to this
machine is in `lkhub.hub.copies`.
"""

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

from packaging.version import Version

from lkhub.errors import HubError, InputError, UnwellError
from lkhub.host.wheel import Wheel
from lkhub.hub.condition import find_worse
from lkhub.hub.progress import Progress
from lkhub.state.upgrade import Condition, UpgradeRecord
from lkhub.wire.upgrade import Look

# A process that has just started may say for a few seconds that it does not answer.
LOOKS, LOOK_SECONDS = 4, 5.0

# People come and go by the second.
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Wanted:
    """The version to put in place: from a `wheel`, or from where pip gets packages."""

    version: Version
    wheel: Wheel | None = None


class Machine(Protocol):
    """The copies of lkhub that a service has, by their folders, and the hub that runs by one of them. All methods raise
    HubError."""

    def find_current(self) -> str:
        """The folder of the copy that the service runs."""

    def ask_version(self, folder: str) -> Version: ...

    def make(self, wanted: Wanted) -> str:
        """Make a copy of another lkhub, and return its folder."""

    def remove(self, folder: str) -> None: ...

    def remove_half_made(self) -> None:
        """Remove what a killed upgrade has left."""

    def remove_others(self, *kept: str) -> None:
        """Remove all copies but these."""

    def look(self, folder: str) -> Look:
        """What this lkhub would change about the running hub."""

    def try_out(self, folder: str) -> None:
        """Make a call through a hub that this lkhub brings up for that alone."""

    def ask_condition(self, folder: str, *, anew: bool = False) -> Condition:
        """How the running hub is, as the lkhub in this folder sees it, which verifies it where that was not done since
        its processes were started, or `anew`."""

    def count_people(self) -> int | None:
        """How many people are in a call; None: not known."""

    def list_beside(self) -> tuple[int, ...]:
        """The pids of the hub's processes that finish what they do beside their successors."""

    def install(self, folder: str, *, now: bool) -> None:
        """Have this lkhub make itself the one that the service runs, as `lkhub install` does."""

    def read_record(self) -> UpgradeRecord | None: ...

    def write_record(self, record: UpgradeRecord) -> None: ...

    def remove_record(self) -> None: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Upgrade:
    """One run of `lkhub upgrade`. `say` prints a line that stays. `now`: people in a call are not waited for."""

    machine: Machine
    progress: Progress
    say: Callable[[str], None]
    now: bool = False

    def run(self, wanted: Wanted, *, downgrade: bool = False) -> Version:
        """Put a version in place of the one that runs, and return that one. Raises HubError, and the hub then runs
        the previous lkhub."""
        machine = self.machine
        finished = self._finish()
        source = machine.find_current()
        before = machine.ask_version(source)
        if finished is not None and before == wanted.version:
            return finished
        judge_version(before, wanted.version, downgrade=downgrade)
        self.progress.tell(f"copying lkhub {wanted.version} beside lkhub {before}")
        target = machine.make(wanted)
        try:
            look = self._look(target, before)
            self.progress.tell(f"making a call with lkhub {wanted.version} on other ports")
            machine.try_out(target)
            if not self.now:
                self._wait_for_earlier(look.after)
                if look.interrupts:
                    self._wait_for_calls()
            self.progress.tell("looking at what is well now")
            condition = machine.ask_condition(source, anew=True)
            if machine.find_current() != source:
                raise UnwellError("another lkhub was installed meanwhile", hints=("`lkhub upgrade` again",))
            record = UpgradeRecord(source, target, condition)
            machine.write_record(record)
        except BaseException:
            machine.remove(target)
            raise
        self._switch(record)
        return before

    def _look(self, target: str, before: Version) -> Look:
        """Say what the new version would change. Raises HubError where it does not take this hub."""
        self.progress.tell("asking the new version what it would change")
        look = self.machine.look(target)
        if look.store and look.store.is_one_way:
            raise InputError(
                f"lkhub {look.lkhub} would change the store so that lkhub {before} can't use it any more, and the "
                "upgrade could not be taken back",
                hints=(
                    "upgrade to a version in between first, if there is one",
                    f"else `lkhub backup FILE`, then `lkhub install` typed with lkhub {look.lkhub} from an environment "
                    "of its own goes there without a way back",
                ),
            )
        for line in describe_look(look):
            self.say(line)
        return look

    def _wait_for_earlier(self, pids: Collection[int]) -> None:
        """Wait until these processes have ended. Others may be in calls all the time, so it is not a hub without people
        that is waited for."""
        while left := [pid for pid in self.machine.list_beside() if pid in pids]:
            named = ", ".join(map(str, left))
            self.progress.tell(f"waiting for the end of the calls of pid {named} (--now does not wait)")
            self.machine.sleep(POLL_SECONDS)

    def _wait_for_calls(self) -> None:
        while (people := self.machine.count_people()) != 0:
            until = "it is known that nobody is in a call"
            if people is not None:
                until = "1 person in a call has left" if people == 1 else f"{people} people in a call have left"
            self.progress.tell(f"waiting until {until} (--now does not wait)")
            self.machine.sleep(POLL_SECONDS)

    def _wait_for_change(self, record: UpgradeRecord, *, anew: bool) -> Condition:
        """Wait until the new version has made its change, and return how the hub is then. Somebody may have come, or
        the spec been changed, in the second before the switch: then the new media may need the ports of an earlier one,
        which still has its calls, while the one in between takes new ones. So it is not a hub without people that is
        waited for."""
        condition = self.machine.ask_condition(record.target, anew=anew)
        while condition.pending and not self.now:
            self.progress.tell(
                "waiting for the end of the calls that the change would interrupt (`lkhub status` shows them)"
            )
            self.machine.sleep(LOOK_SECONDS)
            # Not anew: the change itself starts what was verified before it.
            condition = self.machine.ask_condition(record.target)
        return condition

    def _finish(self) -> Version | None:
        """Finish an upgrade that was ended before it was verified or taken back. Returns the earlier version where it
        is in place now."""
        machine, record = self.machine, self.machine.read_record()
        machine.remove_half_made()
        if record is None:
            return None
        current = machine.find_current()
        if record.back or current != record.target:
            if record.back or current == record.source:
                # Also where the link was not moved yet: the units may be the new version's by then.
                self.progress.tell("taking an upgrade back that was ended before it was")
                machine.install(record.source, now=record.back)
            if machine.find_current() != record.target:
                machine.remove(record.target)
            machine.remove_record()
            return None
        self.progress.tell("finishing an upgrade that was ended before it was verified")
        self._switch(record)
        return machine.ask_version(record.source)

    def _switch(self, record: UpgradeRecord) -> None:
        """Put the target in place, and take that back where anything is worse then. Raises UnwellError."""
        machine = self.machine
        try:
            self.progress.tell("putting the new version in place")
            machine.install(record.target, now=self.now)
            worse = self._compare(record)
        except HubError as error:
            self._take_back(record, (error.message,))
        except BaseException:
            # Ctrl-C, for one: the new version is not verified.
            self._take_back_quietly(record)
            raise
        if worse:
            self._take_back(record, worse)
        # Processes that finish their calls may run by the earlier one. The record goes last: an upgrade that is killed
        # here is finished by the next one, which removes the others.
        machine.remove_others(record.target, record.source)
        machine.remove_record()

    def _compare(self, record: UpgradeRecord) -> tuple[str, ...]:
        """What is worse than before. It has to be so for a while, also in calls that are made later: the first ones are
        made while everything else starts."""
        worse: tuple[str, ...] = ()
        for look in range(LOOKS):
            if look:
                self.machine.sleep(LOOK_SECONDS)
            self.progress.tell("comparing with what was well before")
            condition = self._wait_for_change(record, anew=look > 0)
            if not (worse := find_worse(record.before, condition)):
                return ()
        return worse

    def _take_back(self, record: UpgradeRecord, reasons: tuple[str, ...]) -> None:
        machine = self.machine
        new = "the new version"
        # It may not even start, which is a reason to go back.
        with contextlib.suppress(HubError):
            new = f"lkhub {machine.ask_version(record.target)}"
        self._take_back_quietly(record)
        old = machine.ask_version(record.source)
        raise UnwellError(
            "\n".join((f"{new} was taken back, and lkhub {old} runs again, since", *reasons)),
            hints=("`lkhub logs hub` shows what the hub did meanwhile",),
        )

    def _take_back_quietly(self, record: UpgradeRecord) -> None:
        machine = self.machine
        self.progress.tell("going back to the previous version")
        # On a full disk it can't be written, and the old version, which is there, can still be put back.
        with contextlib.suppress(HubError):
            machine.write_record(replace(record, back=True))
        try:
            machine.install(record.source, now=True)
        except HubError as error:
            raise UnwellError(
                f"the upgrade could not be taken back: {error.message}",
                hints=(*error.hints, "`lkhub upgrade` again goes on with that", "`lkhub status` shows what runs"),
            ) from error
        machine.remove(record.target)
        machine.remove_record()


def judge_version(before: Version, wanted: Version, *, downgrade: bool) -> None:
    """Raise InputError where this version is not to be put in place of `before`."""
    if wanted == before:
        raise InputError(
            f"the service runs lkhub {before} already",
            hints=("`lkhub install` applies the spec to it",),
        )
    if wanted < before and not downgrade:
        raise InputError(
            f"lkhub {wanted} is older than lkhub {before}, which the service runs",
            hints=("--downgrade goes back to it",),
        )


def describe_look(look: Look) -> list[str]:
    """What a new version would change, in lines for people."""
    by_reason: dict[str, list[str]] = {}
    for each in look.replaced:
        by_reason.setdefault(each.why, []).append(each.name)
    lines = [f"lkhub {look.lkhub} replaces {', '.join(names)}: {why}" for why, names in by_reason.items()]
    if look.store:
        change = f"from schema {look.store.before} to {look.store.after}"
        lines.append(f"it changes the store {change}, which both versions can use")
    if look.untried:
        lines.append(f"what it does to the store was not tried: {look.untried}")
    return [*lines, *(f"it says of the spec: {note}" for note in look.notes)]
