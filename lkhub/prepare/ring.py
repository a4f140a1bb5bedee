"""Changes of the keys that lkhub generated.

managed-keys.yaml has the ring, and keys.yaml has what media and all signers read. The first is written first: after a
crash between the two, the hub goes on with the keys from before, and its next start carries the change out.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from lkhub.errors import InputError
from lkhub.host.files import keep_names, write_private
from lkhub.host.keyfile import Keys, dump_keys, parse_keys
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.prepare.given import list_given
from lkhub.prepare.hub import PreparedHub, digest_files, digest_rereads, fingerprint
from lkhub.prepare.secrets import place_agent_key
from lkhub.state.ring import follow_ring, read_notes, write_notes


def write_ring(paths: StatePaths, before: Keys, after: Keys) -> None:
    """Write the ring for the next start. Raises MachineError."""
    write_private(paths.managed_keys, dump_keys(after))
    write_notes(paths, follow_ring(read_notes(paths), before, after, time.time()))
    keep_names([paths.root])  # applications get the new key, and an earlier ring would not know it


def read_keys(hub: PreparedHub) -> Keys:
    """The generated keys of a hub. Raises InputError if its spec names other keys."""
    if not _is_managed(hub):
        raise InputError("the spec names the keys of this hub, so only the spec can change them")
    return parse_keys(hub.files[hub.plan.paths.keys], hub.plan.paths.keys)


def _is_managed(hub: PreparedHub) -> bool:
    return hub.plan.paths.managed_keys in hub.files


def replace_keys(hub: PreparedHub, keys: Keys) -> PreparedHub:
    """The same hub with other generated keys. A hub whose spec names the keys is unchanged."""
    if not _is_managed(hub):
        return hub
    paths, text = hub.plan.paths, dump_keys(keys)
    files = {**hub.files, paths.keys: text, paths.managed_keys: text, **place_agent_key(hub.plan, keys)}
    files |= list_given(hub.plan, files, hub.environ)
    prints = {
        # An agent has the key in its environment.
        each.name: fingerprint(each, files, hub.environ)
        if each.variables
        else _follow(each, hub.fingerprints[each.name], paths.keys, files)
        for each in hub.plan.processes
    }
    spare = {each.name: _follow(each, hub.spare[each.name], paths.keys, files) for each in hub.plan.spare}
    return replace(hub, files=files, fingerprints=prints, spare=spare)


def _follow(process: ProcessPlan, before: Fingerprint, changed: str, files: Mapping[str, str]) -> Fingerprint:
    """The fingerprint after a change of one file."""
    if changed in process.files:
        before = replace(before, files=digest_files(process, files))
    return replace(before, rereads=digest_rereads(process, files)) if changed in process.rereads else before
