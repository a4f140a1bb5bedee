"""Where tokens are asked for: who asks, and what is issued. A hub that keeps nothing has the parts below alone; the
others are loaded with the store."""

from dataclasses import dataclass

from lkhub.host.keyfile import load_keys
from lkhub.secret import Secret
from lkhub.service.access.caller import Authenticator
from lkhub.service.access.local import OpenMode
from lkhub.service.errors import ApiError
from lkhub.service.tokens import Issuer
from lkhub.wire.serve_config import ServeConfig


@dataclass(frozen=True)
class Desk:
    """What the endpoints ask. `open` is None on a hub that asks everyone for proof."""

    authenticator: Authenticator
    issuer: Issuer
    open: OpenMode | None


def build_desk(config: ServeConfig) -> Desk:
    """The desk of a hub that keeps nothing."""
    open_mode = find_open_mode(config)
    authenticator = Authenticator([open_mode] if open_mode else [], refuse_stranger)
    return Desk(authenticator, Issuer(config.application, CurrentKey(config.keys)), open_mode)


def find_open_mode(config: ServeConfig) -> OpenMode | None:
    if config.open_tokens:
        return OpenMode(local=True)
    return OpenMode(local=False) if "open" in config.application.access.modes else None


class CurrentKey:
    """The API key that tokens are signed with. `file` is read at each call, since the key may have been rotated."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __call__(self) -> tuple[str, Secret]:
        return next(iter(load_keys(self._file).items()))


def refuse_stranger() -> ApiError:
    """The answer to a caller that gets nothing from this hub, whatever it proves."""
    return ApiError(403, "this hub gives no tokens here", "ask its operator for a join link: `lkhub token --link`")
