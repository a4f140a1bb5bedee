"""How `lkhub keys` shows keys, who uses them, and files of applications."""

import time
from collections.abc import Callable, Iterable

from lkhub.cli.shared.show import lasting, out, say
from lkhub.cli.shared.table import show_table
from lkhub.hub.keys import KnownKey, KnownKeys
from lkhub.hub.written import Rewritten
from lkhub.livekit.tokens import show_name
from lkhub.state.baked import BakedToken
from lkhub.wire.engine import KeyCaller

UNKNOWN = "it is not known who uses which key: the hub's own media tells it, while it runs"


def pack_keys(known: KnownKeys) -> dict[str, object]:
    """The answer of `lkhub keys list --json`."""
    keys = [_pack_key(key) for key in known.keys]
    return {"keys": keys, "managed": known.managed, "since": known.since, "unfinished": known.unfinished}


def _pack_key(key: KnownKey) -> dict[str, object]:
    uses = key.uses
    return {
        "id": key.id,
        "state": key.state,
        "made": key.made,
        "retired": key.retired,
        "requests": uses.count if uses else None,
        "participants": uses.participants if uses else None,
        "callers": [_pack_caller(caller) for caller in uses.callers] if uses else None,
        "files": key.files,
        "tokens": [_pack_token(token) for token in key.tokens],
    }


def _pack_token(token: BakedToken) -> dict[str, object]:
    return {
        "variable": token.variable,
        "file": token.file or None,
        "room": token.room,
        "identity": token.identity,
        "role": token.role or None,
        "until": token.until,
    }


def _pack_caller(caller: KeyCaller) -> dict[str, object]:
    return {
        "kind": caller.kind,
        "identity": caller.identity,
        "address": caller.address,
        "requests": caller.count,
        "at": caller.at,
    }


def pack_file(file: Rewritten) -> dict[str, object]:
    """A file in the answers of `lkhub keys rotate --json` and `revoke --json`."""
    return {"path": file.path, "outcome": file.outcome, "detail": file.detail, "command": file.command}


def show_keys(known: KnownKeys) -> None:
    """A line for each key, and who still comes with a retiring one."""
    show_table(("KEY", "STATE", "MADE", "REQUESTS", "LAST USED"), [_describe_key(key) for key in known.keys])
    for key in known.keys:
        if key.state == "retiring":
            if key.uses is None and (key.files or key.tokens):
                out.print(f"what the hub has written with {show_name(key.id)}:")
            show_callers(key, known.since, out.print)
            for path in key.files:
                out.print(f"  in {path}")
            show_tokens(key.tokens, out.print)


def _describe_key(key: KnownKey) -> tuple[str, ...]:
    made = "unknown" if key.made is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(key.made))
    if key.uses is None:
        return show_name(key.id), key.state, made, "unknown", "unknown"
    last = next(iter(key.uses.callers), None)
    used = f"{lasting(last.at)} ago, {_describe_caller(last)}" if last else "never"
    return show_name(key.id), key.state, made, str(key.uses.count), used


def _describe_caller(caller: KeyCaller) -> str:
    by = f" by {show_name(caller.identity)}" if caller.identity else ""
    return f"{caller.kind}{by} from {caller.address}"


def show_callers(key: KnownKey, since: float | None, tell: Callable[[str], None]) -> None:
    """Tell who came with a key since media started, the last caller first."""
    began = f" since media started {lasting(since)} ago" if since is not None else ""
    if key.uses is None:
        return
    if not key.uses.callers:
        tell(f"nobody has come with {show_name(key.id)}{began}")
        return
    tell(f"who came with {show_name(key.id)}{began}:")
    for caller in key.uses.callers:
        times = "once" if caller.count == 1 else f"{caller.count} times"
        tell(f"  {_describe_caller(caller)}, {times}, {lasting(caller.at)} ago")


def show_tokens(tokens: Iterable[BakedToken], tell: Callable[[str], None]) -> None:
    """Tell where tokens are that `lkhub token --dotenv` has printed, the first to end first."""
    for token in tokens:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(token.until))
        place = f" in {token.file}" if token.file else ""
        # Made anew without it, the token would let a listener speak.
        role = f" as {show_name(token.role)}" if token.role else ""
        where = f"in room {show_name(token.room)}{role}"
        tell(f"  {token.variable}{place}: {show_name(token.identity)} {where}, until {until}")


def show_files(files: Iterable[Rewritten], *, only_failures: bool = False) -> bool:
    """Say what became of each file of an application. False where one still has an older key."""
    well = True
    for file in files:
        if file.outcome == "updated":
            if not only_failures:
                say(f"{file.path} has the new key")
            continue
        say(f"{file.path} was not changed: {file.detail}", "warning", "yellow")
        if file.command:
            say(f"`{file.command}` puts the key into it", indent="  ")
        well = well and file.outcome not in ("forbidden", "failed")
    return well
