"""The OpenAPI document of a hub, made from the contract. Pure.

Loaded when a client asks for the document: most hubs are never asked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from inspect import cleandoc
from typing import Any

import msgspec
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from lkhub import __version__
from lkhub.service.contract import ADDRESSES, Address, Content, Endpoint, OtherAddress, Way
from lkhub.service.models import ErrorAnswer
from lkhub.service.reasons import WRONG_HOST, Refusal
from lkhub.source.json_text import Json
from lkhub.wire.serve_config import ServeConfig

Document = dict[str, Any]  # its keys are defined by OpenAPI 3.1 and by JSON Schema

INTRODUCTION = """\
What this hub answers to applications and to its own pages. An error has one shape, `ErrorAnswer`, and its `code` says \
which of several reasons it is; 500 is a bug. Where the hub is reached through its edge, 502 and 504 have the same \
shape: the process behind the edge is not there, or does not answer. Another method than those named here gets 405."""

_HEADERS: Mapping[str, tuple[str, Mapping[str, Json]]] = {
    "Cache-Control": ("The answer is for this caller alone.", {"const": "no-store"}),
    "Retry-After": ("After so many seconds it is worth asking again.", {"type": "integer", "minimum": 0}),
    "Set-Cookie": ("What this browser keeps.", {"type": "string"}),
    "WWW-Authenticate": ("How to prove who asks.", {"type": "string", "pattern": "^Bearer"}),
}


class Untitled(GenerateJsonSchema):
    """Without a title for each field, which would repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def build_document(config: ServeConfig) -> Document:
    """OpenAPI 3.1 for the addresses that are of use on a hub, with the ways to authenticate that it has."""
    served = [address for address in ADDRESSES if address.served(config)]
    ways = _list_ways(config)
    references, schemas = _build_schemas(served)
    paths: dict[str, Document] = {}
    for address in served:
        operation = _describe(address, references, [way for way in address.ways if way in ways])
        paths.setdefault(address.path, {})[address.method.lower()] = operation
    used = {way for address in served for way in address.ways if way in ways}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"The hub {config.name}", "version": __version__, "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {_SCHEME[way]: scheme for way, scheme in ways.items() if scheme and way in used},
        },
    }


def dump_document(config: ServeConfig) -> bytes:
    """Its text."""
    return msgspec.json.encode(build_document(config))


# --- who may ask

_SCHEME: Mapping[Way, str] = {
    "api-key": "apiKey",
    "openid": "openid",
    "session": "session",
    "join-token": "joinToken",
    "livekit": "livekit",
}


def _list_ways(config: ServeConfig) -> dict[Way, Document]:
    """The ways that a hub has; an empty one is no proof at all."""
    access = config.application.access
    ways: dict[Way, Document] = {"anyone": {}}
    if config.open_tokens or "open" in access.modes:
        ways["open"] = {}
    if "api-keys" in access.modes:
        text = "A key of `lkhub access create`."
        ways["api-key"] = {"type": "http", "scheme": "bearer", "description": text}
    if access.oidc:
        text = f"An access token of the OpenID provider `{access.oidc.issuer}`, for `{access.oidc.audience}`."
        ways["openid"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": text}
        # Over TLS its name begins with this prefix (lkhub/service/oidc/cookies.py).
        name = f"{'__Host-' if config.authorities else ''}lkhub-session"
        text = "The cookie of a person who signed in."
        ways["session"] = {"type": "apiKey", "in": "cookie", "name": name, "description": text}
    text = "The token with which a participant joined the room."
    ways["join-token"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": text}
    text = "A JWT, without a scheme, that a key of the hub signed, with the digest of the body in its claim `sha256`."
    ways["livekit"] = {"type": "apiKey", "in": "header", "name": "Authorization", "description": text}
    return ways


# --- one address


def _describe(address: Address, references: Mapping[type, Document], ways: Sequence[Way]) -> Document:
    refusals = (*address.refusals, WRONG_HOST)
    operation: Document = {
        "operationId": address.name,
        "summary": address.summary,
        "security": [{_SCHEME[way]: []} if way in _SCHEME else {} for way in ways],
    }
    taken = answered = None
    if isinstance(address, Endpoint):
        if address.takes:
            taken = Content("application/json", _read_meaning(address.takes), references[address.takes])
        elif address.method == "POST":
            taken = Content("application/json", "Any JSON, such as `{}`.", {})
        answered = Content("application/json", _read_meaning(address.answers), references[address.answers])
    elif isinstance(address, OtherAddress):
        taken, answered = address.takes, address.answers
        if address.parameters:
            operation["parameters"] = [
                {"name": name, "in": "header", "description": meaning, "schema": {"type": "string", "pattern": pattern}}
                for name, pattern, meaning in address.parameters
            ]
    if taken:
        content = {taken.media_type: {"schema": taken.schema}}
        operation["requestBody"] = {"description": taken.meaning, "required": True, "content": content}
    responses: Document = {}
    for status in address.statuses:
        responses[str(status)] = _describe_answer(address, answered)
    for status in sorted({refusal.status for refusal in refusals}):
        rows = [refusal for refusal in refusals if refusal.status == status]
        responses[str(status)] = _describe_refusal(rows, references[ErrorAnswer])
    return {**operation, "responses": responses}


def _describe_answer(address: Address, content: Content | None) -> Document:
    response: Document = {"description": content.meaning if content else "Done. The body is empty."}
    if address.headers:
        response["headers"] = _describe_headers(address.headers)
    if content:
        response["content"] = {content.media_type: {"schema": content.schema}}
    return response


def _describe_refusal(rows: Sequence[Refusal], error: Document) -> Document:
    codes = list(dict.fromkeys(row.code for row in rows))
    of_code = {code: " ".join(row.when for row in rows if row.code == code) for code in codes}
    code = {"properties": {"code": {"enum": codes}}}
    response: Document = {
        "description": "\n".join(f"`{code}`: {when}" for code, when in of_code.items()),
        "content": {"application/json": {"schema": {**error, "properties": {"error": code}}}},
    }
    # Of several reasons, one may come without the header.
    if headers := list(dict.fromkeys(header for row in rows for header in row.headers)):
        always = [header for header in headers if all(header in row.headers for row in rows)]
        response["headers"] = _describe_headers(headers, always)
    return response


def _describe_headers(names: Iterable[str], always: Iterable[str] | None = None) -> Document:
    required = set(names if always is None else always)
    return {
        name: {"description": _HEADERS[name][0], "required": name in required, "schema": _HEADERS[name][1]}
        for name in names
    }


# --- models


def _build_schemas(served: Iterable[Address]) -> tuple[dict[type, Document], Document]:
    """A reference to the schema of each model, and the schemas."""
    models: dict[type, None] = {ErrorAnswer: None}
    for address in served:
        if isinstance(address, Endpoint):
            models |= dict.fromkeys(model for model in (address.takes, address.answers) if model)
    # As what is read: a field with a default may be missing, in a request and in an answer.
    inputs: list[tuple[type, JsonSchemaMode, TypeAdapter[Any]]] = [
        (model, "validation", TypeAdapter(model)) for model in models
    ]
    references, definitions = TypeAdapter.json_schemas(
        inputs,
        schema_generator=Untitled,
        ref_template="#/components/schemas/{model}",
    )
    schemas: Document = definitions["$defs"]
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = _join_lines(schema["description"])
    return {model: references[model, "validation"] for model in models}, schemas


def _read_meaning(model: type) -> str:
    return _join_lines(model.__doc__ or "")


def _join_lines(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", cleandoc(text))
