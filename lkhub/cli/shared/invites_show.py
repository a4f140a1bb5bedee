"""How commands name the invites that outlive what was revoked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lkhub.cli.shared.show import say, show_hints
from lkhub.hub.locate import name_state
from lkhub.plan.paths import StatePaths

if TYPE_CHECKING:
    from lkhub.store.invites import Invite

# More invites than anybody reads are not named one by one.
_SHOWN = 10


def warn_of_open(paths: StatePaths, invites: Sequence["Invite"], made: str) -> None:
    """Say that these invites still let people in. `made` says with what or by whom they were made."""
    if not invites:
        return
    many = len(invites) > 1
    which = (
        f"{len(invites)} invites that were made {made} still let"
        if many
        else f"an invite that was made {made} still lets"
    )
    say(f"{which} people in: {', '.join(each.id for each in invites[:_SHOWN])}", "warning", "yellow")
    revoke, every = f"lkhub invite revoke {invites[0].id}{name_state(paths)}", f"lkhub invite list{name_state(paths)}"
    show_hints([f"`{revoke}` ends one, `{every}` shows all"])
