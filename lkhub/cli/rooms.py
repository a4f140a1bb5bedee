"""`lkhub rooms`: the rooms of a running hub."""

from typing import Annotated

import typer

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.options import HubSpec, Json, State, require_name
from lkhub.cli.shared.show import err, out
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import InputError
from lkhub.hub.locate import find_hub
from lkhub.hub.rooms import open_service
from lkhub.livekit.room_calls import create_room

app = make_app(help="The rooms of a running hub.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The rooms of a running hub."""


@app.command()
def create(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The name of the room.")],
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Open a room, so that tokens and join links lead into it.

    Needed where joining opens none: `room: {auto_create: false}` below `livekit` in the spec. A room that is open stays
    as it is.
    """
    if not room:
        raise InputError("ROOM is empty")
    require_name("ROOM", room)
    with open_service(find_hub(spec, state)) as service:
        seconds = service.ask(create_room(room)).empty_timeout
    if json:
        show_json({"room": room, "empty_timeout": seconds})
    else:
        out.print(room)
        err.print(f"the room is open; it closes when nobody has been in it for {seconds} s")
