"""`rooms`: presets of rooms."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lkhub.spec.part import Part
from lkhub.spec.types import Glob, Lifetime

Codec: TypeAlias = Literal["opus", "red", "vp8", "h264", "vp9", "av1", "h265"]


class Dispatch(Part):
    """An agent that joins a room when it opens."""

    name: Annotated[str, Field(min_length=1)]
    """The name that the agent registered with."""

    metadata: str = ""
    """Text that the agent is given."""


class RoomPreset(Part):
    """What rooms of these names are like."""

    match: Glob
    """The names of the rooms; `*` stands for any characters, `/` too."""

    capacity: Annotated[int, Field(ge=1, le=10000)] | None = Field(default=None, examples=[16])
    """How many participants a room holds, agents and recorders not counted. Without it a room has no limit."""

    overflow: Literal["reject", "subrooms"] = "reject"
    """What happens to the next caller once a room is full. `reject`: no token, and the time to ask again. `subrooms`: a
    token for `NAME(2)`, `NAME(3)` and so on, the first that has room."""

    empty_timeout: Lifetime | None = Field(default=None, examples=["5m"])
    """How long a room stays open until its first participant joins."""

    departure_timeout: Lifetime | None = Field(default=None, examples=["20s"])
    """How long a room stays open after its last participant has left."""

    codecs: tuple[Codec, ...] = Field(default=(), strict=False)
    """The codecs that participants may publish with. It has no effect by itself, and a warning says so: LiveKit takes
    codecs only for all rooms, as `livekit: {room: {enabled_codecs: [{mime: audio/opus}, {mime: video/vp8}]}}`."""

    metadata: str = ""
    """Metadata of a new room."""

    agents: tuple[Dispatch, ...] = Field(default=(), strict=False)
    """Agents that join a room when it opens."""

    roles: tuple[str, ...] = Field(default=(), strict=False)
    """The roles that may enter; by default all that lead into rooms of these names."""
