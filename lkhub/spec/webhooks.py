"""`webhooks`: the applications that are told what happens in rooms."""

from typing import Literal, TypeAlias

from pydantic import Field

from lkhub.spec.part import Part
from lkhub.spec.types import WebUrl

# livekit/protocol, webhook/consts.go
Event: TypeAlias = Literal[
    "room_started",
    "room_finished",
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
    "track_published",
    "track_unpublished",
    "egress_started",
    "egress_updated",
    "egress_ended",
    "ingress_started",
    "ingress_ended",
    "agent_job_pending",
    "agent_job_started",
    "agent_job_ended",
]


class Webhook(Part):
    """One receiver. What it gets is signed with the hub's API key, as LiveKit signs it."""

    url: WebUrl
    """Where events are sent to."""

    events: tuple[Event, ...] = Field(default=(), strict=False)
    """The events that are sent; by default all, those of a later LiveKit too. The bundled LiveKit sends no
    `agent_job_*` so far, and `egress_*` and `ingress_*` only with LiveKit's egress and ingress beside it."""

    allow_private: bool = False
    """Whether the receiver may be on this machine or in a private network."""
