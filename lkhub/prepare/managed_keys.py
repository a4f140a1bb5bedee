"""The keys that lkhub generated, also where their file is damaged."""

import contextlib
from collections.abc import Callable

from lkhub.errors import MachineError
from lkhub.host.keyfile import Keys, load_keys
from lkhub.host.secrets import DamagedKeysError, read_managed_keys
from lkhub.plan.paths import StatePaths
from lkhub.spec.model import Spec
from lkhub.state.ring import read_notes


def read_kept_keys(paths: StatePaths) -> Keys:
    """As `read_managed_keys`; but where the file is damaged and keys.yaml has the same keys, they are read from there.
    Raises DamagedKeysError."""
    try:
        return read_managed_keys(paths)
    except DamagedKeysError:
        if copy := _find_copy(paths):
            return copy
        raise


def read_used_keys(paths: StatePaths, load: Callable[[], Spec | None]) -> Keys:
    """As `read_kept_keys`; but none where the file is damaged and the spec names other keys. `load` reads the spec,
    which is needed then alone."""
    try:
        return read_kept_keys(paths)
    except DamagedKeysError:
        if (spec := load()) is None or spec.keys.source == "managed":
            raise
        return {}


def _find_copy(paths: StatePaths) -> Keys:
    """The keys in keys.yaml, where the record of the generated keys says that they are these: the spec may have named
    others."""
    with contextlib.suppress(MachineError):
        copy = load_keys(paths.keys)
        if list(copy) == list(read_notes(paths)):
            return copy
    return {}
