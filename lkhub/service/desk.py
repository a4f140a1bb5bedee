"""Where tokens are asked for: who asks, and what is issued. A hub that keeps nothing has the parts below alone; the
others are loaded with the store."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkhub.host.keyfile import load_keys
from lkhub.secret import Secret
from lkhub.service.access.caller import Authenticator
from lkhub.service.access.local import OpenMode
from lkhub.service.errors import ApiError
from lkhub.service.tokens import Issuer
from lkhub.wire.serve_config import ServeConfig

if TYPE_CHECKING:
    from lkhub.service.invites import Invites
    from lkhub.service.oidc.signing_in import SigningIn


@dataclass(frozen=True)
class Desk:
    """What the endpoints ask. `open` is None on a hub that asks everyone for proof, and `signing_in` where nobody signs
    in. `find_invites` returns None where there are certainly no invites."""

    authenticator: Authenticator
    issuer: Issuer
    open: OpenMode | None
    find_invites: "Callable[[], Invites | None]"
    signing_in: "SigningIn | None" = None


def build_desk(config: ServeConfig, find_invites: "Callable[[], Invites | None]") -> Desk:
    """The desk of a hub that keeps nothing."""
    open_mode = find_open_mode(config)
    authenticator = Authenticator([open_mode] if open_mode else [], refuse_stranger)
    issuer = Issuer(config.application, CurrentKey(config.keys))
    return Desk(authenticator, issuer, open_mode, find_invites)


def find_open_mode(config: ServeConfig) -> OpenMode | None:
    if config.open_tokens:
        return OpenMode(local=True)
    return OpenMode(local=False) if "open" in config.application.access.modes else None


class CurrentKey:
    """The API key that tokens are signed with. `file` is read again once it is another file or has changed, since the
    key may have been rotated: reading it takes a quarter of the time of a request. It is looked at once for all
    requests that are answered together: each look lets another thread go on first."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._looked = False
        self._read: tuple[int, int, int] | None = None
        self._current = ("", Secret(""))

    def __call__(self) -> tuple[str, Secret]:
        if self._looked:
            return self._current
        try:
            found = os.stat(self._file)
            state = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            state = None
        if state is None or state != self._read:
            self._current = next(iter(load_keys(self._file).items()))
            self._read = state
        self._looked = True
        asyncio.get_running_loop().call_soon(self._forget)
        return self._current

    def _forget(self) -> None:
        self._looked = False


def refuse_stranger() -> ApiError:
    """The answer to a caller that gets nothing from this hub, whatever it proves."""
    return ApiError(403, "this hub gives no tokens here", "ask its operator for a join link: `lkhub token --link`")
