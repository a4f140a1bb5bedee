"""Invites on a hub whose spec does without the store."""

import asyncio
import os
from typing import TYPE_CHECKING

from lkhub.wire.serve_config import ServeConfig

if TYPE_CHECKING:
    from lkhub.service.invites import Invites


class LateInvites:
    """The invites of a hub whose spec does without the store: they are for whoever types `lkhub invite`. The store is
    opened when somebody comes with the first."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._invites: Invites | None = None
        self._watching: asyncio.Future[None] | None = None

    def __call__(self) -> "Invites | None":
        if self._invites is None and os.path.exists(self._config.application.store.file):
            # Imported here: SQLAlchemy costs 200 ms and 20 MiB, which a hub without invites does without.
            from lkhub.service.backed import build_backed_desk
            from lkhub.service.storage import Storage

            storage = Storage(self._config.application.store)
            self._invites = build_backed_desk(self._config, storage).find_invites()
            # A command can't open a SQLite file whose index was removed before this service has closed it.
            self._watching = asyncio.ensure_future(storage.watch())
        return self._invites
