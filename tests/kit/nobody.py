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
    """Everything of `hub` runs as nobody as long as the block does. Gives the engine's file, a copy in `folder` that
    stands for the installed one.

    The hub's prefix must bring a mount namespace of its own, as `ip netns exec` does: what is mounted is seen there
    alone.
    """
    engine = folder / "lkhub-engine"
    shutil.copy(bundled_engine(), engine)
    script = "\n".join(["set -e", *_mount(folder, engine), f'exec {_DROP} {_environ(hub)} "$@"'])
    before = hub.prefix
    # Nobody is not let into pytest's own folders, which belong to who runs it.
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
    """Commands that lay the copy over the installed engine, and open the way to Python and to the source where it is a
    developer's own."""
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
    """The first folder on the way to `path` that others may not pass."""
    way: Sequence[Path] = [*reversed(path.parents), path]
    return next((part for part in way if not part.stat().st_mode & stat.S_IXOTH), None)
