"""An upgrade that is being made: written before the first change of the running hub, and removed when it is verified or
taken back. Whoever finds the record finishes the upgrade."""

from dataclasses import dataclass, field

from lkhub.host.files import remove
from lkhub.plan.service import Service
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class Condition:
    """What was well of a hub, and what was not. `running`: its supervisor answers; `pending`: a change waits until
    nobody is in a call. `down` are its processes that don't run. `proved` are the paths through which a call got, and
    the parts of the web that answered; `failed` says of others why not. `errors` are the titles of the findings of
    that severity, by `CODE SUBJECT`."""

    running: bool = False
    pending: bool = False
    down: tuple[str, ...] = ()
    proved: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UpgradeRecord:
    """`source` and `target` are the folders of the lkhub before and of the new one. `before`: how the hub was.
    `back`: it is being taken back."""

    source: str
    target: str
    before: Condition
    back: bool = False


def name_record(service: Service) -> str:
    return f"{service.programs}/upgrade.json"


def name_lock(service: Service) -> str:
    """What is held while an upgrade is made, also by the `lkhub install` that it starts."""
    return f"{service.programs}/upgrade.lock"


def read_upgrade(service: Service) -> UpgradeRecord | None:
    """None where none is being made, and where this user can't read that."""
    return find_record(UpgradeRecord, name_record(service))


def write_upgrade(service: Service, record: UpgradeRecord) -> None:
    """Raises MachineError."""
    write_record(record, name_record(service))


def remove_upgrade(service: Service) -> None:
    """Raises MachineError."""
    remove(name_record(service))
