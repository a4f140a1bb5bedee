"""`lkhub restore`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.options import Json, State
from lkhub.cli.shared.passphrase import PassphraseFile, find_passphrase, read_passphrase
from lkhub.cli.shared.show import err, say, show_hints
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.host.sealed import SealKeys
from lkhub.hub.backup import list_names
from lkhub.hub.locate import DEFAULT_SPEC, find_own_service, find_paths, find_typed
from lkhub.hub.restore import require_restorable, restore_backup
from lkhub.secret import Secret
from lkhub.shown import escape, printable


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    identity: Annotated[
        list[Path] | None,
        typer.Option(
            "--identity",
            metavar="FILE",
            help="The file with the private key of age or SSH for which the backup was made. May be given several "
            "times; --passphrase-file is the passphrase of the key then.",
        ),
    ] = None,
    passphrase_file: PassphraseFile = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where a hub or another spec is there: it is kept aside.")
    ] = False,
    spec: Annotated[
        Path | None,
        typer.Option(
            "--spec",
            metavar="FILE",
            help=f"Where the spec goes. Default: {DEFAULT_SPEC} in this folder; where `lkhub install` has it if the "
            "hub was a service.",
        ),
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Put a backup in place: the hub has the same name, API keys, authority, certificates and store again.

    Everything is judged before the first change. Start the hub with `lkhub up`, or `lkhub install`.
    """
    # Before anybody is asked for a passphrase.
    paths = find_paths(state)
    require_restorable(paths, str(file), force=force, with_key=bool(identity))
    if identity:
        keys = SealKeys(find_passphrase(passphrase_file), identities=tuple(map(_read_identity, identity)))
    else:
        keys = SealKeys(read_passphrase(passphrase_file, twice=False))
    done = restore_backup(paths, spec, str(file), keys, force=force)
    made = done.manifest
    if json:
        show_json(
            {
                "hub": made.hub,
                "made": made.made,
                "lkhub": made.lkhub,
                "state": paths.root,
                "spec": done.spec,
                "aside": done.aside,
                "files": [each.path for each in made.files],
                "left_out": list(made.left_out),
            }
        )
        return
    when = datetime.fromtimestamp(made.made, UTC).strftime("%Y-%m-%d %H:%M UTC")
    err.print(f"{paths.root} has the hub {printable(made.hub)} of {when}: {', '.join(list_names(made.files))}")
    if done.spec:
        err.print(f"its spec is {done.spec}")
    if done.aside:
        say(f"what was there before is in {done.aside}", "note", "cyan")
    for each in made.left_out:
        say(f"was not in the backup: {escape(each)}", "note", "cyan")
    named = find_typed(paths, done.spec).spec if done.spec else ""
    show_hints(
        [
            "`lkhub install` makes it the service"
            if done.spec == find_own_service().spec
            else f"`lkhub up{named}` starts it"
        ]
    )


def _read_identity(file: Path) -> Secret:
    try:
        return Secret(read_input(str(file)).decode())
    except UnicodeDecodeError:
        raise InputError(f"there is no private key in {file}", hints=("it is a binary file",)) from None
