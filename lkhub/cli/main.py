"""The parser: every command but `serve` (lkhub/__main__.py), imported when it is asked for.

Importing all commands takes half a second, and only one runs at a time. This is click's own way to do it ("Lazily
Loading Subcommands" in its documentation).
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from lkhub import __version__
from lkhub.cli.shared.app import make_app
from lkhub.errors import InputError
from lkhub.shown import printable

# Names of commands, and the modules below lkhub.cli that have them: a function of that name, or an `app` of several.
COMMANDS = {
    "init": "init",
    "up": "up",
    "down": "down",
    "restart": "down",
    "status": "status",
    "logs": "logs",
    "verify": "verify",
    "token": "token",
    "access": "access",
    "rooms": "rooms",
    "webhooks": "webhooks",
    "agents": "agents",
    "invite": "invite",
    "env": "env",
    "keys": "keys",
    "plan": "plan",
    "render": "render",
    "check": "check",
    "trust": "trust",
    "firewall": "firewall",
    "install": "install",
    "uninstall": "install",
    "upgrade": "upgrade",
    "backup": "backup",
    "restore": "restore",
    "spec": "spec",
}


class Commands(TyperGroup):
    """The commands of COMMANDS."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    # Typer has a click of its own, whose types are private.
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(COMMANDS[cmd_name], cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean `lkhub {near[0]}`?" if near else "`lkhub --help` lists the commands"
            raise InputError(f"there is no command {printable(args[0])}", hints=(hint,))
        return super().resolve_command(ctx, args)


def list_below(command: Any) -> dict[str, Any]:  # typer gives no type to the click that it has inside
    """The commands of a group by name, all imported; nothing for a command that is not a group."""
    names = command.list_commands(None) if hasattr(command, "list_commands") else ()
    return {name: command.get_command(None, name) for name in names}


def _load(module: str, name: str) -> Any:
    loaded = import_module(f"lkhub.cli.{module}")
    if not hasattr(loaded, name):
        return get_command(loaded.app)
    app = make_app()
    app.command(name)(getattr(loaded, name))
    return get_command(app)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"lkhub {__version__}")
        raise typer.Exit


app = make_app(
    name="lkhub",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A private, verified LiveKit from one spec and one command."""
