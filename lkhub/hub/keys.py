"""The API keys of a hub: who uses which, a new one, and the end of an old one. Whether or not the hub runs."""

import time
from dataclasses import dataclass
from typing import Literal

from lkhub.errors import HubError, InputError, MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.control import NotRunningError, ask
from lkhub.host.files import read_input, write_private
from lkhub.host.keyfile import dump_keys, load_keys, revoke_key
from lkhub.host.lock import hold_lock
from lkhub.hub.applied import require_applied
from lkhub.hub.running import ask_running
from lkhub.hub.written import Rewritten, rewrite
from lkhub.plan.paths import StatePaths
from lkhub.prepare.managed_keys import read_kept_keys, read_used_keys
from lkhub.prepare.ring import write_ring
from lkhub.prepare.secrets import rotate_keys
from lkhub.spec.keys import DEV_KEY, KeyFile
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from lkhub.state.applied import load_applied
from lkhub.state.baked import BakedToken, read_baked
from lkhub.state.restore import require_restored
from lkhub.state.ring import read_notes
from lkhub.state.written import read_written
from lkhub.wire.control import KeysChanged, RevokeKeyRequest, RotateKeysRequest, StatusRequest
from lkhub.wire.engine import KeyUses

KeyState = Literal["current", "retiring"]


@dataclass(frozen=True)
class KnownKey:
    """An API key of the hub. `made` and `retired` are epoch seconds, None where they are not known. `uses`: what media
    tells of it, None if media can't be asked. `files` are the applications' files on record that have it, and `tokens`
    what `lkhub token --dotenv` has signed with it and is still good."""

    id: str
    state: KeyState
    made: float | None = None
    retired: float | None = None
    uses: KeyUses | None = None
    files: tuple[str, ...] = ()
    tokens: tuple[BakedToken, ...] = ()


@dataclass(frozen=True)
class KnownKeys:
    """The keys that the hub accepts, the current one first. `managed`: lkhub generated them. `since` is when media
    began to count their uses, None where that is not known. `unfinished` are keys of a change that is not in force."""

    keys: tuple[KnownKey, ...]
    managed: bool
    since: float | None = None
    unfinished: tuple[str, ...] = ()


def list_keys(paths: StatePaths) -> KnownKeys:
    """Raises MachineError where the hub has no keys yet."""
    keys, managed = load_keys(paths.keys), read_used_keys(paths, lambda: _load_spec(paths))
    is_managed = next(iter(keys)) in managed
    uses, since = _ask_uses(paths)
    notes = read_notes(paths) if is_managed else {}
    files, baked = _list_files(paths), read_baked(paths, time.time())
    known = []
    for number, name in enumerate(keys):
        note = notes.get(name)
        state: KeyState = "retiring" if number else "current"
        times = (note.made, note.retired) if note else (None, None)
        has = tuple(path for path, key in files if key == name)
        tokens = tuple(each for each in baked if each.key == name)
        known.append(KnownKey(name, state, *times, uses=uses.get(name), files=has, tokens=tokens))
    unfinished = tuple(managed) if is_managed and list(managed) != list(keys) else ()
    return KnownKeys(tuple(known), is_managed, since, unfinished)


def _list_files(paths: StatePaths) -> list[tuple[str, str]]:
    try:
        return [(file.path, file.key) for file in read_written(paths)]
    except MachineError:  # `rewrite` says what is wrong with the record
        return []


def _ask_uses(paths: StatePaths) -> tuple[dict[str, KeyUses], float | None]:
    """Of media, and of earlier media processes that finish their calls. Of none, unless all of them tell theirs."""
    try:
        report = ask(paths.control, StatusRequest(max_age=0.0))
    except HubError:
        return {}, None
    before = [process for process in report.retired if "knows-participants" in process.roles]
    total: dict[str, KeyUses] = {}
    for told in (report.media.keys if report.media else None, *(process.keys for process in before)):
        if told is None:
            return {}, None
        for uses in told:
            total[uses.id] = _add(total[uses.id], uses) if uses.id in total else uses
    since = [process.since for process in report.processes if "knows-participants" in process.roles]
    # When an earlier one began to count is not known.
    return total, since[0] if since and not before else None


def _add(one: KeyUses, other: KeyUses) -> KeyUses:
    callers = sorted((*one.callers, *other.callers), key=lambda caller: caller.at, reverse=True)
    return KeyUses(one.id, one.count + other.count, one.participants + other.participants, tuple(callers))


def rotate(paths: StatePaths, *, now: bool) -> KeysChanged:
    """Make a new key the current one. Raises InputError with the steps where the spec names the keys."""
    require_managed(paths)
    try:
        return ask_running(paths, RotateKeysRequest(now))
    except NotRunningError as error:
        if error.busy:
            raise
        return _change_files(paths, revoked=None)


def require_revocable(paths: StatePaths, name: str) -> None:
    """Raise InputError if this key can't be revoked."""
    require_managed(paths)
    revoke_key(load_keys(paths.keys), name)
    if _signs_webhooks(paths, name):
        current = next(iter(load_keys(paths.keys)))
        steps = f"write `api_key: {current}` there, then `lkhub up`, and revoke this key afterwards"
        named = "livekit.webhook.api_key in hub.yaml signs webhooks with this key, and the next start needs it"
        raise InputError(named, hints=(steps,))


def revoke(paths: StatePaths, name: str, *, now: bool) -> KeysChanged:
    """Accept a retiring key no longer."""
    require_revocable(paths, name)
    try:
        return ask_running(paths, RevokeKeyRequest(name, now))
    except NotRunningError as error:
        if error.busy:
            raise
        return _change_files(paths, revoked=name)


def _change_files(paths: StatePaths, revoked: str | None) -> KeysChanged:
    """The change for a hub that does not run. Its next start finds the new keys. Root makes it as the hub's own
    user."""
    with acting_as_owner(paths.root), hold_lock(paths):
        require_restored(paths)
        before = read_kept_keys(paths)
        after = rotate_keys(before) if revoked is None else revoke_key(before, revoked)
        write_ring(paths, before, after)
        write_private(paths.keys, dump_keys(after))
    current, *retiring = after
    return KeysChanged(current, tuple(retiring))


def follow_files(paths: StatePaths) -> tuple[Rewritten, ...]:
    """Put the current key into the files that `lkhub env --write` has written. Raises MachineError."""
    return rewrite(paths, time.time())


def _signs_webhooks(paths: StatePaths, name: str) -> bool:
    """Whether the spec in force says that LiveKit signs webhooks with this key."""
    spec = _load_spec(paths)
    webhook = spec.livekit.get("webhook") if spec else None
    return isinstance(webhook, dict) and webhook.get("api_key") == name


def _load_spec(paths: StatePaths) -> Spec | None:
    applied = load_applied(paths)
    if applied is None or applied.spec is None:
        return None
    try:
        return load_spec(read_input(applied.spec), applied.spec).spec
    except HubError:
        return None


def require_managed(paths: StatePaths) -> None:
    """Raise InputError, with the steps to a new key, if the keys in force are not generated by lkhub."""
    require_applied(paths)
    spec = _load_spec(paths)
    if next(iter(load_keys(paths.keys))) in read_used_keys(paths, lambda: spec):
        return
    source = spec.keys.source if spec else None
    if source == "dev":
        applied = require_applied(paths)
        own = "take `source: dev` out of the spec, then `lkhub up`: the hub makes a key of its own"
        if applied.spec == paths.dev_spec:
            own = "`lkhub down` stops this hub; without `--dev`, `up` starts one that has a key of its own"
        raise InputError(
            f"this hub has the key of development, {DEV_KEY}, which everybody knows and which never changes",
            hints=(own,),
        )
    raise InputError(
        "the spec names the keys of this hub (keys.source), so only its author can change them",
        hints=_list_steps(source.file.path if isinstance(source, KeyFile) else None),
    )


def _list_steps(file: str | None) -> tuple[str, ...]:
    both = "the new one on the first line, as NAME: SECRET, and the old one below"
    first = (
        f"put both keys into {file}, {both}"
        if file
        else f"write both keys into a file of mode 0600, {both}, and its path as `keys.source: {{file: PATH}}`"
    )
    return (
        f"{first}; `openssl rand -hex 32` makes a secret",
        "then `lkhub up`: the hub signs with the first key, accepts both, and interrupts no call",
        "give the new key to your applications; `lkhub keys list` shows who still comes with the old one",
        "remove the old key from the file, then `lkhub up`: it is not accepted any more",
    )
