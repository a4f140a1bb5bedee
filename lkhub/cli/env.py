"""`lkhub env`: what an application needs."""

import shlex
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.show_json import show_json
from lkhub.env_files.edit_error import EditError
from lkhub.env_files.quoting import quote
from lkhub.errors import InputError
from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.hub.locate import find_hub, name_state
from lkhub.plan.paths import StatePaths

# The permission of users who are neither the owner of a file nor in its group.
_OTHERS_READ = 0o004


class Format(StrEnum):
    """How the variables are written."""

    dotenv = "dotenv"
    shell = "shell"
    json = "json"
    server_config = "server-config"


def env(
    format: Annotated[
        Format,
        typer.Option(
            help="dotenv for a .env file, shell for `eval`, json for a program, server-config for the JSON file in "
            "which echochat keeps livekit_ws_url and its other settings."
        ),
    ] = Format.dotenv,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Print nothing, and put the values into this file (dotenv or server-config): everything else in it "
            "stays as it is, and its owner and mode too. The hub remembers the file, so that a new key can follow.",
        ),
    ] = None,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET for an application.

    The secret is among them. With --write FILE they are put into the application's file instead.
    """
    paths = find_hub(spec, state)
    if write is not None:
        _write(paths, write, format, json)
        return
    url = require_applied(paths).urls.livekit
    key, secret = next(iter(load_keys(paths.keys).items()))
    variables = {"LIVEKIT_URL": url, "LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": secret.reveal()}
    if format is Format.server_config:
        # Imported here: it costs 20 ms, which the variables do not need.
        from lkhub.env_files.formats import SERVER_CONFIG

        show_json(SERVER_CONFIG.describe(url, key, secret))
    elif json or format is Format.json:
        show_json(variables)
    elif format is Format.shell:
        print("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()), end="")
    else:
        hint = "`lkhub env --format shell` and `lkhub env --json` print it for programs that take any character"
        print(show_dotenv(variables, hint), end="")


def show_dotenv(variables: Mapping[str, str], hint: str) -> str:
    """The variables as lines of a .env file. Raises InputError, with `hint`, for one that no such file can hold."""
    try:
        return "".join(f"{name}={quote(name, value)}\n" for name, value in variables.items())
    except EditError as error:
        raise InputError(error.message, hints=(hint,)) from None


def _write(paths: StatePaths, file: Path, format: Format, json: bool) -> None:
    if format not in (Format.dotenv, Format.server_config):
        raise InputError(
            f"--write edits no file of the format {format}",
            hints=("--format dotenv is for a .env file, --format server-config for the JSON file of echochat",),
        )
    # By its text an empty file, or one that is not there yet, may become either.
    if format is Format.dotenv and file.suffix.lower() == ".json":
        raise InputError(
            f"{file} would be a .env file, and its name is that of a JSON file",
            hints=("`--format server-config` writes the JSON file of echochat",),
        )
    # Imported here: they cost 40 ms, and most calls only print.
    from lkhub.cli.shared.show import say
    from lkhub.hub.written import find_overriding, write

    written = write(paths, str(file), "dotenv" if format is Format.dotenv else "server-config", time.time())
    if json:
        answer = {"path": written.path, "format": format, "changed": written.changed, "backup": written.backup}
        show_json(answer)
    elif written.changed:
        say(f"wrote {', '.join(written.changed)} to {written.path}, a file of {written.owner}")
        if written.backup:
            say(f"what it held before is in {written.backup}")
    else:
        say(f"{written.path} has these values already")
    if written.mode & _OTHERS_READ:
        say(
            f"every user of this machine can read the secret: `chmod o= {shlex.quote(written.path)}`",
            "warning",
            "yellow",
        )
    if format is Format.dotenv:
        for other in find_overriding(written.path, ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")):
            say(
                f"{other} has other values, and Next.js and Vite prefer them: "
                f"`lkhub env --write {shlex.quote(other)}{name_state(paths)}`",
                "warning",
                "yellow",
            )
