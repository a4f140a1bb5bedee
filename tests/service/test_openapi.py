"""The OpenAPI document: valid, true of the hub that gives it, and made only where it is asked for."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs
from openapi_spec_validator import OpenAPIV31SpecValidator

from lkhub.service.contract import ADDRESSES
from lkhub.service.openapi import Document, build_document
from lkhub.wire.application import Access, Application, Oidc
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import Connect

ALWAYS = {"/api/hub", "/api/health", "/api/request-info", "/api/invites/redeem", "/api/openapi.json"}
TOKENS = {"/api/livekit/token", "/api/token-source"}
KEPT = {"/api/invites", "/api/webhooks/livekit"}
ACCOUNTS = {"/api/session", "/api/sign-in", "/api/sign-out"}
OIDC = Oidc("https://id.example.com/", "web", "", "hub", "roles")

Make = Callable[..., ServeConfig]


@pytest.fixture
def make(config: ServeConfig) -> Make:
    """The service of a hub with these keys of `access`; without them, of one that keeps nothing."""

    def make_config(*modes: str, oidc: Oidc | None = None, open_tokens: bool = False) -> ServeConfig:
        access = structs.replace(Access(), modes=modes, oidc=oidc)
        application = Application(used=bool(modes), access=access)
        return replace(config, open_tokens=open_tokens, application=application)

    return make_config


def list_schemes(document: Document) -> set[str]:
    return set(document["components"]["securitySchemes"])


def test_document_of_everything_is_valid_and_has_every_address(make: Make) -> None:
    document = build_document(make("open", "api-keys", "oidc", oidc=OIDC))
    OpenAPIV31SpecValidator(document).validate()
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert described == {(address.path, address.method) for address in ADDRESSES}
    assert list_schemes(document) == {"apiKey", "openid", "session", "joinToken", "livekit"}


@pytest.mark.parametrize(
    ("modes", "settings", "paths", "schemes"),
    [
        ((), {}, ALWAYS, set()),
        ((), {"open_tokens": True}, ALWAYS | TOKENS, set()),
        (("open",), {}, ALWAYS | TOKENS | KEPT, {"joinToken", "livekit"}),
        (
            ("api-keys",),
            {},
            ALWAYS | TOKENS | KEPT | {"/api/events"},
            {"apiKey", "joinToken", "livekit"},
        ),
        (
            ("oidc",),
            {"oidc": OIDC},
            ALWAYS | TOKENS | KEPT | ACCOUNTS,
            {"openid", "session", "joinToken", "livekit"},
        ),
    ],
    ids=["nothing", "this machine", "open", "API keys", "accounts"],
)
def test_document_has_what_the_hub_serves(
    make: Make, modes: tuple[str, ...], settings: dict[str, object], paths: set[str], schemes: set[str]
) -> None:
    document = build_document(make(*modes, **settings))
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["paths"]) == paths
    assert list_schemes(document) == schemes
    token = document["paths"].get("/api/livekit/token", {}).get("post", {"security": []})
    free = "open" in modes or bool(settings.get("open_tokens"))
    assert ({} in token["security"]) is free


def test_header_that_only_one_of_the_reasons_has_is_not_promised(make: Make) -> None:
    answers = build_document(make("api-keys"))["paths"]["/api/livekit/token"]["post"]["responses"]
    assert answers["429"]["headers"]["Retry-After"]["required"] is True
    assert answers["409"]["headers"]["Retry-After"]["required"] is False, "not for an identity that is taken"
    codes = answers["409"]["content"]["application/json"]["schema"]["properties"]["error"]["properties"]["code"]
    assert codes == {"enum": ["room-full", "identity-taken"]}


def test_names_in_the_document_are_all_different(make: Make) -> None:
    names = [address.name for address in ADDRESSES]
    assert len(set(names)) == len(names)


@pytest.mark.anyio
async def test_hub_gives_its_own_document(connect: Connect, make: Make) -> None:
    config = make(open_tokens=True)
    async with connect(config) as client:
        answers = [await client.get("/api/openapi.json") for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.json() == json.loads(json.dumps(build_document(config)))
