"""The passphrase of a backup: from a file, from the environment, or asked for. Never an argument, which every user of
the machine could read."""

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.secret import Secret

VARIABLE = "LKHUB_PASSPHRASE"

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"The file whose first line is the passphrase. Default: ${VARIABLE}, else it is asked for.",
    ),
]


def read_passphrase(file: Path | None, *, twice: bool) -> Secret:
    """Raises InputError where there is none. `twice`: where it is asked for, it is asked for again, since a mistake
    would only be noticed when the backup is needed."""
    if given := find_passphrase(file):
        return given
    if not sys.stdin.isatty():
        raise InputError(
            "there is no passphrase, and nobody can be asked for it here",
            hints=("--passphrase-file FILE names the file with it", f"or set {VARIABLE}"),
        )
    text = _require(getpass("passphrase: "))
    if twice and getpass("the same again: ") != text:
        raise InputError("the two passphrases differ", hints=("nothing was written; type the command again",))
    return Secret(text)


def find_passphrase(file: Path | None) -> Secret | None:
    """The passphrase of the file, else of the environment; None where neither is there."""
    if file is not None:
        return Secret(_require(_read_line(str(file)), f"the first line of {file}"))
    if VARIABLE in os.environ:
        return Secret(_require(os.environ[VARIABLE], VARIABLE))
    return None


def _read_line(file: str) -> str:
    try:
        lines = read_input(file).decode().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{file} is no text") from None
    return lines[0] if lines else ""


def _require(text: str, where: str = "") -> str:
    if not text:
        raise InputError(f"the passphrase is empty: {where}" if where else "the passphrase is empty")
    return text
