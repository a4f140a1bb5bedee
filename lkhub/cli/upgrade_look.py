"""`lkhub upgrade-look`: what the lkhub that runs asks a new one before it puts it in place.

People don't type it, so it is not among the commands. The answer is a message (`lkhub.wire.upgrade`).
"""

import os
import sys
from dataclasses import dataclass

from msgspec import structs

from lkhub.cli.shared.store import read_application
from lkhub.errors import EXIT_OK, HubError, MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.snapshot import copied_beside
from lkhub.hub.locate import find_own_service
from lkhub.hub.look import look_at_service
from lkhub.plan.paths import StatePaths
from lkhub.wire.failure import Failure, FailureAnswer
from lkhub.wire.message import dump_message
from lkhub.wire.upgrade import Look, StoreChange


def upgrade_look() -> None:
    """Say what this lkhub would change about the service of this user."""
    code = EXIT_OK
    try:
        service = find_own_service()
        look = look_at_service(service, os.environ)
        tried = try_store(StatePaths(service.installation.state))
        answer: Look | FailureAnswer = structs.replace(look, store=tried.change, untried=tried.why_not)
    except HubError as error:
        answer, code = FailureAnswer(Failure.of(error)), error.exit_code
    print(dump_message(answer), end="")
    sys.exit(code)


@dataclass(frozen=True)
class TriedStore:
    """What became of a copy of the store; None where that did not change. `why_not`: why there was no copy to try."""

    change: StoreChange | None = None
    why_not: str = ""


def try_store(paths: StatePaths) -> TriedStore:
    """Bring a copy of the store to this version's schema. Raises MachineError where this version can't use it."""
    if not os.path.isfile(paths.store):
        return TriedStore(why_not=_describe_other(paths))
    # Imported here: it loads SQLAlchemy (500 ms), which most hubs have no store for.
    from lkhub.store.open import SQLITE, open_store
    from lkhub.store.versions import read_versions

    # As the hub's user, whose file it is.
    with acting_as_owner(paths.root), copied_beside(paths.store) as copy:
        before = read_versions(copy)
        open_store(f"{SQLITE}{copy}", made=True).dispose()
        after = read_versions(copy)
    if before is None or after is None or before == after:
        return TriedStore()
    return TriedStore(StoreChange(before.schema, after.schema, after.since))


def _describe_other(paths: StatePaths) -> str:
    try:
        url = read_application(paths).store.url
    except MachineError:  # the hub was never up
        return ""
    # A file that is not there yet is made by the service.
    return "" if not url or url.startswith("sqlite") else "the store is a database of PostgreSQL, which is not copied"
