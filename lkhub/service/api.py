"""The JSON handlers."""

import secrets
from typing import Any

from starlette.requests import Request

from lkhub import __version__
from lkhub.host.http import httpx, local_client
from lkhub.livekit.room_config import RoomConfig, RoomConfigError, read_room_config
from lkhub.service.access.caller import Caller
from lkhub.service.askers import Askers
from lkhub.service.bodies import Bodies
from lkhub.service.contract import Answered
from lkhub.service.desk import Desk
from lkhub.service.errors import ApiError
from lkhub.service.guard import require_known_page
from lkhub.service.models import (
    Health,
    Hub,
    RequestInfo,
    TokenGrant,
    TokenRequest,
    TokenSourceGrant,
    TokenSourceRequest,
)
from lkhub.service.own_origin import find_livekit
from lkhub.service.tokens import Issued, Wanted
from lkhub.wire.serve_config import FORWARDED_HEADER, ServeConfig

# Media answers its health in a millisecond; one that takes longer than this is not well.
HEALTH_SECONDS = 2.0

_NOT_KEPT = {"cache-control": "no-store"}

# Random, so that another server can only repeat it after it has asked this process.
INSTANCE_BYTES = 16


class Api:
    """The handlers of one hub."""

    def __init__(self, config: ServeConfig, desk: Desk, bodies: Bodies) -> None:
        self.config, self._desk, self._bodies = config, desk, bodies
        self._askers = Askers(config.askers)
        self._instance = secrets.token_hex(INSTANCE_BYTES)

    async def hub(self, request: Request) -> Answered[Hub]:
        """What the web application must know about its hub."""
        hub = Hub(
            name=self.config.name,
            version=__version__,
            livekit_url=find_livekit(request, self.config),
            reach=self.config.reach,
            tokens="open" if self._desk.open and self._desk.open.admits(request) else "link",
            sign_in=self._desk.signing_in is not None,
        )
        return Answered(hub)

    async def health(self, _: Request) -> Answered[Health]:
        """200 while media answers, else 503. The answer has no findings, since every client may ask."""
        try:
            async with local_client(HEALTH_SECONDS) as client:
                healthy = (await client.get(self.config.media_url)).is_success
        except httpx.TransportError:
            healthy = False
        return Answered(Health(status="ok")) if healthy else Answered(Health(status="unavailable"), 503)

    async def request_info(self, request: Request) -> Answered[RequestInfo]:
        """How a request got here: the address that the hub takes for the client's, and whether a proxy told it.
        `instance` identifies this process: two addresses with the same `instance` lead to the same hub."""
        client = request.headers.get("x-forwarded-for") or (request.client.host if request.client else "")
        said = request.headers.get(FORWARDED_HEADER)
        info = RequestInfo(instance=self._instance, client=client, forwarded=None if said is None else said == "yes")
        return Answered(info, headers=_NOT_KEPT)

    async def token(self, request: Request) -> Answered[TokenGrant]:
        """A token for one room."""
        caller = await self._identify(request)
        given = await self._bodies.read(request, TokenRequest, 'send {"room": "NAME"}', trusted=caller.vouches)
        wanted = Wanted(
            room=given.room,
            identity=given.identity or "",
            name=given.name,
            metadata=given.metadata,
            attributes=given.attributes,
            role=given.role or "",
            party=given.party,
        )
        issued = await self._issue(caller, wanted, request)
        granted = TokenGrant(
            token=issued.token,
            url=find_livekit(request, self.config),
            room=issued.room,
            identity=issued.identity,
            expires_at=issued.expires,
        )
        return Answered(granted, headers=_NOT_KEPT)

    async def token_source(self, request: Request) -> Answered[TokenSourceGrant]:
        """A token for LiveKit's TokenSource."""
        caller = await self._identify(request)
        hint = 'send {"room_name": "NAME"}, or {}'
        given = await self._bodies.read(request, TokenSourceRequest, hint, trusted=caller.vouches)
        wanted = Wanted(
            room=given.room_name or "",
            identity=given.participant_identity or "",
            name=given.participant_name or "",
            metadata=given.participant_metadata or "",
            attributes=given.participant_attributes or {},
            room_config=_read_config(given.room_config) if given.room_config else None,
        )
        issued = await self._issue(caller, wanted, request)
        granted = TokenSourceGrant(server_url=find_livekit(request, self.config), participant_token=issued.token)
        return Answered(granted, 201, headers=_NOT_KEPT)

    async def _identify(self, request: Request) -> Caller:
        require_known_page(request.headers, self.config.application.access.origins)
        return await self._desk.authenticator.identify(request)

    async def _issue(self, caller: Caller, wanted: Wanted, request: Request) -> Issued:
        if self.config.askers:
            await self._askers.look(request)
        return await self._desk.issuer.issue(caller, wanted, request)


def _read_config(given: Any) -> RoomConfig:
    try:
        return read_room_config(given)
    except RoomConfigError as error:
        raise ApiError(422, "; ".join(f"room_config.{fault}" for fault in error.faults)) from None
