"""The store of a hub, for commands: they work on it themselves, whether the service runs or not."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from lkhub.errors import ANOTHER, START, MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.files import read_text
from lkhub.host.identity import ensure_identity
from lkhub.host.placed_secret import read_placed
from lkhub.livekit.webhooks import shorten_url
from lkhub.plan.paths import StatePaths
from lkhub.state.store import read_store
from lkhub.wire.application import Application
from lkhub.wire.application import Store as Settings
from lkhub.wire.serve_config import parse_serve

if TYPE_CHECKING:
    from lkhub.store.invites import Invite
    from lkhub.store.store import Store


def read_application(paths: StatePaths) -> Application:
    """What the spec in force says for applications. MachineError where no spec was put in force."""
    file = paths.render("serve.json")
    text = read_text(file)
    if text is None:
        raise MachineError(f"this hub has not been up yet: {file} does not exist", hints=(START, ANOTHER))
    try:
        return parse_serve(text).application
    except (ValueError, TypeError):
        raise MachineError(f"{file} is damaged", hints=("`lkhub up` writes it anew",)) from None


def name_left_store(paths: StatePaths, application: Application) -> str:
    """The store in force, where there is one and `application` has another; else ""."""
    try:
        before = read_application(paths).store
    except MachineError:  # no spec was in force
        return ""
    if not before.url or _find_database(before) == _find_database(application.store):
        return ""
    if before.file:
        return before.file if os.path.exists(before.file) else ""
    return before.url.replace("postgresql+psycopg:", "postgresql:", 1)


def _find_database(store: Settings) -> tuple[str, ...]:
    """Where it is, without who uses it and how. A file is that of the state directory, wherever it was moved to."""
    if store.file:
        return ()
    parts = urlsplit(store.url)
    named = dict(parse_qsl(parts.query))  # libpq's names, such as the folder of a socket as `host`
    host, port = named.get("host", parts.hostname or ""), named.get("port", str(parts.port or 5432))
    schema = re.search(r"search_path\s*=\s*(.*?)(\s-|$)", named.get("options", ""))
    other = named.get("hostaddr", ""), named.get("service", ""), schema[1] if schema else ""
    return host, port, named.get("dbname", unquote(parts.path.strip("/"))), *other


@contextmanager
def open_hub_store(paths: StatePaths, application: Application) -> Iterator["Store"]:
    """The store, as long as it is needed. Root works on it as the hub's own user. Raises StoreError, which is a
    MachineError."""
    # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
    from lkhub.store.owner import require_own
    from lkhub.store.store import Store

    settings = application.store
    if not settings.url:
        raise MachineError("this hub was put in force by an lkhub that has no store", hints=("`lkhub up` adds one",))
    with acting_as_owner(paths.root):
        record = read_store(paths.store_state)
        made = bool(settings.file) and record is not None and record.made and record.file == settings.file
        store = Store(settings.url, read_placed(settings.password) if settings.password else None, made=made)
        try:
            if settings.hub:
                with store.reading() as connection:
                    require_own(connection, ensure_identity(settings.hub))
            yield store
        finally:
            store.close()


def find_receivers(paths: StatePaths, key: str) -> list[str]:
    """The receivers of webhooks that took their last event with this key of the hub, by their URLs as they are shown.
    Raises MachineError where the store can't be used."""
    application = read_application(paths)
    if not application.webhooks:
        return []
    with open_hub_store(paths, application) as store, store.reading() as connection:
        # Imported here: it loads SQLAlchemy (500 ms).
        from lkhub.store.receivers import list_known_keys

        known = list_known_keys(connection)
    return [shorten_url(each.url) for each in application.webhooks if known.get(each.url) == key]


def find_participants_invites(paths: StatePaths) -> "list[Invite]":
    """The open invites that participants made. With which key their tokens were signed is not stored. Raises
    MachineError where the store can't be used."""
    application = read_application(paths)
    if application.store.file and not os.path.exists(application.store.file):  # nothing has opened it yet
        return []
    with open_hub_store(paths, application) as store, store.reading() as connection:
        # Imported here: it loads SQLAlchemy (500 ms).
        from lkhub.store.invites import list_open_of_participants

        return list_open_of_participants(connection, time.time())
