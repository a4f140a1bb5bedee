"""Invites over HTTP: people take one, and those who may let others in make one."""

import asyncio
import secrets
import time
from weakref import WeakValueDictionary

from sqlalchemy import Connection
from starlette.requests import Request

from lkhub.livekit.links import find_unlinkable, invite_link
from lkhub.livekit.own_tokens import read_own_token
from lkhub.secret import Secret
from lkhub.service.access.api_keys import refuse_revoked
from lkhub.service.access.caller import Authenticator, Caller, find_bearer
from lkhub.service.address import find_client
from lkhub.service.errors import ApiError, refuse_too_many
from lkhub.service.models import InviteMade, InviteRequest, RedeemRequest
from lkhub.service.own_origin import find_own_origin
from lkhub.service.presets import Location, Presets, match_globs
from lkhub.service.rates import Windows
from lkhub.service.ring import Ring
from lkhub.service.roles import Roles
from lkhub.service.storage import Storage
from lkhub.service.tokens import IDENTITY_BYTES, Issued, Issuer, Wanted
from lkhub.store.api_keys import find_revoked
from lkhub.store.invites import PARTICIPANT, Ending, Invite, Redemption, create_invite, give_back, redeem
from lkhub.wire.application import Rate
from lkhub.wire.serve_config import ServeConfig

# Wrong secrets from one address; further ones are not looked at, right or wrong. As many may be looked at together.
# A secret has 80 bits: at this rate a million addresses need 200,000 years for one of a million invites.
WRONG_SECRETS = Rate(10, 60)

# Invites that one person or one application makes.
MADE = Rate(30, 60)

# An invite that a person makes in a call is for those who should join it.
DEFAULT_SECONDS = 24 * 3600

# Shorter than the hub remembers tokens (90 days) and ended invites (30), so that what is revoked can name the invites
# that go back to it, unless a long chain of them or a token of months lies between.
PARTICIPANTS_SECONDS = 14 * 86400

_ENDED: dict[Ending, str] = {
    "revoked": "this invite was withdrawn",
    "expired": "this invite has expired",
    "used": "this invite was used up",
}
_ANOTHER = "ask whoever invited you for another"


class Invites:
    """The invites of one hub."""

    def __init__(self, config: ServeConfig, storage: Storage, authenticator: Authenticator, issuer: Issuer) -> None:
        self._config, self._storage = config, storage
        self._authenticator, self._issuer = authenticator, issuer
        self._ring = Ring(config.keys)
        self._roles = Roles(config.application.access)
        self._presets = Presets(config.application.rooms)
        self._wrong, self._made = Windows(WRONG_SECRETS), Windows(MADE)
        self._trying: dict[str, int] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by tab

    async def redeem(self, request: Request, given: RedeemRequest) -> Issued:
        """A token for who has the secret of an invite. Raises ApiError."""
        # One request of a tab after another: one that is refused gives its use back, and with that same use another one
        # could have got a token meanwhile.
        async with self._turns.setdefault(given.tab, asyncio.Lock()):
            return await self._redeem(request, given)

    async def _redeem(self, request: Request, given: RedeemRequest) -> Issued:
        client = find_client(request, self._config)
        self._require_few(client)
        self._trying[client] = self._trying.get(client, 0) + 1
        try:
            taken = await self._take(given)
        finally:
            self._trying[client] -= 1
            if not self._trying[client]:
                del self._trying[client]
        if taken is None:
            self._wrong.count(client, time.monotonic())
            raise ApiError(404, "there is no such invite", _ANOTHER, code="invite-unknown")
        if not isinstance(taken, Redemption):
            raise ApiError(403, _ENDED[taken], _ANOTHER, code=f"invite-{taken}")
        invite = taken.invite
        caller = Caller("invite", invite.id, roles=(invite.role,), identity=taken.identity)
        try:
            return await self._issuer.issue(caller, Wanted(invite.room, name=given.name), request)
        except ApiError:
            if taken.first:  # such as into a full room
                await self._storage.run(lambda connection: give_back(connection, taken))
            raise

    async def _take(self, given: RedeemRequest) -> Redemption | Ending | None:
        identity = f"guest-{secrets.token_hex(IDENTITY_BYTES)}"
        return await self._storage.run(
            lambda connection: redeem(
                connection,
                secret=given.secret,
                room=given.room,
                tab=given.tab,
                identity=identity,
                now=time.time(),
                again=self._roles.lifetime,
            )
        )

    def _require_few(self, client: str) -> None:
        wait = self._wrong.find_wait(client, time.monotonic())
        if not wait and self._trying.get(client, 0) >= WRONG_SECRETS.times:
            wait = 1.0
        if wait:
            raise refuse_too_many("wrong invites from this address", wait)

    async def create(self, request: Request, given: InviteRequest) -> InviteMade:
        """A link into a room, for who administers it. Raises ApiError."""
        if problem := find_unlinkable(given.room):
            raise ApiError(422, f"room: {problem}", "name another room")
        creator, role, api_key = await self._require_host(request, given)
        lasts = DEFAULT_SECONDS if given.ttl is None else given.ttl
        if creator.startswith(PARTICIPANT) and lasts > PARTICIPANTS_SECONDS:
            hint = "an API key makes longer ones, and so does the operator: `lkhub invite ROOM --ttl 30d`"
            raise ApiError(
                422, f"ttl: an invite of a participant lasts {PARTICIPANTS_SECONDS} s (14 days) at most", hint
            )
        now = time.monotonic()
        if wait := self._made.find_wait(creator, now):
            raise refuse_too_many("new invites", wait)
        self._made.count(creator, now)

        def write(connection: Connection) -> tuple[Invite, Secret] | None:
            # What was read of the key may be a second old, and `lkhub access revoke` names no invite that is made then.
            if find_revoked(connection, {api_key} if api_key else ()):
                return None
            return create_invite(
                connection,
                room=given.room,
                role=role,
                uses=given.uses,
                creator=creator,
                now=time.time(),
                expires=time.time() + lasts,
            )

        written = await self._storage.run(write)
        if written is None:
            raise refuse_revoked()
        made, secret = written
        link = invite_link(find_own_origin(request, self._config).url, made.room, secret.reveal())
        return InviteMade(made.id, link, made.room, made.role, made.uses, int(made.expires or 0))

    async def _require_host(self, request: Request, given: InviteRequest) -> tuple[str, str, str]:
        """Who invites, the role of those who come (never more than the default, unless the caller may have it), and the
        API key by which the caller is known, or ""."""
        location = self._presets.locate(given.room)
        if own := read_own_token(find_bearer(request), self._ring.keys(), time.time()):
            # A participant in the call, with the token that it joined with.
            if not own.admin or own.room != given.room:
                raise _no_host()
            if given.role is not None:
                raise ApiError(403, "a participant invites others with the default role alone", "leave role out")
            if not self._leads_into(self._roles.default, location):
                hint = "the operator may invite them with another: `lkhub invite ROOM --role ROLE`"
                raise ApiError(403, "this room is not for the default role, with which others would come", hint)
            return f"{PARTICIPANT}{own.identity}", self._roles.default, ""
        caller = await self._authenticator.identify(request)
        allowed = caller.roles or (self._roles.default,)
        family = location.family
        # An application gives its users tokens of these roles anyway. A person must be a host.
        hosts = caller.vouches or any(self._roles.is_admin(name, family) for name in allowed)
        if not hosts or not match_globs(caller.rooms)(family):
            raise _no_host()
        role = self._roles.default
        if caller.vouches or given.role is not None:
            role = self._roles.choose(caller.roles, given.role or "")[0]
        if not self._leads_into(role, location):
            raise ApiError(422, f"role: {role} does not lead into this room", "name another role")
        return caller.text, role, caller.id if caller.kind == "api-key" else ""

    def _leads_into(self, role: str, location: Location) -> bool:
        return self._roles.leads_into(role, location.family) and location.is_for(role)


def _no_host() -> ApiError:
    hint = (
        "a participant may whose role has `admin: true` in access.roles, and so may the operator: `lkhub invite ROOM`"
    )
    return ApiError(403, "you may not invite others into this room", hint)
