"""Roles that are named on the command line."""

from lkhub.errors import InputError
from lkhub.shown import printable
from lkhub.wire.application import Application, Role


def require_role(application: Application, name: str) -> Role:
    """The role of this name. Raises InputError with those that there are."""
    roles = application.access.roles
    if name not in roles:
        hint = f"there are {', '.join(roles)}; those that were added to the spec since are there after `lkhub up`"
        raise InputError(f"--role: there is no role {printable(name)}", hints=(hint,))
    return roles[name]
