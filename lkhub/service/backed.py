"""The desk of a hub with a store: whoever asks proves who it is, and what is given away is noted."""

from lkhub.service.access.api_keys import ApiKeyMode
from lkhub.service.access.caller import Authenticator, Mode
from lkhub.service.book import Book
from lkhub.service.desk import CurrentKey, Desk, find_open_mode, refuse_stranger
from lkhub.service.errors import ApiError
from lkhub.service.storage import Storage
from lkhub.service.tokens import Issuer
from lkhub.wire.serve_config import ServeConfig


def build_backed_desk(config: ServeConfig) -> Desk:
    """The desk of a hub whose spec asks for more than mode `open`."""
    application = config.application
    storage = Storage(application.store)
    modes: list[Mode] = []
    if "api-keys" in application.access.modes:
        modes.append(ApiKeyMode(config, storage))
    open_mode = find_open_mode(config)
    if open_mode:
        modes.append(open_mode)
    proven = set(application.access.modes) - {"open"}
    authenticator = Authenticator(modes, _refuse_unproven if proven else refuse_stranger)
    return Desk(authenticator, Issuer(application, CurrentKey(config.keys), book=Book(config, storage)), open_mode)


def _refuse_unproven() -> ApiError:
    hint = "send Authorization: Bearer KEY, with a key of `lkhub access create`"
    return ApiError(401, "this hub gives tokens to callers that it knows", hint, {"www-authenticate": "Bearer"})
