"""The RoomService of the hub that is in force."""

from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.livekit.rooms import RoomService
from lkhub.plan.paths import StatePaths


def open_service(paths: StatePaths) -> RoomService:
    """The room service of the hub that runs in this state directory. MachineError before the first `up`."""
    url = require_applied(paths).urls.local_media
    return RoomService(url, *next(iter(load_keys(paths.keys).items())))
