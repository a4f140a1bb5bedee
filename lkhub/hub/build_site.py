"""Builds a web site: the work of `lkhub build-site`, which the supervisor starts."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from lkhub.errors import HubError, MachineError
from lkhub.host.build import end_build, run_build
from lkhub.host.environ import tool_environ
from lkhub.host.files import ensure_private_dir, explain_os_errors
from lkhub.host.keyfile import load_keys
from lkhub.host.processes import ProcessId, identify, is_alive
from lkhub.host.project import copy_project, digest_project, own_tree, publish
from lkhub.host.trees import remove_tree
from lkhub.hub.recording import recording
from lkhub.livekit.tokens import Grant, sign
from lkhub.plan.paths import StatePaths
from lkhub.state.baked import BakedToken, add_baked, read_baked, write_baked
from lkhub.state.document import find_record, write_record
from lkhub.state.site_build import ServedBuild, SiteBuildRecord, find_site_build, write_site_build
from lkhub.wire.site_build import MadeToken, SiteBuild

# For a build as another user, which can't enter the state directory. Not /tmp: that is memory on many machines.
_SCRATCH = "/var/tmp"  # noqa: S108

# What a build needs to know of this machine. Anything else may be a secret.
_KEPT = ("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

MakeGrant = Callable[[MadeToken], Grant]


def build_site(build: SiteBuild, make_grant: MakeGrant, say: Callable[[str], None]) -> None:
    """Build a site, and lead visitors to its files, if that has not been done. A build that fails is noted in its
    record, and visitors get the files of the one before. Raises MachineError where this machine prevents it."""
    paths = StatePaths(build.state)
    before = find_site_build(paths, build.name)
    served = before.served if before and os.path.exists(paths.site_files(build.name)) else None
    done = before is not None and (before.problem or (served and _is_whole(paths, build.name, served)))
    if before and done and (before.inputs, before.again) == (build.inputs, build.again):
        say("nothing has changed since the last build" if served else f"the last build failed: {before.problem}")
        return
    if build.uid is None and os.geteuid() == 0:
        raise MachineError(f"{build.name} would be built as root", hints=("`lkhub up` plans a user for it",))
    now = time.time()
    ensure_private_dir(paths.sites)
    ensure_private_dir(paths.site(build.name))
    tokens, key = _make_tokens(build, paths, make_grant, now)
    say(f"building {build.name} in a copy of {build.project}: {build.command}")
    with _scratch(paths, build) as (scratch, opened, note):
        problem, lines = _build(build, scratch, tokens, note)
        if not problem:
            try:
                _publish(build, paths, opened)
            except HubError as error:
                problem = error.message
    if not problem:
        ends = [now + token.ttl for token in build.tokens]
        files = digest_project(os.path.realpath(paths.site_files(build.name)))
        served = ServedBuild(now, key, min(ends, default=None), files)
        _note_tokens(build, paths, key, now)
    say(f"not built: {problem}" if problem else f"built, and served from now on ({time.time() - now:.0f} s)")
    apart = build.uid is not None
    record = SiteBuildRecord(build.inputs, build.again, time.time(), problem, lines, apart, served)
    write_site_build(paths, build.name, record)


def _is_whole(paths: StatePaths, name: str, served: ServedBuild) -> bool:
    """Whether visitors get the files as they were made. After a power cut, some may be damaged."""
    return served.files in ("", digest_project(os.path.realpath(paths.site_files(name))))


def _build(
    build: SiteBuild, scratch: str, tokens: Mapping[str, str], note: Callable[[int], None]
) -> tuple[str, tuple[str, ...]]:
    """The problem, "" for none, and the last lines. `note` is called with the pid of the build."""
    project = os.path.join(scratch, "project")
    try:
        copy_project(build.project, project, build.skipped)
        for folder in ("home", "tmp"):
            os.mkdir(os.path.join(scratch, folder))
        if build.uid is not None:
            own_tree(scratch, build.uid, build.uid)
    except MachineError as error:
        return error.message, ()
    own = {"HOME": os.path.join(scratch, "home"), "TMPDIR": os.path.join(scratch, "tmp")}
    ours = {name: value for name, value in tool_environ().items() if name in _KEPT or name.startswith("LC_")}
    given = {variable.name: variable.text for variable in build.variables if not variable.token}
    environ = ours | own | given
    try:
        ended = run_build(build.command, project, environ, tokens, sys.stdout.buffer, build.uid, started=note)
    except MachineError as error:
        return error.message, ()
    return ended.problem, ended.lines


def _publish(build: SiteBuild, paths: StatePaths, scratch: int) -> None:
    link = paths.site_files(build.name)
    folder = os.path.dirname(link)
    new = os.path.join(folder, f"files-{token_hex(4)}")
    try:
        publish(scratch, os.path.join("project", build.output), new, link, build.uid)
    except HubError:
        remove_tree(*os.path.split(new))
        raise
    for entry in os.scandir(folder):
        if entry.name.startswith("files-") and entry.path != new:
            remove_tree(folder, entry.name)


def _make_tokens(build: SiteBuild, paths: StatePaths, make_grant: MakeGrant, now: float) -> tuple[dict[str, str], str]:
    """The tokens by their variables, and the ID of the key that signed them; "" where there are none."""
    if not build.tokens:
        return {}, ""
    key, secret = next(iter(load_keys(paths.keys).items()))
    made = {each.name: sign(make_grant(each.token), key, secret, now) for each in build.variables if each.token}
    return made, key


def _note_tokens(build: SiteBuild, paths: StatePaths, key: str, now: float) -> None:
    """`lkhub keys revoke` says that they end."""
    if not build.tokens:
        return
    place = os.path.join(build.project, build.output)
    with recording(paths):
        noted = read_baked(paths, now)
        for each in build.variables:
            if token := each.token:
                made = BakedToken(each.name, token.room, token.identity, key, now + token.ttl, place, token.role)
                noted = add_baked(noted, made)
        write_baked(paths, noted)


@dataclass(frozen=True)
class _Scratch:
    """The folder of a build, and its process, for the next build, should this one be killed."""

    folder: str
    process: ProcessId | None = None


@contextlib.contextmanager
def _scratch(paths: StatePaths, build: SiteBuild) -> Iterator[tuple[str, int, Callable[[int], None]]]:
    """A new folder for one build, by its path and opened, and what notes the pid of that build. The folder is in one of
    ours, where the build can't rename it. What a build has left that was killed is ended and removed first."""
    kept = paths.site(build.name)
    note = os.path.join(kept, "scratch.json")
    if left := find_record(_Scratch, note):
        lives = left.process and is_alive(left.process)
        end_build(left.process.pid if left.process and lives else None, build.uid)
        _remove(left.folder)
    parent = _SCRATCH if build.uid is not None and os.path.isdir(_SCRATCH) else kept
    with explain_os_errors(parent, "write"):
        scratch = tempfile.mkdtemp(prefix=f"lkhub-{build.name}-", dir=parent)
        folder = f"{scratch}/build"
        os.mkdir(folder, 0o700)
        os.chmod(scratch, 0o711)  # noqa: S103 (its user goes through it, and sees nothing)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    write_record(_Scratch(scratch), note)
    try:
        yield folder, opened, lambda pid: write_record(_Scratch(scratch, identify(pid)), note)
    finally:
        os.close(opened)
        _remove(scratch)
        Path(note).unlink(missing_ok=True)


def _remove(scratch: str) -> None:
    """The name of such a folder says what it is: nothing else is removed, whatever a damaged note says."""
    if os.path.basename(scratch).startswith("lkhub-"):
        remove_tree(*os.path.split(scratch))
