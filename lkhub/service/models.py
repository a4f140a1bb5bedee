"""What the service is asked for and what it answers, as JSON. Pure.

The types of the front end are made from these models (scripts/types), so a name or a type is written here alone. The
docstring of a model is its comment there.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from lkhub.livekit.tokens import MAX_NAME, find_unseen

_STRICT = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """The base of every answer. A field with a default is left out where it was not set."""

    model_config = _STRICT

    def as_json(self) -> bytes:
        """The body of the response."""
        return self.model_dump_json(exclude_unset=True).encode()


class Hub(Answer):
    """What a page must know of its hub. `livekit_url` is at the name by which the page was asked for. `tokens`: with
    `open`, whoever asks may also ask for a token; with `link`, a join link carries it."""

    name: str
    version: str
    livekit_url: str
    reach: Literal["local", "lan", "public"]
    tokens: Literal["open", "link"]


class Health(Answer):
    """Whether media answers: `ok` comes with status 200, `unavailable` with 503."""

    status: Literal["ok", "unavailable"]


class Arrival(Answer):
    """How a request came to the hub. `instance` is the process that answers: two addresses that give the same one lead
    to the same hub. `client` is the address from which the hub takes the request to come. `forwarded` says whether a
    proxy told that address, and is null where no proxy is expected."""

    instance: str
    client: str
    forwarded: bool | None


def _require_seen(text: str) -> str:
    if unseen := find_unseen(text):
        raise PydanticCustomError("unseen", "has {unseen}, which can't be seen", {"unseen": unseen})
    return text


Name = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_require_seen)]


class TokenRequest(BaseModel):
    """A request for a token of one room. Without `identity` the hub makes a new one for each request."""

    model_config = _STRICT

    room: Annotated[Name, Field(min_length=1)]
    identity: Annotated[Name, Field(min_length=1)] | None = None
    name: Name = ""
    metadata: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)


class TokenGrant(Answer):
    """A token of a plain participant, and where to use it. `expires_at` is in seconds since 1970."""

    token: str
    url: str
    room: str
    identity: str
    expires_at: int


class ErrorDetail(Answer):
    """Why the hub did not do what it was asked for. `hint` says what to do about it."""

    code: str
    message: str
    hint: str = ""


class ErrorAnswer(Answer):
    """What any address answers with when it refuses a request or fails at it."""

    error: ErrorDetail
