"""`lkhub env`: what an application needs."""

import shlex
from enum import StrEnum
from typing import Annotated

import typer

from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.show_json import show_json
from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.hub.locate import find_hub


class Format(StrEnum):
    """How the variables are written."""

    dotenv = "dotenv"
    shell = "shell"
    json = "json"


def env(
    format: Annotated[
        Format, typer.Option(help="dotenv for a .env file, shell for `eval`, json for a program.")
    ] = Format.dotenv,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET for an application.

    The secret is among them.
    """
    paths = find_hub(spec, state)
    url = require_applied(paths).urls.livekit
    key, secret = next(iter(load_keys(paths.keys).items()))
    variables = {"LIVEKIT_URL": url, "LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": secret.reveal()}
    if json or format is Format.json:
        show_json(variables)
        return
    export = "export " if format is Format.shell else ""
    for name, value in variables.items():
        print(f"{export}{name}={shlex.quote(value)}")
