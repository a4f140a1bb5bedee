"""`lkhub access`: API keys of applications, and the log of what was given away."""

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.invites_show import warn_of_open
from lkhub.cli.shared.options import HubSpec, Json, State, parse_ttl, require_name
from lkhub.cli.shared.roles import require_role
from lkhub.cli.shared.show import err, say, show_hints
from lkhub.cli.shared.show_json import show_json
from lkhub.cli.shared.store import open_hub_store, read_application
from lkhub.cli.shared.table import show_table
from lkhub.errors import InputError
from lkhub.hub.locate import find_hub, name_state
from lkhub.shown import printable
from lkhub.spec.globs import globs_meet
from lkhub.spec.types import parse_glob
from lkhub.wire.application import Application

if TYPE_CHECKING:
    from lkhub.store.api_keys import ApiKey
    from lkhub.store.issued import Entry

app = make_app(help="API keys of applications, and the log of issued tokens.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """API keys of applications, and the log of issued tokens."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for, such as the application's name.")],
    room: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="The rooms that it leads into, again for more. Default: all."),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE", help="A role that it may ask for, again for more. Default: access.default_role."),
    ] = None,
    ttl: Annotated[str | None, typer.Option(help="How long it can be used: 12h, 90d. Default: until revoked.")] = None,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print a new API key, which is shown this once and kept nowhere.

    The application sends it as `Authorization: Bearer KEY`. It vouches for its users: each identity that it names is
    taken as it is.
    """
    if not name.strip():
        raise InputError("NAME is empty")
    require_name("NAME", name)
    globs = tuple(_parse_globs(room or ["*"]))
    lasts = None if ttl is None else parse_ttl(ttl)
    paths = find_hub(spec, state)
    application = read_application(paths)
    roles = tuple(dict.fromkeys(role or []))
    for each in roles:
        require_role(application, each)
    _require_way(application, globs, roles)
    with open_hub_store(paths, application) as store, store.writing() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.api_keys import create_api_key

        made, text = create_api_key(connection, name, globs, roles, lasts)
    if json:
        show_json({**_describe(made, time.time()), "key": text})
        return
    err.print(f"`lkhub access revoke {made.id}{name_state(paths)}` ends it")
    if "api-keys" not in application.access.modes:
        say("this hub takes no API keys yet", "note", "cyan")
        modes = ", ".join((*application.access.modes, "api-keys"))
        show_hints([f"write `access: {{modes: [{modes}]}}` into the spec, then `lkhub up`"])
    print(text)


@app.command("list")
def list_all(spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """List the API keys, the oldest first: what each leads into, and whether it still works."""
    paths = find_hub(spec, state)
    with open_hub_store(paths, read_application(paths)) as store, store.reading() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.api_keys import list_api_keys

        found = list_api_keys(connection)
    now = time.time()
    if json:
        show_json({"keys": [_describe(key, now) for key in found]})
        return
    show_table(("ID", "STATE", "NAME", "ROOMS", "ROLES", "MADE"), [_show(key, now) for key in found])
    if not found:
        say("there are no API keys")
        show_hints([f"`lkhub access create NAME{name_state(paths)}` makes one"])


@app.command()
def revoke(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The key, as `lkhub access list` shows it.")],
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """End an API key at once.

    It gets no token from the next request on. Tokens that it was given stay valid until they end, and so do the invites
    that were made with it, with them, or by those who came by such an invite. The open ones are named, as far as the
    hub remembers where they come from: it forgets a token after ninety days, and an ended invite after thirty. `lkhub
    invite list` shows all.
    """
    paths = find_hub(spec, state)
    if whole := re.match(r"lkhub_([0-9a-f]{8})_", identifier):  # a secret, which no message repeats
        hint = f"`lkhub access revoke {whole[1]}{name_state(paths)}` ends it"
        raise InputError("ID is the part between the underscores, not the key itself", hints=(hint,))
    with open_hub_store(paths, read_application(paths)) as store:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.api_keys import list_api_keys, revoke_api_key
        from lkhub.store.invites import list_open

        with store.writing() as connection:
            revoke_api_key(connection, identifier)
        # The key has ended by now, and the service can write: to look through a long audit log takes seconds.
        with store.reading() as connection:
            keys = list_api_keys(connection)
            # An application's users may hold them, so they do not end with its key; who has stolen it may, too.
            invites = list_open(connection, f"api-key {identifier}", time.time())
    found = next((key for key in keys if key.id == identifier), None)
    if found is None:
        hint = f"`lkhub access list{name_state(paths)}` shows those that there are"
        if named := [key.id for key in keys if key.name == identifier and key.revoked is None]:
            hint = f"{' or '.join(named)} has that name: `lkhub access revoke {named[0]}{name_state(paths)}`"
        raise InputError(f"there is no API key {printable(identifier)}", hints=(hint,))
    if json:
        show_json(_describe(found, time.time()))
    else:
        err.print(f"API key {found.id} of {printable(found.name)} gets no more tokens")
    warn_of_open(paths, invites, "with it, with its tokens or by those who came so")


@app.command()
def log(
    room: Annotated[str | None, typer.Option(metavar="ROOM", help="Only tokens for this room.")] = None,
    number: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many of the last tokens.")] = 50,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print which tokens were given away: when, to which caller, for which participant and room, and from where.

    The newest stands last. What is older than ninety days is forgotten.
    """
    if room == "":
        raise InputError("--room is empty")
    paths = find_hub(spec, state)
    application = read_application(paths)
    with open_hub_store(paths, application) as store, store.reading() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.issued import list_issued

        found = list_issued(connection, number, room or "")[::-1]
    if not application.used and "open" in application.access.modes:
        say("this hub gives tokens to every program of this machine, and notes those of invites alone", "note", "cyan")
    elif not found:
        say("no token was given away" if room is None else f"no token was given away for room {printable(room)}")
    if json:
        show_json({"issued": [_describe_issued(entry) for entry in found]})
    else:
        show_table(("AT", "CALLER", "IDENTITY", "ROOM", "ROLE", "FROM"), [_show_issued(entry) for entry in found])


def _parse_globs(given: list[str]) -> list[str]:
    try:
        return [parse_glob(each) for each in given]
    except ValueError as error:
        raise InputError(f"--room: {error}") from None


def _require_way(application: Application, globs: Sequence[str], roles: Sequence[str]) -> None:
    """Raise InputError for a role in which the key would get no token at all."""
    for name in roles or (application.access.default_role,):
        own = application.access.roles[name].rooms
        if not any(globs_meet(glob, each) for glob in globs for each in own):
            which = f"role {name}" if roles else f"the default role, {name},"
            raise InputError(
                f"{which} does not lead into {' or '.join(map(printable, globs))}",
                hints=(f"it leads into {' '.join(map(printable, own)) or 'no room'}",),
            )


def _find_state(key: "ApiKey", now: float) -> str:
    if key.revoked is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def _show(key: "ApiKey", now: float) -> tuple[str, ...]:
    state = _find_state(key, now)
    if state == "valid" and key.expires is not None:
        state = time.strftime("until %Y-%m-%d %H:%M", time.localtime(key.expires))
    made = time.strftime("%Y-%m-%d", time.localtime(key.created))
    rooms, roles = " ".join(map(printable, key.rooms)), " ".join(key.roles) or "the default"
    return key.id, state, printable(key.name), rooms, roles, made


def _show_issued(entry: "Entry") -> tuple[str, ...]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at))
    names = (entry.caller, entry.identity, entry.room)
    return at, *(printable(name) for name in names), entry.role, printable(entry.address)


def _describe(key: "ApiKey", now: float) -> dict[str, Any]:  # JSON of docs/reference/json.md
    return {
        "id": key.id,
        "name": key.name,
        "state": _find_state(key, now),
        "rooms": list(key.rooms),
        "roles": list(key.roles),
        "created_at": int(key.created),
        "expires_at": None if key.expires is None else int(key.expires),
        "revoked_at": None if key.revoked is None else int(key.revoked),
    }


def _describe_issued(entry: "Entry") -> dict[str, Any]:  # JSON of docs/reference/json.md
    return {
        "at": entry.at,
        "caller": entry.caller,
        "identity": entry.identity,
        "room": entry.room,
        "role": entry.role,
        "address": entry.address,
    }
