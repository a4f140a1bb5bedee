"""What a new lkhub tells the `lkhub upgrade` that is to put it in place: on its stdout, one JSON object, or a
FailureAnswer. See lkhub.wire.message for how versions get along."""

from msgspec import Struct


class ReplacedProcess(Struct, frozen=True):
    """A process of the running hub that the new lkhub would replace, and why. `interrupts`: people in a call are
    interrupted by that. `after` are the pids of earlier processes of this name that finish their calls: they have the
    ports of the new one, which starts when they have ended."""

    name: str
    why: str
    interrupts: bool = False
    after: tuple[int, ...] = ()


class StoreChange(Struct, frozen=True):
    """What the new lkhub makes of the store, as tried on a copy: from the schema `before` to `after`. `since` is the
    oldest schema whose lkhub can use it then."""

    before: str
    after: str
    since: str

    @property
    def is_one_way(self) -> bool:
        """Whether the earlier lkhub could not use the store any more. Versions of the schema are ordered as text."""
        return self.since > self.before


class Look(Struct, frozen=True):
    """What the new lkhub, of version `lkhub`, would change about the running hub. `store` is None where it stays as it
    is, and `untried` says why it was not tried. `notes` are about the spec: what this version says of it."""

    lkhub: str
    replaced: tuple[ReplacedProcess, ...] = ()
    store: StoreChange | None = None
    untried: str = ""
    notes: tuple[str, ...] = ()

    @property
    def interrupts(self) -> bool:
        """Whether people in a call would be interrupted."""
        return any(each.interrupts for each in self.replaced)

    @property
    def after(self) -> tuple[int, ...]:
        """The processes that have to end before all are replaced."""
        return tuple(pid for each in self.replaced for pid in each.after)


class Tried(Struct, frozen=True):
    """A call through a hub that the new lkhub has brought up for that alone. `problem` is why it failed, else ""."""

    problem: str = ""
