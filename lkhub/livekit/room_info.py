"""Rooms and participants, as LiveKit's RoomService describes them. Pure.

The messages are in livekit/protocol, protobufs/livekit_models.proto; the names of the fields are those of its JSON.
Fields that no part of lkhub reads are left out, above all `turn_password`. An enum is text, so that a value of a newer
LiveKit is shown as it is. A 64-bit number is text in the JSON of protocol buffers, and a message that is not set is
null.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Digits: TypeAlias = Annotated[str, Meta(pattern=r"^\d{1,15}$")]

ACTIVE = "ACTIVE"
"""The state of a participant whose media connection stands."""


class Room(Struct, frozen=True):
    """A room that is open. The timeouts are in seconds. `max_participants` 0 means that there is no limit.

    Its number of participants is not read: livekit-server updates it every five seconds (measured: 0 in a call of
    two), and ListParticipants tells it at once.
    """

    name: str
    sid: str = ""
    empty_timeout: int = 0
    departure_timeout: int = 0
    max_participants: int = 0
    creation_time: Digits = "0"
    creation_time_ms: Digits = "0"
    metadata: str = ""

    @property
    def created_at(self) -> float:
        """Epoch seconds."""
        return _read_time(self.creation_time_ms, self.creation_time)


class Layer(Struct, frozen=True):
    """One quality of a video. `bitrate` is what the publisher aims at, in bit/s."""

    quality: str = ""
    width: int = 0
    height: int = 0
    bitrate: int = 0
    rid: str = ""


class Codec(Struct, frozen=True):
    """One encoding of a track."""

    mime_type: str = ""
    layers: tuple[Layer, ...] = ()
    video_layer_mode: str = ""


class Track(Struct, frozen=True):
    """A track that a participant publishes. Sound has no width and height."""

    sid: str
    type: str = ""
    source: str = ""
    name: str = ""
    muted: bool = False
    width: int = 0
    height: int = 0
    mime_type: str = ""
    codecs: tuple[Codec, ...] = ()
    encryption: str = ""


class Permission(Struct, frozen=True):
    """What a participant may do now. No `can_publish_sources` means all of them, if `can_publish`."""

    can_subscribe: bool = False
    can_publish: bool = False
    can_publish_data: bool = False
    can_publish_sources: tuple[str, ...] = ()
    can_update_metadata: bool = False
    hidden: bool = False
    recorder: bool = False


class Participant(Struct, frozen=True):
    """A participant of a room. `state` is JOINING, JOINED (ICE has not connected yet), ACTIVE or DISCONNECTED; `kind`
    is STANDARD, AGENT, SIP, INGRESS or EGRESS, among others."""

    sid: str
    identity: str
    name: str = ""
    state: str = ""
    kind: str = ""
    joined_at: Digits = "0"
    joined_at_ms: Digits = "0"
    metadata: str = ""
    attributes: dict[str, str] = {}
    permission: Permission | None = None
    tracks: tuple[Track, ...] = ()

    @property
    def is_counted(self) -> bool:
        """Whether it counts towards `max_participants`."""
        return is_counted(self.kind, recorder=self.permission is not None and self.permission.recorder)

    @property
    def since(self) -> float:
        """When it joined, in epoch seconds."""
        return _read_time(self.joined_at_ms, self.joined_at)


def is_counted(kind: str, *, recorder: bool) -> bool:
    """Whether a participant counts towards `max_participants` (livekit-server, IsDependent in pkg/rtc/participant.go).
    One that is hidden does."""
    return kind not in ("AGENT", "EGRESS") and not recorder


def _read_time(milliseconds: str, seconds: str) -> float:
    """Epoch seconds. A LiveKit from before 2025 has no milliseconds."""
    return int(milliseconds) / 1000 or float(int(seconds))
