"""Mode `api-keys`: keys of applications, in `Authorization: Bearer lkhub_…`."""

import asyncio
import hmac
import time
from datetime import UTC, datetime
from math import inf

from starlette.requests import Request

from lkhub.service.access.caller import Caller, find_bearer
from lkhub.service.address import find_client
from lkhub.service.errors import ApiError, refuse_too_many
from lkhub.service.rates import Windows
from lkhub.service.storage import Storage
from lkhub.store.api_keys import PREFIX, ApiKey, find_id, list_api_keys
from lkhub.store.digest import digest
from lkhub.wire.application import Rate
from lkhub.wire.serve_config import ServeConfig

# How old the keys may be that a request is compared with. A token is given away only after the store has said that its
# key is not revoked (lkhub/store/issued.py); this is for what a key may ask besides.
FRESH_SECONDS = 1.0

# How often the keys are read for a key that is not among them. A key that was made a moment ago works; strangers with
# wrong keys do not keep the store busy.
READ_AGAIN_SECONDS = 0.2

# Wrong keys from one address. A key has 256 random bits, so the limit is not against guesses but against the work that
# they make; right keys from the same address work on.
WRONG_KEYS = Rate(20, 60)

_BEARER = {"www-authenticate": "Bearer"}


def refuse_revoked() -> ApiError:
    """The answer to a caller whose key is revoked."""
    return ApiError(401, "this API key was revoked", "make another: `lkhub access create NAME`", _BEARER)


def _vouch(key: ApiKey) -> Caller:
    return Caller("api-key", key.id, "", key.rooms, key.roles, vouches=True)


class ApiKeyMode:
    """Callers with an API key."""

    def __init__(self, config: ServeConfig, storage: Storage) -> None:
        self._config, self._storage = config, storage
        self._keys: dict[str, ApiKey] = {}
        self._callers: dict[str, Caller] = {}
        self._read = -inf
        self._lock = asyncio.Lock()
        self._wrong = Windows(WRONG_KEYS)

    async def identify(self, request: Request) -> Caller | None:
        given = find_bearer(request)
        if not given.startswith(PREFIX):
            return None
        now = time.monotonic()
        if self._read < now - FRESH_SECONDS:
            await self._refresh(now - FRESH_SECONDS)
        key = self._compare(given) or await self._find_new(given, request, now)
        if key.revoked is not None:
            raise refuse_revoked()
        if not key.is_valid(time.time()):
            ended = datetime.fromtimestamp(key.expires or 0.0, UTC)
            hint = "make another: `lkhub access create NAME`"
            raise ApiError(401, f"this API key ended on {ended:%Y-%m-%d at %H:%M} UTC", hint, _BEARER)
        return self._callers[key.id]

    async def _find_new(self, given: str, request: Request, now: float) -> ApiKey:
        """A key that was made since the keys were read. Raises ApiError for a wrong one."""
        if not self._wrong.find_wait(find_client(request, self._config), now):
            await self._refresh(now)
            if key := self._compare(given):
                return key
        raise self._refuse(request)

    def _compare(self, given: str) -> ApiKey | None:
        own = digest(given)
        key = self._keys.get(find_id(given))
        # As long for a wrong key as for a right one, however much of it is right.
        known = key.digest if key else bytes(len(own))
        return key if hmac.compare_digest(own, known) else None

    async def _refresh(self, since: float) -> None:
        """Have keys that were read after a time. Those who wait at the same time share one look into the store."""
        if self._read >= since:
            return
        async with self._lock:
            if self._read >= since:
                return
            await asyncio.sleep(max(0.0, self._read + READ_AGAIN_SECONDS - time.monotonic()))
            began = time.monotonic()
            self._keys = {key.id: key for key in await self._storage.read(list_api_keys)}
            self._callers = {key.id: _vouch(key) for key in self._keys.values()}
            self._read = began

    def _refuse(self, request: Request) -> ApiError:
        now, client = time.monotonic(), find_client(request, self._config)
        if wait := self._wrong.find_wait(client, now):
            return refuse_too_many("wrong API keys from this address", wait)
        self._wrong.count(client, now)
        return ApiError(401, "this is not an API key of this hub", "`lkhub access list` shows its keys", _BEARER)
