"""Rooms that a link leads into and that are not open, where joining opens none."""

import contextlib
import shlex

from lkhub.cli.shared.show import say, show_hints
from lkhub.errors import HubError
from lkhub.hub.applied import require_applied
from lkhub.hub.locate import name_state
from lkhub.plan.paths import StatePaths


def warn_of_unopened(paths: StatePaths, room: str) -> None:
    """Say that nobody gets into the room until it is opened, and what opens it. If the hub can't be asked, nothing is
    said."""
    if require_applied(paths).auto_create:
        return
    # Imported here: it loads an HTTP client (20 ms), which other hubs do not need.
    from lkhub.hub.rooms import HubRooms
    from lkhub.livekit.room_calls import list_rooms

    with contextlib.suppress(HubError), HubRooms(paths) as service:
        if not service.ask(list_rooms(room)).rooms:
            say("joining opens no room here, and this one is not open", "note", "cyan")
            show_hints([f"`lkhub rooms create {shlex.quote(room)}{name_state(paths)}` opens it"])
