"""A document of the provider, kept for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from lkhub.service.oidc.fetch import ProviderError

T = TypeVar("T")

# A key that the provider has withdrawn is taken for this long.
FRESH_SECONDS = 600.0

# While the provider is away, what it last published is used for this long.
USABLE_SECONDS = 24 * 3600.0

# After a failure the provider is left alone: requests are answered at once, with the reason or by what is kept.
RETRY_SECONDS = 5.0
RETRY_USABLE_SECONDS = 30.0

# A token with an unknown key makes the hub ask for the keys. Anyone can make up such tokens.
RENEW_SECONDS = 30.0


class Kept(Generic[T]):
    """The result of `load`, which raises ProviderError. However many requests wait for it, it is loaded once."""

    def __init__(self, load: Callable[[], Awaitable[T]], clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._lock = anyio.Lock()
        self._value: T | None = None
        self._loaded = self._failed = self._renewed = float("-inf")
        self._error = ProviderError()
        self._again: asyncio.Future[None] | None = None

    async def get(self) -> T:
        """The document: fresh, or while the provider is away as it was. Only the first request waits for a provider
        that is slow; afterwards it is asked beside the requests."""
        since = self._clock() - self._failed
        if since < 2 * RETRY_USABLE_SECONDS and (value := self._find(USABLE_SECONDS)) is not None:
            if since >= RETRY_USABLE_SECONDS and (self._again is None or self._again.done()):
                self._again = asyncio.ensure_future(self._try_again())
            return value
        # Before the lock: `renew` has it while a slow provider is asked, for which any stranger can make a token.
        if (value := self._find(FRESH_SECONDS)) is not None:
            return value
        async with self._lock:
            if (value := self._find(FRESH_SECONDS)) is not None:
                return value
            usable = self._find(USABLE_SECONDS) is not None
            if self._clock() - self._failed >= (RETRY_USABLE_SECONDS if usable else RETRY_SECONDS):
                await self._try()
            if (value := self._find(USABLE_SECONDS)) is not None:
                return value
            raise self._error

    def _find(self, seconds: float) -> T | None:
        """The document, if it was loaded within this time."""
        return self._value if self._clock() - self._loaded < seconds else None

    async def renew(self, seen: T) -> T:
        """The document anew for who has found `seen` to lack something; the same, if it was loaded moments ago."""
        async with self._lock:
            if self._value is not None and self._value is not seen:
                return self._value  # another request has renewed it
            if self._clock() - self._renewed < RENEW_SECONDS:
                return seen
            self._renewed = self._clock()
            if not await self._try():
                raise self._error
            assert self._value is not None
            return self._value

    async def _try_again(self) -> None:
        async with self._lock:
            await self._try()

    async def _try(self) -> bool:
        try:
            self._value = await self._load()
        except ProviderError as error:
            self._failed, self._error = self._clock(), error
            return False
        self._loaded, self._failed = self._clock(), float("-inf")
        return True
