"""Builds a web site: the work of `lkhub build-site`, which the supervisor starts."""

import contextlib
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from lkhub.errors import HubError, MachineError
from lkhub.host.build import build_in, end_build
from lkhub.host.files import ensure_private_dir, explain_os_errors
from lkhub.host.keyfile import load_keys
from lkhub.host.processes import ProcessId, identify, is_alive
from lkhub.host.project import copy_project, digest_project, publish
from lkhub.host.trees import let_all_read, remove_tree
from lkhub.hub.build_apart import Built, NotBegunError, give_out
from lkhub.hub.recording import recording
from lkhub.livekit.tokens import Grant, sign
from lkhub.plan.paths import StatePaths
from lkhub.shown import quote
from lkhub.state.baked import BakedToken, add_baked, read_baked, write_baked
from lkhub.state.document import find_record, write_record
from lkhub.state.site_build import ServedBuild, SiteBuildRecord, find_site_build, write_site_build
from lkhub.wire.site_build import Builder, BuildRequest, MadeToken, SiteBuild

# For a build as another user, which can't enter the state directory. Not /tmp: that is memory on many machines.
_SCRATCH = "/var/tmp"  # noqa: S108

MakeGrant = Callable[[MadeToken], Grant]


def build_site(build: SiteBuild, make_grant: MakeGrant, say: Callable[[str], None]) -> None:
    """Build a site, and lead visitors to its files, if that has not been done. A build that fails is noted in its
    record, and visitors get the files of the one before. Raises MachineError where this machine prevents it."""
    paths = StatePaths(build.state)
    ensure_private_dir(paths.sites)
    ensure_private_dir(paths.site(build.name))
    with _one_at_a_time(paths.site(build.name), say):
        _build_once(build, paths, make_grant, say)


@contextlib.contextmanager
def _one_at_a_time(folder: str, say: Callable[[str], None]) -> Iterator[None]:
    """Each build removes what an earlier one has left, and that one may still go on: a supervisor that was killed has
    started it."""
    with explain_os_errors(folder, "lock"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with explain_os_errors(folder, "lock"):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another build of this site goes on, and ends first")
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build_once(build: SiteBuild, paths: StatePaths, make_grant: MakeGrant, say: Callable[[str], None]) -> None:
    before = find_site_build(paths, build.name)
    served = before.served if before and os.path.exists(paths.site_files(build.name)) else None
    done = before is not None and (before.problem or (served and _is_whole(paths, build.name, served)))
    if before and done and (before.inputs, before.again) == (build.inputs, build.again):
        say("nothing has changed since the last build" if served else f"the last build failed: {before.problem}")
        return
    if not build.apart and os.geteuid() == 0:
        raise MachineError(f"{build.name} would be built as root", hints=("`lkhub up` plans a user for it",))
    now = time.time()
    tokens, key = _make_tokens(build, paths, make_grant, now)
    say(f"building {build.name} in a copy of {build.project}: {build.command}")
    with _scratch(paths, build) as (scratch, opened, note):
        problem = ""
        missing: Builder = ""
        lines: tuple[str, ...] = ()
        try:
            how = _build_apart(build, scratch, tokens) if build.given else _build(build, scratch, opened, tokens, note)
            with how as built:
                problem, lines = built.problem, built.lines
                if not problem:
                    _publish(build, paths, built)
        except HubError as error:
            problem = quote(error.message)  # it may name a file of the build's
            missing = build.builder if isinstance(error, NotBegunError) else ""
    if not problem:
        ends = [now + token.ttl for token in build.tokens]
        files = digest_project(os.path.realpath(paths.site_files(build.name)))
        served = ServedBuild(now, key, min(ends, default=None), files)
        _note_tokens(build, paths, key, now)
    say(f"not built: {problem}" if problem else f"built, and served from now on ({time.time() - now:.0f} s)")
    record = SiteBuildRecord(build.inputs, build.again, time.time(), problem, lines, build.apart, served, missing)
    write_site_build(paths, build.name, record)


def _is_whole(paths: StatePaths, name: str, served: ServedBuild) -> bool:
    """Whether visitors get the files as they were made. After a power cut, some may be damaged."""
    return served.files in ("", digest_project(os.path.realpath(paths.site_files(name))))


@contextlib.contextmanager
def _build(
    build: SiteBuild, scratch: str, opened: int, tokens: Mapping[str, str], note: Callable[[int], None]
) -> Iterator[Built]:
    """Build in `scratch`, whose folder is `opened`. `note` is called with the pid of the build."""
    copy_project(build.project, f"{scratch}/project", build.skipped)
    ended = build_in(scratch, build.command, build.texts, tokens, sys.stdout.buffer, build.uid, note)
    yield Built(ended.problem, ended.lines, opened, build.uid)


@contextlib.contextmanager
def _build_apart(build: SiteBuild, scratch: str, tokens: Mapping[str, str]) -> Iterator[Built]:
    """Have it built in the sandbox of another process, which gets a copy of the project to read, and nothing else."""
    project = f"{scratch}/project"
    copy_project(build.project, project, build.skipped)
    with explain_os_errors(project, "change"):
        let_all_read(project)
    request = BuildRequest(build.command, build.output, build.texts, dict(tokens))
    with give_out(build, project, request, sys.stdout.buffer) as built:
        yield built


def _publish(build: SiteBuild, paths: StatePaths, built: Built) -> None:
    link = paths.site_files(build.name)
    folder = os.path.dirname(link)
    new = os.path.join(folder, f"files-{token_hex(4)}")
    try:
        publish(built.folder, os.path.join("project", build.output), new, link, built.uid)
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
    for name in os.listdir(kept):  # of a build that was killed before it could note it
        _remove(f"{kept}/{name}")
    parent = _SCRATCH if build.uid is not None and os.path.isdir(_SCRATCH) else kept
    with explain_os_errors(parent, "write"):
        scratch = tempfile.mkdtemp(prefix=f"lkhub-{build.name}-", dir=parent)
        folder = f"{scratch}/build"
        os.mkdir(folder, 0o700)
        os.chmod(scratch, 0o711)  # noqa: S103 (its user goes through it, and sees nothing)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        write_record(_Scratch(scratch), note)
        yield folder, opened, lambda pid: write_record(_Scratch(scratch, identify(pid)), note)
    finally:
        os.close(opened)
        _remove(scratch)
        Path(note).unlink(missing_ok=True)


def _remove(scratch: str) -> None:
    """The name of such a folder says what it is: nothing else is removed, whatever a damaged note says."""
    if os.path.basename(scratch).startswith("lkhub-"):
        remove_tree(*os.path.split(scratch))
