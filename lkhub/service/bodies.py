"""Reading the body of a request."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from lkhub.service.errors import ApiError
from lkhub.source.json_text import DuplicateKeyError, parse_unique_json

# LiveKit takes up to 64 KiB of attributes and more of metadata; a token for a person needs far less.
MAX_BODY_BYTES = 64 * 1024

M = TypeVar("M", bound=BaseModel)


async def read_model(request: Request, model: type[M], hint: str) -> M:
    """The body as a model. Raises ApiError; `hint` shows how the body has to look."""
    body = await _read_body(request)
    try:
        data: Any = parse_unique_json(body)
    except DuplicateKeyError:
        raise ApiError(400, "the body has a key twice", hint) from None
    except ValueError:
        raise ApiError(400, "the body is not JSON", hint) from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, row['loc'])) or 'body'}: {row['msg']}" for row in error.errors(include_input=False)
        )
        raise ApiError(422, "; ".join(faults), hint) from None


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
