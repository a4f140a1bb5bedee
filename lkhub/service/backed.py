"""The service of a hub with a store: whoever asks proves who it is, what is given away is noted, and what happens in
rooms is kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from lkhub.errors import MachineError
from lkhub.host.placed_secret import read_placed
from lkhub.secret import Secret
from lkhub.service.access.api_keys import ApiKeyMode
from lkhub.service.access.caller import Authenticator, Mode
from lkhub.service.book import Book
from lkhub.service.contract import EVENTS
from lkhub.service.desk import Desk, find_open_mode, refuse_stranger
from lkhub.service.errors import ApiError
from lkhub.service.invites import Invites
from lkhub.service.joined import Joined
from lkhub.service.presets import Presets
from lkhub.service.ring import Ring
from lkhub.service.roles import Roles
from lkhub.service.rooms.sfu import Media
from lkhub.service.storage import Storage
from lkhub.service.store_state import StoreState
from lkhub.service.tokens import Issuer
from lkhub.service.webhooks.hooks import Webhooks
from lkhub.service.webhooks.stream import Events
from lkhub.wire.serve_config import ServeConfig

if TYPE_CHECKING:
    from lkhub.service.oidc.signing_in import SigningIn
    from lkhub.service.rooms.rooms import Rooms


@dataclass(frozen=True)
class Backed:
    """What a service has besides that of a hub that keeps nothing. `jobs` run as long as the service does. `stop` ends
    the responses that have no end of their own, before requests under way are waited for."""

    desk: Desk
    routes: Sequence[Route]
    jobs: Sequence[Callable[[], Awaitable[None]]]
    storage: Storage
    stop: Callable[[], None]

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the jobs, and close the store afterwards."""
        tasks = [asyncio.ensure_future(job()) for job in self.jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.storage.close()


def build_backed(config: ServeConfig) -> Backed:
    """The parts of a hub whose spec asks for more than mode `open`."""
    storage = Storage(config.application.store, StoreState(config.store, config.application.store.file))
    rooms = _build_rooms(config, storage)
    desk = build_backed_desk(config, storage, rooms)
    webhooks = Webhooks(config, storage)
    roles = Roles(config.application.access)
    events = Events(storage, desk.authenticator, Presets(config.application.rooms), roles)
    webhooks.intake.listeners.append(lambda _: events.tell())
    if "open" in config.application.access.modes:
        webhooks.intake.listeners.append(Joined(storage, Presets(config.application.rooms)).hear)
    routes = [*webhooks.routes(), EVENTS.route(events.receive)]
    jobs = [storage.watch, webhooks.run]
    if desk.signing_in:
        jobs.append(desk.signing_in.keep_up)
    if rooms:
        webhooks.intake.listeners.append(rooms.note)
        webhooks.intake.gaps.append(rooms.note_gap)
        jobs.append(rooms.run)
    return Backed(desk, routes, jobs, storage, events.end)


def build_backed_desk(config: ServeConfig, storage: Storage, rooms: "Rooms | None" = None) -> Desk:
    """The desk of a hub whose store is in use."""
    application = config.application
    modes: list[Mode] = []
    if "api-keys" in application.access.modes:
        modes.append(ApiKeyMode(config, storage))
    signing_in = _build_signing_in(config, storage)
    if signing_in:
        modes.append(signing_in)
    open_mode = find_open_mode(config)
    if open_mode:
        modes.append(open_mode)
    proven = set(application.access.modes) - {"open"}
    authenticator = Authenticator(modes, partial(_refuse_unproven, proven) if proven else refuse_stranger)
    book = Book(config, storage, rooms.seats, rooms.opening) if rooms else Book(config, storage)
    issuer = Issuer(application, Ring(config.keys).current, book)
    invites = Invites(config, storage, authenticator, issuer)
    return Desk(authenticator, issuer, open_mode, lambda: invites, signing_in)


def _build_rooms(config: ServeConfig, storage: Storage) -> "Rooms | None":
    if not config.application.rooms:
        return None
    # Imported here: it costs 9 ms, which a hub without presets of rooms does without.
    from lkhub.service.rooms.rooms import Rooms

    return Rooms(config.application, storage, Media(config.media_url, Ring(config.keys).current))


def _build_signing_in(config: ServeConfig, storage: Storage) -> "SigningIn | None":
    oidc = config.application.access.oidc
    if oidc is None:
        return None
    # Imported here: it loads PyJWT and asymmetric cryptography (18 MiB), which a hub without accounts does without.
    from lkhub.service.oidc.signing_in import SigningIn

    return SigningIn(config, oidc, storage, ClientSecret(oidc.client_secret))


class ClientSecret:
    """The client's secret at the OpenID provider, read at each sign-in; None for a public client."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __call__(self) -> Secret | None:
        try:
            return read_placed(self._file) if self._file else None
        except MachineError:
            raise ApiError(
                503,
                "the hub can't read its secret for the OpenID provider",
                "its operator's next `lkhub up`, or `lkhub install` where it is a service, writes it",
            ) from None


def _refuse_unproven(modes: Collection[str]) -> ApiError:
    known = {"api-keys": "a key of `lkhub access create`", "oidc": "an access token of the OpenID provider"}
    ways = " or ".join(text for mode, text in known.items() if mode in modes)
    hint = f"send Authorization: Bearer …, with {ways}"
    return ApiError(401, "this hub gives tokens to callers that it knows", hint, {"www-authenticate": "Bearer"})
