"""`lkhub keys`: the API keys of a hub."""

import sys
from typing import Annotated

import typer

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.invites_show import warn_of_open
from lkhub.cli.shared.keys_show import UNKNOWN, pack_file, pack_keys, show_callers, show_files, show_keys, show_tokens
from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.show import out, say
from lkhub.cli.shared.show_json import show_json
from lkhub.cli.shared.store import find_participants_invites, find_receivers
from lkhub.errors import EXIT_UNWELL, HubError, InputError
from lkhub.hub.keys import KnownKey, KnownKeys, follow_files, list_keys, require_revocable, revoke, rotate
from lkhub.hub.locate import find_hub
from lkhub.hub.written import Rewritten
from lkhub.livekit.tokens import show_name
from lkhub.plan.paths import StatePaths
from lkhub.wire.control import KeysChanged

app = make_app(help="The API keys of a hub.", no_args_is_help=True)

Now = Annotated[
    bool,
    typer.Option(
        "--now",
        help="With a livekit-server of your own (engine), which reads its keys at its start alone: restart it now, "
        "even if people are in a call. The hub's own is not restarted.",
    ),
]


@app.callback()
def _group() -> None:
    """The API keys of a hub."""


@app.command("list")
def list_all(spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """Show the keys that the hub accepts, and who comes with which.

    The hub signs with the current key. A retiring key is accepted until it is revoked. Requests are counted since media
    started. No secret is shown.
    """
    known = list_keys(find_hub(spec, state))
    if json:
        show_json(pack_keys(known))
        return
    show_keys(known)
    if known.keys[0].uses is None:
        say(UNKNOWN, "note", "cyan")
    if known.unfinished:
        say(f"a change to {_join(known.unfinished)} is not in force yet; `lkhub up` makes it so", "note", "cyan")


@app.command("rotate")
def rotate_key(now: Now = False, spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """Make a new key, sign with it from now on, and go on accepting the old one.

    No call is interrupted: media reads its keys again, and people who are in a call get a token of the new key. Files
    that `lkhub env --write` has written get the new key. Exits 1 if one of them could not be written.
    """
    paths = find_hub(spec, state)
    changed = rotate(paths, now=now)
    if changed.pending:
        _show_pending(changed, json)
        return
    files, problem = _follow(paths)
    if json:
        show_json({"current": changed.current, "retiring": changed.retiring, **_pack_change(changed, files)})
        well = problem is None and not any(file.outcome in ("forbidden", "failed") for file in files)
    else:
        out.print(changed.current)
        say("this is the current key: the hub signs with it")
        _show_cut(changed)
        well = show_files(files) and problem is None
        older = _join(changed.retiring)
        are, them = ("is", "it") if len(changed.retiring) == 1 else ("are", "them")
        say(f"{older} {are} accepted until you revoke {them}; `lkhub keys list` shows who still comes with {them}")
        say("applications that were told the key by hand need the new one: `lkhub env` prints it")
    if problem is not None:
        say(problem.message, "warning", "yellow")
    if not well:
        raise typer.Exit(EXIT_UNWELL)


@app.command("revoke")
def revoke_one(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A retiring key, as `lkhub keys list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    now: Now = False,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Accept a retiring key no longer, from now on and for no request.

    Says first what that cuts off, and asks. Every token that was signed with the key is refused, wherever it is: in
    join links, in web sites that were built with one, in applications. People who are in a call stay in it, and media
    has given them tokens of the current key; `lkhub rooms remove` ends the call of one. Invites that participants have
    made stay good, also those that were made with the key's tokens: the open ones are named.
    """
    paths = find_hub(spec, state)
    require_revocable(paths, key)
    files, problem = _follow(paths)
    known = list_keys(paths)
    [wanted] = [each for each in known.keys if each.id == key]
    if not json:
        show_files(files, only_failures=True)
        if problem is not None:
            say(problem.message, "warning", "yellow")
        _show_consequences(wanted, known)
    if not yes:
        if not json:
            _show_receivers(paths, key)
        _ask(key)
    changed = revoke(paths, key, now=now)
    # Only now: a store that does not answer keeps no key good.
    if yes and not json:
        _show_receivers(paths, key)
    # Until now, whoever has the key could make another.
    _show_invites(paths)
    if json:
        show_json({"revoked": None if changed.pending else key, **_pack_change(changed, files)})
    elif not changed.pending:
        _show_cut(changed)
        say(f"{show_name(key)} is revoked: nothing that is signed with it is accepted any more")
    if changed.pending:
        waits = f"{show_name(key)} is still accepted: livekit-server reads its keys at its start, and waits for the end"
        say(f"{waits} of the calls ({_count(changed.people)}); `--now` does not wait", "warning", "yellow")
        raise typer.Exit(EXIT_UNWELL)


def _follow(paths: StatePaths) -> tuple[tuple[Rewritten, ...], HubError | None]:
    """Put the current key into the files of applications; what kept all of them from it."""
    try:
        return follow_files(paths), None
    except HubError as error:
        return (), error


def _pack_change(changed: KeysChanged, files: tuple[Rewritten, ...]) -> dict[str, object]:
    return {"pending": changed.pending, "cut": changed.cut, "files": [pack_file(file) for file in files]}


def _show_pending(changed: KeysChanged, json: bool) -> None:
    if json:
        answer = {"current": changed.retiring[0], "retiring": changed.retiring[1:], "next": changed.current}
        show_json({**answer, **_pack_change(changed, ())})
        return
    out.print(changed.current)
    say(
        f"this key becomes the current one when livekit-server restarts, which waits for the end of the calls "
        f"({_count(changed.people)}): it reads its keys at its start alone. `lkhub up --now` does not wait"
    )
    say("then give it to your applications: `lkhub env` prints it, and `lkhub env --write FILE` writes it")


def _show_cut(changed: KeysChanged) -> None:
    if changed.cut:
        say(f"livekit-server was restarted; {_count(changed.cut)} lost the connection for a moment", "note", "cyan")


def _show_consequences(key: KnownKey, known: KnownKeys) -> None:
    name = show_name(key.id)
    tokens = "in join links, in web sites that were built with one (`lkhub token --dotenv`), and from applications"
    say(f"every token that was signed with {name} will be refused: {tokens} that have not been given the current key")
    if key.tokens:
        say("of these, `lkhub token --dotenv` has printed, and each has to be made anew:")
        show_tokens(key.tokens, say)
    for path in key.files:
        say(f"{path} still has it", "warning", "yellow")
    if key.uses is None:
        say(UNKNOWN, "note", "cyan")
        return
    show_callers(key, known.since, say)
    if key.uses.participants:
        stay = "stay in it, with a token of the new key; `lkhub rooms remove ROOM IDENTITY` ends the call of one"
        say(f"{_count(key.uses.participants)} in a call came with it and {stay}")
    if any(caller.kind == "agent" for caller in key.uses.callers):
        say("agent workers that came with it are disconnected: start them with the new key")


def _show_receivers(paths: StatePaths, key: str) -> None:
    try:
        receivers = find_receivers(paths, key)
    except HubError as error:
        say(f"it is not known which receivers of webhooks know it: {error.message}", "note", "cyan")
        return
    for url in receivers:
        say(f"{url} took its last webhook with it, and refuses the next unless its application has read the new key")


def _show_invites(paths: StatePaths) -> None:
    # Whoever had the key could sign a token for any room, and make an invite into it that lasts longer than the key.
    try:
        invites = find_participants_invites(paths)
    except HubError as error:
        say(f"it is not known which invites participants have made: {error.message}", "note", "cyan")
        return
    warn_of_open(paths, invites, "by participants, perhaps with tokens of this key,")


def _ask(key: str) -> None:
    if not sys.stdin.isatty():
        raise InputError("nobody can be asked here whether to revoke it", hints=("`--yes` revokes it without asking",))
    if not typer.confirm(f"revoke {show_name(key)}?", err=True):
        say(f"{show_name(key)} was not revoked")
        raise typer.Exit(EXIT_UNWELL)


def _count(people: int | None) -> str:
    return "an unknown number of people" if people is None else "1 person" if people == 1 else f"{people} people"


def _join(names: tuple[str, ...]) -> str:
    return ", ".join(map(show_name, names))
