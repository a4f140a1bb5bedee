"""`lkhub upgrade`: another version in the place of the one that a service runs."""

import os
from typing import Annotated

import typer
from packaging.version import InvalidVersion, Version

from lkhub.cli.install import find_changeable
from lkhub.cli.shared.progress import Progress
from lkhub.cli.shared.show import err, show_hints
from lkhub.errors import InputError
from lkhub.host.systemd import Systemd
from lkhub.host.wheel import read_wheel
from lkhub.hub.copies import opening_copies
from lkhub.hub.upgrade import Upgrade, Wanted
from lkhub.plan.service import UNIT
from lkhub.shown import escape, printable


def upgrade(
    what: Annotated[
        str, typer.Argument(metavar="WHEEL|VERSION", help="The file of a wheel, or a version that pip gets.")
    ],
    now: Annotated[bool, typer.Option("--now", help="Do not wait for people in a call; they reconnect.")] = False,
    downgrade: Annotated[bool, typer.Option("--downgrade", help="Go back to an older version.")] = False,
) -> None:
    """Put another version of lkhub in place of the one that the service runs.

    The new version is installed beside the old one, reads the spec and the store, says what it would change, and makes
    a call on ports of its own. Then it waits until nobody is in a call, unless --now, takes the hub over, and verifies
    it: what worked before has to work. Otherwise the old version is put back, and this exits 1.

    Nothing is asked of the network for a wheel whose requirements are met here. With a VERSION pip is asked, which
    follows its own configuration.
    """
    arguments = [*(("--now",) if now else ()), *(("--downgrade",) if downgrade else ())]
    service = find_changeable("upgrade", os.path.abspath(what) if _is_file(what) else what, *arguments)
    if not os.path.exists(service.unit_file) or not os.path.exists(service.current):
        raise InputError(
            "this hub is not a service, so lkhub is where you have installed it",
            hints=(
                "upgrade it there, as with pip; then `lkhub up`: the new version takes the running hub over",
                "`lkhub install` makes it a service",
            ),
        )
    Systemd(service.of_user).require(service.unit_file)
    wanted = find_wanted(what)
    with Progress() as progress, opening_copies(service, progress) as copies:

        def say(text: str) -> None:
            progress.clear()
            err.print(text)

        try:
            before = Upgrade(copies, progress, say, now=now).run(wanted, downgrade=downgrade)
        except KeyboardInterrupt:
            say("the service runs the previous version")
            raise
        progress.clear()
    if Systemd(service.of_user).is_stopped(UNIT):
        err.print(f"the service has lkhub {wanted.version}, and stays stopped, as it was")
        show_hints([f"`{service.systemctl} start lkhub` starts it; `lkhub status` then shows whether it is well"])
        return
    err.print(f"the service runs lkhub {wanted.version}, and what worked with lkhub {before} works")


def find_wanted(what: str) -> Wanted:
    """What the argument names. Raises InputError."""
    if _is_file(what):
        if not os.path.isfile(what):
            found = f"{escape(what)} is not a file" if os.path.exists(what) else f"there is no file {escape(what)}"
            raise InputError(found, hints=("name the wheel, or a version",))
        wheel = read_wheel(what)
        return Wanted(wheel.version, wheel)
    try:
        return Wanted(Version(what))
    except InvalidVersion:
        raise InputError(
            f"{printable(what)} is neither a version nor a wheel that is there",
            hints=("`lkhub upgrade 0.2.0`, or `lkhub upgrade ./lkhub-0.2.0-….whl`",),
        ) from None


def _is_file(what: str) -> bool:
    return what.endswith(".whl") or "/" in what
