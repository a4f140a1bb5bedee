"""`lkhub install` and `uninstall`: the hub as a service that starts with the machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.progress import Progress
from lkhub.cli.shared.show import err, say, show_hints
from lkhub.cli.status import show_status
from lkhub.errors import EXIT_UNWELL, MachineError
from lkhub.host.as_root import as_root
from lkhub.hub.examine import examine_hub
from lkhub.hub.examined import await_examined
from lkhub.hub.gather import read_status
from lkhub.hub.install import install_service, is_another_here, remove_programs, uninstall_service
from lkhub.hub.locate import DEFAULT_SPEC, find_own_service
from lkhub.plan.service import SYSTEM, UNIT, Service


def install(
    now: Annotated[
        bool, typer.Option("--now", help="Apply a change at once, also where it interrupts people in a call.")
    ] = False,
    spec: Annotated[
        Path | None,
        typer.Option(
            "--spec",
            metavar="FILE",
            help="The spec to install. Default: the one that is installed; where none is, hub.yaml in this folder.",
        ),
    ] = None,
) -> None:
    """Make the hub a service: it starts with the machine, and is started again where it fails.

    Typed as root, the spec is copied to /etc/lkhub/hub.yaml, lkhub itself to /opt/lkhub, and the hub runs as the user
    lkhub with its state in /var/lib/lkhub. Typed as another user, the hub becomes a service of that user's own systemd,
    with the spec in ~/.config/lkhub and lkhub in ~/.local/share/lkhub. Relative paths of the spec are absolute in the
    copy. Run it again after each change of the spec there: a running hub takes the change over as with `lkhub up`.
    Returns when the hub is verified and its web sites are built.
    """
    typed = (*(("--now",) if now else ()), *(("--spec", str(spec.absolute())) if spec else ()))
    service = find_changeable("install", *typed)
    if spec is None and is_another_here(service):
        say(f"{DEFAULT_SPEC} in this folder is not used, since {service.spec} is there", "note", "cyan")
        show_hints([f"`lkhub install --spec {DEFAULT_SPEC}` puts it in place"])
    with Progress() as progress:
        installed = install_service(service, str(spec) if spec else None, os.environ, progress, now=now)
        if installed.stopped:
            progress.clear()
            err.print(f"{UNIT} is upgraded, and stays stopped: `{service.systemctl} start lkhub` starts it")
            return
        # A supervisor that starts verifies once, and the change that did not wait may have come after that.
        if (installed.reloaded or now) and read_status(installed.paths).current_verification is None:
            examine_hub(installed.paths, progress, verify=True)
        status = await_examined(installed.paths, progress)
    show_status(status)
    if installed.absolute:
        named = ", ".join(f"{key}: {path}" for key, path in installed.absolute.items())
        say(f"paths that were relative are absolute in {service.spec}: {named}", "note", "cyan")
    more = f"`{service.systemctl} status lkhub` and `{service.journalctl}` show more"
    err.print(f"{UNIT} runs by {service.spec}; {more}")
    if not status.is_well:
        raise typer.Exit(EXIT_UNWELL)


def uninstall() -> None:
    """Stop the service and remove it, with its copy of lkhub.

    Calls get the time of `drain` to end. The spec, the keys and the data of the hub stay; the command that removes them
    is printed.
    """
    service = find_changeable("uninstall")
    with Progress() as progress:
        left = uninstall_service(service, progress)
    err.print(f"{UNIT} is not installed any more" if left else f"nothing of {UNIT} is left")
    if left:
        say("the spec, and the hub's keys and data, are still there", "note", "cyan")
        show_hints([f"`{' && '.join(left)}` removes them for good"])
    # Last: this program may be in there.
    remove_programs(service)


def find_changeable(command: str, *arguments: str) -> Service:
    """The service that this user may make. MachineError where a hub is the machine's service, which takes root."""
    own = find_own_service()
    if own.of_user and os.path.exists(SYSTEM.unit_file) and not os.path.exists(own.unit_file):
        raise MachineError(
            "the hub is a service of the machine, which root alone may change",
            hints=(f"`{as_root(command, *arguments)}`",),
        )
    return own
