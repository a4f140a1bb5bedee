"""Who asks, and what the caller may ask for."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct
from starlette.requests import Request

from lkhub.service.errors import ApiError

Kind: TypeAlias = Literal["open", "api-key", "oidc", "invite"]


class Caller(Struct, frozen=True):
    """Who asks for a token. `id` is the key's, the invite's, or the subject at the OpenID provider; mode `open` has
    none. `name` is the name that people are shown, where the caller is a person whose name is known.

    `rooms`: globs of the rooms that the caller may enter. `roles`: the roles that it may ask for; empty is the
    default role alone. `vouches`: the caller knows its users, so each identity that it names is taken as it is.
    `identity`: the only one that the caller may have, "" where it may choose.
    """

    kind: Kind
    id: str = ""
    name: str = ""
    rooms: tuple[str, ...] = ("*",)
    roles: tuple[str, ...] = ()
    vouches: bool = False
    identity: str = ""

    @property
    def text(self) -> str:
        """As in the column `issued.caller`."""
        return f"{self.kind} {self.id}" if self.id else self.kind


class Mode(Protocol):
    """A way to prove who asks."""

    async def identify(self, request: Request) -> Caller | None:
        """The caller; None where the request has no proof of this kind. Raises ApiError for a proof that is wrong."""


class Authenticator:
    """Tries the modes of a hub in turn. `refuse` makes the answer to a request in which none finds a caller."""

    def __init__(self, modes: Sequence[Mode], refuse: Callable[[], ApiError]) -> None:
        self._modes, self._refuse = modes, refuse

    async def identify(self, request: Request) -> Caller:
        """The caller. Raises ApiError where there is none."""
        for mode in self._modes:
            if caller := await mode.identify(request):
                return caller
        raise self._refuse()


def find_bearer(request: Request) -> str:
    """The credential in `Authorization: Bearer …`, "" where there is none."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""
