"""The same machine for an ordinary user: `lkhub` with nobody's rights, and an engine file that may be changed."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lkhub.host.engine import bundled_engine
from tests.kit.hub import Hub

NOBODY = 65534

_ROOT = Path(__file__).parents[2]
_HOME = Path(sys.base_prefix)


@contextmanager
def as_nobody(hub: Hub, folder: Path) -> Iterator[Path]:
    """All processes of `hub` run as the user nobody while the block runs. Yields the engine's file, a copy in `folder`
    in place of the installed one. The hub's prefix must make a separate mount namespace, as `ip netns exec` does, so
    that the mounts are visible only there.
    """
    engine = folder / "lkhub-engine"
    shutil.copy(bundled_engine(), engine)
    script = "\n".join(["set -e", *_mount(folder, engine), f'exec {_DROP} {_environ(hub)} "$@"'])
    before = hub.prefix
    # The user nobody may not enter pytest's own folders, which belong to the user that runs the tests.
    os.chown(hub.folder, NOBODY, NOBODY)
    hub.prefix = [*before, "sh", "-c", script, "sh"]
    try:
        yield engine
        hub.run("down", "--now")
    finally:
        hub.prefix = before


_DROP = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"


def _environ(hub: Hub) -> str:
    return f"env HOME={hub.folder} XDG_CACHE_HOME={hub.folder}"


def _mount(folder: Path, engine: Path) -> Iterator[str]:
    """Commands that mount the copy over the installed engine, and give access to Python and to the source if they are
    in a developer's private folder."""
    yield f"mount --bind {engine} {bundled_engine()}"
    needed = [path for path in (_HOME, _ROOT) if _find_closed(path)]
    for number, path in enumerate(needed):
        kept = folder / f"kept{number}"
        kept.mkdir()
        yield f"mount --rbind {path} {kept}"
    for top in dict.fromkeys(_find_closed(path) for path in needed):
        yield f"mount -t tmpfs -o mode=755 tmpfs {top}"
    for number, path in enumerate(needed):
        yield f"mkdir -p {path}"
        yield f"mount --rbind {folder}/kept{number} {path}"


def _find_closed(path: Path) -> Path | None:
    """The first folder of `path` that other users may not enter."""
    way: Sequence[Path] = [*reversed(path.parents), path]
    return next((part for part in way if not part.stat().st_mode & stat.S_IXOTH), None)
