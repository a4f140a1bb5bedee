"""Every answer of the JSON API is one of its models, and no address is outside of the contract."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel, TypeAdapter
from starlette.routing import Route

from lkhub.service import models
from lkhub.service.app import build_app
from lkhub.service.contract import ADDRESSES, ENDPOINTS, HUB, INVITE, REDEEM, SIGN_IN, Endpoint
from lkhub.service.models import Answer, ErrorAnswer, ErrorDetail, Hub, TokenRequest
from lkhub.wire.application import Application
from lkhub.wire.serve_config import ServeConfig
from tests.documents import ROOT
from tests.kit.scripts import load_script
from tests.service.conftest import Connect

BODIES = {
    "/api/livekit/token": {"room": "lobby", "name": "Ann Ü."},
    "/api/token-source": {"room_name": "lobby", "participant_name": "Ann Ü."},
    "/api/sign-in": {"path": "/join/lobby"},
    "/api/sign-out": {},
    "/api/invites/redeem": {"secret": "a" * 16, "room": "lobby", "tab": "t" * 22},
    "/api/invites": {"room": "lobby"},
}
# A hub for this machine alone refuses these; where they are allowed, test_signing_in.py and test_invites.py ask them.
REFUSED = {SIGN_IN: 404, REDEEM: 404, INVITE: 403}


async def ask(client: httpx.AsyncClient, endpoint: Endpoint[Answer]) -> httpx.Response:
    return await client.request(endpoint.method, endpoint.path, json=BODIES.get(endpoint.path))


def check_body(answer: httpx.Response, model: type[Answer]) -> None:
    """The body is what the model says, and has no key besides."""
    assert answer.headers["content-type"] == "application/json"
    TypeAdapter(model).validate_json(answer.content)


def test_every_address_below_api_is_in_the_contract(config: ServeConfig) -> None:
    app = build_app(replace(config, application=Application(used=True)))
    found = [route for route in app.routes if isinstance(route, Route) and route.path.startswith("/api")]
    routes = [route for route in found if route.path != "/api/docs"]  # a page
    named = {(address.path, address.method) for address in ADDRESSES}
    assert {(route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}} == named
    assert len(routes) == len(ADDRESSES)


def test_every_model_of_an_answer_is_in_the_contract() -> None:
    answers = {endpoint.answers for endpoint in ENDPOINTS} | {ErrorAnswer, ErrorDetail}
    assert set(Answer.__subclasses__()) == answers
    taken = {endpoint.takes for endpoint in ENDPOINTS if endpoint.takes}
    own = {
        thing for thing in vars(models).values() if isinstance(thing, type) and issubclass(thing, Answer | BaseModel)
    }
    assert own == answers | taken | {Answer, BaseModel}


@pytest.mark.anyio
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
async def test_answer_is_the_model(connect: Connect, endpoint: Endpoint[Answer]) -> None:
    async with connect() as client:
        answer = await ask(client, endpoint)
    # The last one of health is that of a hub whose media is not there, as here.
    assert answer.status_code == REFUSED.get(endpoint, endpoint.statuses[-1])
    check_body(answer, ErrorAnswer if endpoint in REFUSED else endpoint.answers)


@pytest.mark.anyio
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
async def test_refusal_is_the_model_of_errors(
    connect: Connect, config: ServeConfig, endpoint: Endpoint[Answer]
) -> None:
    async with connect(replace(config, open_tokens=False)) as client:
        check_body(await client.request("PUT", endpoint.path), ErrorAnswer)
        foreign = await client.request(endpoint.method, endpoint.path, headers={"host": "evil.example"})
    assert foreign.status_code == 421
    check_body(foreign, ErrorAnswer)
    assert "hint" in foreign.json()["error"]


def test_hint_that_is_not_there_is_left_out() -> None:
    assert json.loads(ErrorAnswer(error=ErrorDetail(code="c", message="m")).as_json()) == {
        "error": {"code": "c", "message": "m"}
    }


# --- the types of the front end


def test_types_of_the_front_end_are_of_these_models() -> None:
    generator = load_script("web_types")
    head = generator.build_head(generator.build_schema())
    assert (ROOT / generator.TYPES).read_text().startswith(head), "run scripts/web-types"


@dataclass(frozen=True)
class Wider(Hub):
    """What a page must know of its hub, and one thing more."""

    more: int = 0


@pytest.mark.parametrize(
    "endpoint",
    [
        replace(HUB, answers=Wider),
        replace(HUB, path="/api/other"),
        replace(HUB, method="POST"),
        replace(HUB, takes=TokenRequest),
    ],
    ids=["model", "path", "method", "request"],
)
def test_check_fails_where_the_contract_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], endpoint: Endpoint[Hub]
) -> None:
    generator = load_script("web_types")
    monkeypatch.setattr(generator, "ENDPOINTS", (endpoint, *ENDPOINTS[1:]))
    assert generator.main(["--check"]) == 1
    assert f"{generator.TYPES} is stale: run scripts/web-types" in capsys.readouterr().err


def test_check_fails_where_the_file_was_changed_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = load_script("web_types")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(generator, "build_types", lambda schema: generator.build_head(schema) + "made\n")
    file = tmp_path / generator.TYPES
    file.parent.mkdir(parents=True)
    assert generator.main(["--check"]) == 1
    assert not file.exists()
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    file.write_text(file.read_text() + "by hand\n")
    assert generator.main(["--check"]) == 1
    assert "is stale" in capsys.readouterr().err
