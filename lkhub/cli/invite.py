"""`lkhub invite`: links by which people join a room without an account."""

import difflib
import shlex
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.invites_show import warn_of_open
from lkhub.cli.shared.options import HubSpec, Json, State, parse_ttl, require_linkable, require_name
from lkhub.cli.shared.roles import require_role_for
from lkhub.cli.shared.show import err, out, say, show_hints, show_qr
from lkhub.cli.shared.show_json import show_json
from lkhub.cli.shared.store import open_hub_store, read_application
from lkhub.cli.shared.table import show_table
from lkhub.cli.shared.unopened import warn_of_unopened
from lkhub.errors import InputError
from lkhub.hub.applied import require_applied
from lkhub.hub.locate import find_hub, name_state
from lkhub.livekit.links import invite_link
from lkhub.shown import printable
from lkhub.spec.duration import Duration

if TYPE_CHECKING:
    from lkhub.store.invites import Invite

MAX_USES = 1_000_000


class Invites(TyperGroup):
    """`lkhub invite ROOM` is `lkhub invite create ROOM`. `default` is the command that need not be typed."""

    default = "create"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            self._refuse_slip(args)
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def _refuse_slip(self, args: list[str]) -> None:
        """Raise InputError for `lst` and `--json list`: an invite into a room of that name would be open for a week,
        unnoticed."""
        if late := next((each for each in args if each in self.commands), "") if args[0].startswith("-") else "":
            hints = (
                f"options come after it: `lkhub invite {late} …`",
                f"`lkhub invite {self.default} …` makes an invite into a room of that name",
            )
            raise InputError(f"{late} is a command", hints=hints)
        if near := difflib.get_close_matches(args[0], self.commands, n=1):
            hints = (
                f"did you mean `lkhub invite {near[0]}`?",
                f"`lkhub invite {self.default} {shlex.quote(args[0])}` makes an invite into a room of that name",
            )
            raise InputError(f"{printable(args[0])} looks like a command", hints=hints)


app = make_app(cls=Invites, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Links by which people join a room without an account.

    `lkhub invite ROOM` makes one: it is short for `lkhub invite create ROOM`.
    """


@app.command(Invites.default)
def create(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The room that the link opens.")],
    role: Annotated[
        str | None, typer.Option(help="What those who come may do, as access.roles says. Default: access.default_role.")
    ] = None,
    uses: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_USES, metavar="N", help="How many people it lets in. Default: any number."),
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it can be used: 90s, 30m, 6h, 30d.")] = "7d",
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print a link into one room, which several people may use.

    Each of them gets an identity of their own. Whoever has the link can join: it is no proof of who comes.
    """
    if not room.strip():
        raise InputError("ROOM is empty")
    require_name("ROOM", room)
    require_linkable("ROOM", room)
    lasts = parse_ttl(ttl)
    paths = find_hub(spec, state)
    applied = require_applied(paths)
    application = read_application(paths)
    chosen = application.access.default_role if role is None else role
    opens = require_role_for(application, chosen, room).create
    now = time.time()
    with open_hub_store(paths, application) as store, store.writing() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.invites import create_invite

        made, secret = create_invite(
            connection, room=room, role=chosen, uses=uses, creator="command line", now=now, expires=now + lasts
        )
    link = invite_link(applied.urls.web, room, secret.reveal())
    if not opens:
        warn_of_unopened(paths, room)
    if json:
        answer = {"id": made.id, "link": link, "room": room, "role": chosen, "uses": uses}
        show_json({**answer, "expires_at": int(now + lasts)})
        return
    people = "any number of people" if uses is None else "one person" if uses == 1 else f"{uses} people"
    err.print(
        f"it lets {people} into {printable(room)} for {lasts}; "
        f"`lkhub invite revoke {made.id}{name_state(paths)}` ends it"
    )
    # A code is for phones, which can't reach the loopback of this machine.
    if applied.reach == "local":
        say("the link works on this machine alone, since the hub has `reach: local`", "note", "cyan")
    # Below the code stand the link and the prompt: with a link of two lines, 80 columns and 24 rows are enough.
    elif out.is_terminal and not show_qr(link, below=count_lines(link, out.width) + 1):
        err.print("its QR code does not fit into this terminal")
    print(link)


def count_lines(text: str, width: int) -> int:
    """How many lines of a terminal it takes."""
    return -(-len(text) // width)


@app.command("list")
def list_all(spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """List the invites, the newest first: who made them, how often they were used, and whether they still work."""
    paths = find_hub(spec, state)
    with open_hub_store(paths, read_application(paths)) as store, store.reading() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.invites import list_invites

        found = list_invites(connection)
    now = time.time()
    if json:
        show_json({"invites": [describe(each, now) for each in found]})
        return
    show_table(("ID", "STATE", "ROOM", "ROLE", "USED", "MADE BY"), [_show(each, now) for each in found])
    if not found:
        say("there are no invites")
        show_hints([f"`lkhub invite ROOM{name_state(paths)}` makes one"])


@app.command()
def revoke(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="The invite, as `lkhub invite list` shows it, or its link in quotes.")
    ],
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """End an invite at once.

    Nobody joins by its link any more. Who is in the room already stays there, and invites that those who came with it
    have made stay good. The open ones are named, as far as the hub remembers where they come from: it forgets a token
    after ninety days, and an ended invite after thirty. `lkhub invite list` shows all.
    """
    paths = find_hub(spec, state)
    name = name.strip()  # as the page of a link takes it
    before, is_link, fragment = name.partition("#")
    secret = fragment.removeprefix("i=")
    if is_link and secret == fragment:
        hint = "it ends by itself; before that, `lkhub keys rotate` and `lkhub keys revoke` end all that its key signed"
        raise InputError("this is a join link, and no invite", hints=(hint,))
    with open_hub_store(paths, read_application(paths)) as store:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.invites import find_secret, list_open, revoke_invite

        now = time.time()
        with store.writing() as connection:
            found = revoke_invite(connection, find_secret(connection, secret or name) or name, now)
        with store.reading() as connection:
            others = list_open(connection, f"invite {found.id}", now) if found else []
    if found is None:
        hint = f"`lkhub invite list{name_state(paths)}` shows those that there are"
        which = f"with the link {printable(before)}#…" if is_link else printable(name)  # no message repeats a secret
        raise InputError(f"there is no invite {which}", hints=(hint,))
    if json:
        show_json(describe(found, now))
    else:
        err.print(f"invite {found.id} into {printable(found.room)} lets nobody in any more")
    warn_of_open(paths, others, "by those who came with it")


def _show(invite: "Invite", now: float) -> tuple[str, ...]:
    left = "" if invite.expires is None else f" for {_round(invite.expires - now)}"
    state = invite.find_ending(now) or f"open{left}"
    used = f"{invite.used} of {'any number' if invite.uses is None else invite.uses}"
    return invite.id, state, printable(invite.room), invite.role, used, printable(invite.creator)


def describe(invite: "Invite", now: float) -> dict[str, Any]:  # JSON of docs/reference/json.md
    """An invite as JSON. `state` is `open`, or why it has ended."""
    return {
        "id": invite.id,
        "state": invite.find_ending(now) or "open",
        "room": invite.room,
        "role": invite.role,
        "uses": invite.uses,
        "used": invite.used,
        "created_at": int(invite.created),
        "created_by": invite.creator,
        "expires_at": None if invite.expires is None else int(invite.expires),
    }


def _round(seconds: float) -> Duration:
    """To its largest unit, so that a list can be read."""
    unit = next((unit for unit in (86400, 3600, 60) if seconds >= unit), 1)
    return Duration(max(1, int(seconds // unit)) * unit)
