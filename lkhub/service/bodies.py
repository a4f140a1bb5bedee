"""Reading the body of a request."""

import time
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from lkhub.service.access.local import is_local
from lkhub.service.address import find_client
from lkhub.service.errors import ApiError, refuse_too_many
from lkhub.service.rates import Windows
from lkhub.source.json_text import DuplicateKeyError, parse_unique_json
from lkhub.wire.application import Rate
from lkhub.wire.serve_config import ServeConfig

# LiveKit takes up to 64 KiB of attributes and more of metadata; a token for a person needs far less.
MAX_BODY_BYTES = 64 * 1024

# To read a body of 60 KiB takes as long as a hundred tokens, and other callers wait meanwhile. So one address may send
# few that are large: those of a person are not.
LARGE_BYTES = 8 * 1024
LARGE_BODIES = Rate(10, 10)

# A body at its limit can have thousands of faults. To tell them all takes as long as a hundred tokens.
MOST_FAULTS = 10

# What pydantic says at length, or of names as if they were lists, where no name may be empty.
_PROBLEMS = {"missing": "missing", "extra_forbidden": "unknown", "too_short": "empty"}

M = TypeVar("M", bound=BaseModel)


class Bodies:
    """The bodies of the requests to one hub."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._large = Windows(LARGE_BODIES)

    async def read(self, request: Request, model: type[M], hint: str, *, trusted: bool = False) -> M:
        """The body as a model. Raises ApiError; `hint` shows how the body has to look. `trusted`: the caller is an
        application of the operator's, with as many large bodies as it wants. So are programs of this machine."""
        body = await _read_body(request)
        if len(body) > LARGE_BYTES and not trusted and not is_local(request):
            self._require_few(request)
        return _parse(body, model, hint)

    def _require_few(self, request: Request) -> None:
        client, now = find_client(request, self._config), time.monotonic()
        if wait := self._large.find_wait(client, now):
            raise refuse_too_many("large bodies from this address", wait)
        self._large.count(client, now)


def _parse(body: bytes, model: type[M], hint: str) -> M:
    try:
        data: Any = parse_unique_json(body)
    except DuplicateKeyError:
        raise ApiError(400, "the body has a key twice", hint) from None
    except ValueError:
        raise ApiError(400, "the body is not JSON", hint) from None
    if isinstance(data, dict) and len(data) > 2 * len(model.model_fields):  # LiveKit's fields have two spellings each
        raise ApiError(422, f"the body has {len(data):,} fields, most of which are unknown", hint)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ApiError(422, _describe(error), hint) from None


def _describe(error: ValidationError) -> str:
    rows = error.errors(include_url=False, include_context=False, include_input=False)
    faults = [
        f"{'.'.join(map(str, row['loc'])) or 'body'}: {_PROBLEMS.get(row['type'], row['msg'])}"
        for row in rows[:MOST_FAULTS]
    ]
    more = len(rows) - len(faults)
    return "; ".join([*faults, f"{more:,} more"] if more else faults)


async def _read_body(request: Request) -> bytes:
    # Request.stream() is a generator, which takes a few times as long for a body of one piece.
    body = b""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(413, f"the body is over {MAX_BODY_BYTES:,} bytes")
        if not message.get("more_body", False):
            return body
