"""The hub of `lkhub up --dev`."""

from pathlib import Path

from lkhub.errors import InputError
from lkhub.host.files import write_private
from lkhub.host.state_directory import ensure_state_dir
from lkhub.hub.running import find_left, is_running
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import load_applied

_SPEC = """\
# Written by `lkhub up --dev`, each time anew. It is for this machine alone: everybody knows devkey and its secret.
keys: {source: dev}
"""


def write_dev_spec(given: Path | None, state: str) -> str:
    """The path of the spec, in this state directory. InputError where another spec is `given`, or where the hub there
    runs by another one, which would be replaced."""
    paths = StatePaths(state)
    if given is not None:
        hint = f"to use its key with a spec of your own, write `keys: {{source: dev}}` in {given}"
        raise InputError("--dev has a spec of its own", hints=(hint,))
    applied = load_applied(paths)
    if (applied is None or applied.spec != paths.dev_spec) and (is_running(paths) or find_left(paths)):
        spec = (applied.spec or "no spec") if applied else "a spec that is not known"
        raise InputError(
            f"the hub in {paths.root} runs by {spec}, and --dev would replace it",
            hints=("`lkhub down` stops it first",),
        )
    ensure_state_dir(paths.root)
    write_private(paths.dev_spec, _SPEC)
    return paths.dev_spec
