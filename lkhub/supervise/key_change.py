"""Replaces the keys of a running hub, without a restart and so without an interruption of a call."""

import contextlib

from lkhub.errors import HubError, MachineError, describe_error, is_refusal
from lkhub.host.keyfile import Keys
from lkhub.prepare.hub import PreparedHub
from lkhub.prepare.ring import read_keys, replace_keys, write_ring
from lkhub.supervise.child import Child
from lkhub.supervise.fleet import Fleet
from lkhub.supervise.reload import reload


class KeyChange:
    """The steps from the keys of `hub`, which is in force, to others."""

    def __init__(self, fleet: Fleet, hub: PreparedHub, keys: Keys) -> None:
        self._fleet = fleet
        self._paths = fleet.shared.paths
        self._before = hub
        self._old = read_keys(hub)
        self._new = keys

    async def make(self) -> PreparedHub:
        """Make the change, and return the hub with the new keys. If a process refuses them, the keys from before are
        put back, and MachineError says so."""
        wanted = replace_keys(self._before, self._new)
        current = next(iter(self._new))
        steps = [wanted]
        if current not in self._old:
            # Every process accepts the new key before anything is signed with it.
            steps.insert(0, replace_keys(self._before, {**self._old, current: self._new[current]}))
        try:
            write_ring(self._paths, self._old, self._new)
            for step in steps:
                await self._take(step)
        except Exception as error:  # also one that is a bug: otherwise the next `up` would bring the new keys
            await self._put_back()
            if not isinstance(error, HubError) and not is_refusal(error):
                raise
            hints = error.hints if isinstance(error, HubError) else ()
            raise MachineError(f"{describe_error(error)}\nthe keys are as they were", hints=hints) from error
        return wanted

    async def _take(self, step: PreparedHub) -> None:
        changed = {self._paths.keys, self._paths.agent_key, self._paths.agent_secret}
        changed |= {path for path in step.files if self._paths.is_for_agent(path) or self._paths.is_for_image(path)}
        texts = {path: text for path, text in step.files.items() if path in changed}
        self._fleet.write(texts)
        for child in self._list_readers():
            await reload(child, child.plan, step.fingerprints[child.plan.name])
        await self._fleet.predecessors.reread(self._paths.keys)

    async def _put_back(self) -> None:
        """Where that fails, the next start or `lkhub up` finds what is on disk, and tells the processes again."""
        with contextlib.suppress(HubError, OSError):
            write_ring(self._paths, self._new, self._old)
        with contextlib.suppress(HubError, OSError):
            await self._take(self._before)

    def _list_readers(self) -> list[Child]:
        return [child for child in self._fleet.children.values() if self._paths.keys in child.plan.rereads]
