"""`lkhub backup`."""

from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.options import Json, State
from lkhub.cli.shared.passphrase import PassphraseFile, read_passphrase
from lkhub.cli.shared.show import err, say, show_hints
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.host.sealed import SealKeys
from lkhub.hub.backup import list_names, make_backup, require_backupable
from lkhub.hub.locate import find_paths


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to write. An earlier one is replaced.")],
    recipient: Annotated[
        list[str] | None,
        typer.Option(
            "--recipient",
            metavar="KEY",
            help="Encrypt for the owner of this public key of age or SSH, or of those in a file, instead of with a "
            "passphrase. May be given several times.",
        ),
    ] = None,
    passphrase_file: PassphraseFile = None,
    spec: Annotated[
        Path | None, typer.Option("--spec", metavar="FILE", help="The spec. Default: the one that the hub runs by.")
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Write all that makes this hub that hub into one encrypted file: spec, API keys, authority, certificates, store.

    The hub may run meanwhile. `lkhub restore FILE` puts it in place on any machine. The file has the format of age
    (age-encryption.org), so `age -d FILE | tar t` shows what is in it.
    """
    if recipient and passphrase_file:
        raise InputError("--recipient and --passphrase-file exclude each other", hints=("leave one of them out",))
    # Before anybody is asked for a passphrase.
    paths = find_paths(state)
    require_backupable(paths, str(file))
    keys = (
        SealKeys(recipients=tuple(key for each in recipient for key in _read_recipients(each)))
        if recipient
        else SealKeys(read_passphrase(passphrase_file, twice=True))
    )
    made = make_backup(paths, spec, str(file), keys)
    size = file.stat().st_size
    if json:
        names = [each.path for each in made.files]
        show_json(
            {
                "file": str(file.absolute()),
                "hub": made.hub,
                "made": made.made,
                "bytes": size,
                "files": names,
                "left_out": list(made.left_out),
            }
        )
        return
    err.print(f"{file} has the hub {made.hub}: {', '.join(list_names(made.files))} ({size:,} bytes)")
    for each in made.left_out:
        say(f"not in it: {each}", "note", "cyan")
    show_hints(["keep it on another machine, and the passphrase or the private key apart from it"])


def _read_recipients(given: str) -> list[str]:
    """The public keys in a file, else the key itself."""
    if given.startswith(("age1", "ssh-")):
        return [given]
    try:
        lines = [line.strip() for line in read_input(given).decode().splitlines()]
    except UnicodeDecodeError:
        raise InputError(f"{given} is no text") from None
    if any("PRIVATE KEY" in line or line.startswith("AGE-SECRET-KEY") for line in lines):
        raise InputError(f"{given} has a private key", hints=("name the file with the public one, such as KEY.pub",))
    found = {number: line for number, line in enumerate(lines, 1) if line and not line.startswith("#")}
    if not found:
        raise InputError(f"{given} has no public key", hints=_RECIPIENTS)
    # The line is not repeated: it may be a passphrase.
    if wrong := next((number for number, line in found.items() if not line.startswith(_KINDS)), 0):
        raise InputError(f"{given}:{wrong}: that is no key that a backup can be made for", hints=_RECIPIENTS)
    return list(found.values())


_KINDS = ("age1", "ssh-ed25519 ", "ssh-rsa ")
_RECIPIENTS = ("a key of age (age1…) or of SSH (ssh-ed25519 … or ssh-rsa …) is one, each on a line of its own",)
