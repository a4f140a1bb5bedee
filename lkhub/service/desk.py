"""Where tokens are asked for: who asks, and what is issued. A hub that keeps nothing has the parts below alone; the
others are loaded with the store."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkhub.service.access.caller import Authenticator
from lkhub.service.access.local import OpenMode
from lkhub.service.errors import ApiError
from lkhub.service.ring import Ring
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
    issuer = Issuer(config.application, Ring(config.keys).current)
    return Desk(authenticator, issuer, open_mode, find_invites)


def find_open_mode(config: ServeConfig) -> OpenMode | None:
    if config.open_tokens:
        return OpenMode(local=True)
    return OpenMode(local=False) if "open" in config.application.access.modes else None


def refuse_stranger() -> ApiError:
    """The answer to a caller that gets nothing from this hub, whatever it proves."""
    hint = "people need a join link: `lkhub token --link`; an application, `access: {modes: [api-keys]}` in the spec"
    return ApiError(403, "this hub gives no tokens here", hint)
