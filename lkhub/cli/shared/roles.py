"""Roles that are named on the command line."""

from lkhub.errors import InputError
from lkhub.service.presets import Presets, match_globs
from lkhub.shown import printable
from lkhub.wire.application import Application, Role


def require_role(application: Application, name: str) -> Role:
    """The role of this name. Raises InputError with those that there are."""
    roles = application.access.roles
    if name not in roles:
        hint = f"there are {', '.join(roles)}; those that were added to the spec since are there after `lkhub up`"
        raise InputError(f"--role: there is no role {printable(name)}", hints=(hint,))
    return roles[name]


def require_role_for(application: Application, name: str, room: str) -> Role:
    """The role of this name, which leads into the room. Raises InputError."""
    role = require_role(application, name)
    location = Presets(application.rooms).locate(room)
    if not match_globs(role.rooms)(location.family):
        raise InputError(
            f"role {name} does not lead into {printable(room)}", hints=(f"it leads into {' '.join(role.rooms)}",)
        )
    if location.preset and not location.is_for(name):
        hint = f"--role is one of {', '.join(location.preset.roles)}"
        raise InputError(f"{printable(room)} is not for role {name}", hints=(hint,))
    return role
