"""LiveKit's RoomService of the running hub."""

from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.livekit.rooms import RoomService
from lkhub.plan.paths import StatePaths


def open_service(paths: StatePaths) -> RoomService:
    """A client of the RoomService of the hub in this state directory. MachineError before the first `up`."""
    url = require_applied(paths).urls.local_media
    return RoomService(url, *next(iter(load_keys(paths.keys).items())))
