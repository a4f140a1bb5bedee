"""Every event that LiveKit knows, and one that it does not know yet, goes the whole way: it comes in, is stored, is
streamed and is delivered."""

import json
from typing import Any, get_args

import pytest

from lkhub.service.access.caller import Authenticator, Caller
from lkhub.service.presets import Presets
from lkhub.service.roles import Roles
from lkhub.service.webhooks.intake import Intake
from lkhub.service.webhooks.stream import Events
from lkhub.spec.webhooks import Event
from lkhub.wire.application import Receiver
from tests.service.conftest import ACCESS
from tests.service.webhooks.conftest import URL, Kept
from tests.service.webhooks.test_delivery import delivering, states
from tests.service.webhooks.test_intake import KEYS, post, serving
from tests.service.webhooks.test_stream import Door, listening, refuse
from tests.waiting import until

pytestmark = pytest.mark.anyio

ROOM = {"sid": "RM_1", "name": "voice-1"}

# What an event is about, by the first word of its name (livekit/protocol, livekit_webhook.proto).
ABOUT: dict[str, dict[str, Any]] = {
    "egress": {"egressInfo": {"egressId": "EG_1", "roomName": "voice-1", "status": "EGRESS_ACTIVE"}},
    "ingress": {
        "ingressInfo": {"ingressId": "IN_1", "roomName": "voice-1", "state": {"status": "ENDPOINT_PUBLISHING"}}
    },
    "agent": {"job": {"id": "AJ_1", "type": "JT_ROOM", "room": ROOM, "agentName": "helper"}},
}
USUAL = {"room": ROOM, "participant": {"sid": "PA_1", "identity": "ann"}, "track": {"sid": "TR_1"}}

OTHER = "https://other.example/"
TOMORROW = "sip_call_started"
"""An event of a later LiveKit, about something that lkhub has no idea of."""


@pytest.mark.parametrize("name", [*get_args(Event), TOMORROW])
async def test_event_reaches_those_who_want_it(kept: Kept, name: str) -> None:
    about = ABOUT.get(name.partition("_")[0], USUAL)
    sent = {"event": name, "id": "EV_1", "createdAt": "17", **about, "newField": {"n": 1}}
    door = Door(Caller("api-key", "k", rooms=("voice-*",)))
    events = Events(kept, Authenticator([door], refuse), Presets([]), Roles(ACCESS))
    wanting = Receiver(URL, () if name == TOMORROW else (name,), False)
    intake = Intake(kept, lambda: KEYS, [wanting, Receiver(OTHER, ("no_such_event",), False)])
    intake.listeners.append(lambda _: events.tell())
    delivered: list[str] = []

    async def take(body: str) -> str:
        delivered.append(body)
        return ""

    async with listening(events) as listener, serving(intake) as client:
        assert (await post(client, json.dumps(sent).encode())).status_code == 200
        await until(lambda: listener.events)
    assert listener.events == [("1", name)]
    async with delivering(kept, take):
        await until(lambda: states(kept, "delivered") == ["EV_1"])
    assert [json.loads(body) for body in delivered] == [sent]
    assert states(kept, "pending") == []
