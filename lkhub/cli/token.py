"""`lkhub token`: a token, or a link, for one person and one room."""

import re
import time
from typing import Annotated

import typer

from lkhub.cli.shared.options import HubSpec, Json, State, parse_ttl, require_linkable, require_name
from lkhub.cli.shared.show import say
from lkhub.cli.shared.show_json import show_json
from lkhub.cli.shared.store import read_application
from lkhub.cli.shared.unopened import warn_of_unopened
from lkhub.errors import InputError
from lkhub.host.output import find_output_file
from lkhub.hub.applied import require_applied
from lkhub.hub.locate import find_hub
from lkhub.hub.tokens import bake_token, make_link, make_token
from lkhub.livekit.links import LINK_TTL_SECONDS
from lkhub.livekit.tokens import DEFAULT_TTL_SECONDS, Grant, join_grant
from lkhub.plan.paths import StatePaths


def token(
    room: Annotated[str, typer.Option(help="The room that the token opens.")],
    identity: Annotated[
        str | None, typer.Option(help="The identity of the participant, unique in the room. Needed without --link.")
    ] = None,
    name: Annotated[str, typer.Option(help="The name that other participants see.")] = "",
    role: Annotated[
        str | None,
        typer.Option(help="What the participant may do, as access.roles says. Default: publish, subscribe, send data."),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            help="How long it is good for: 90s, 30m, 6h, 30d. Default: that of --role, else 6h; 24h for a link."
        ),
    ] = None,
    link: Annotated[
        bool,
        typer.Option("--link", help="Print a join link with the token in its fragment, which browsers never send."),
    ] = False,
    dotenv: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Print NAME=TOKEN, for a .env file. The hub remembers for what and, where stdout is a file, in which: "
            "`lkhub keys revoke` says that the token ends.",
        ),
    ] = None,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print an access token, or with --link a join link, for one person and one room.

    Each person needs a token of their own: a second one with the same identity ends the call of the first.
    """
    asked = {"--link": link, "--dotenv": dotenv is not None, "--json": json}
    if len(forms := [form for form, on in asked.items() if on]) > 1:
        raise InputError(f"{' and '.join(forms)} exclude each other")
    if link and role is not None:
        hint = "`lkhub invite ROOM --role ROLE` makes a link for a role"
        raise InputError("--link and --role exclude each other", hints=(hint,))
    lasts = int(parse_ttl(ttl)) if ttl is not None else None
    paths = find_hub(spec, state)
    require_applied(paths)
    if link:
        _require_names(room, identity or "", name)
        require_linkable("--room", room)
        print(make_link(paths, room, identity, name, LINK_TTL_SECONDS if lasts is None else lasts))
        warn_of_unopened(paths, room)
        return
    if not identity:
        raise InputError("--identity is missing", hints=("every participant of a room needs an identity of their own",))
    _require_names(room, identity, name)
    now = time.time()
    grant = _grant(paths, role, room, identity, name, lasts)
    if dotenv is not None:
        variable = _check_variable(dotenv)
        made, problem = bake_token(paths, variable, room, role or "", grant, now, find_output_file())
        print(f"{variable}={made}")
        if problem is not None:
            say(f"`lkhub keys revoke` will not name this token: {problem.message}", "warning", "yellow")
        return
    made = make_token(paths, grant, now)
    if json:
        url = require_applied(paths).urls.livekit
        answer = {"token": made, "url": url, "room": room, "identity": identity}
        show_json({**answer, "expires_at": int(now) + grant.ttl_seconds})
    else:
        print(made)


def _grant(paths: StatePaths, role: str | None, room: str, identity: str, name: str, lasts: int | None) -> Grant:
    """What the token allows: all that a plain participant may, or what the role says."""
    if role is None:
        seconds = DEFAULT_TTL_SECONDS if lasts is None else lasts
        return Grant(identity, join_grant(room), name=name, ttl_seconds=seconds)
    # Imported here: it costs 150 ms, which a token without a role does without.
    from lkhub.cli.shared.roles import require_role_for
    from lkhub.service.roles import grant_role

    application = read_application(paths)
    given = require_role_for(application, role, room)
    video = grant_role(given, room, opens=application.access.create == "operator")
    return Grant(identity, video, name=name, ttl_seconds=given.ttl if lasts is None else lasts)


def _require_names(room: str, identity: str, name: str) -> None:
    for option, value in (("--room", room), ("--identity", identity), ("--name", name)):
        require_name(option, value)
    if not room:
        raise InputError("--room is empty", hints=("such a token would open every room",))


def _check_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise InputError(f"--dotenv {name} is not the name of a variable")
    return name
