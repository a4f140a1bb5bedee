"""Access, rooms, webhooks and the store: defaults by reach, and what contradicts itself."""

import pytest

from lkhub.plan.build import build_plan
from lkhub.spec.load import load_spec
from lkhub.wire.application import Access, Application, Rate, Store
from tests.machines import INSTALLATION, make_facts


def plan(text: str) -> Application:
    loaded = load_spec(text.encode())
    built = build_plan(loaded, make_facts(), INSTALLATION)
    assert loaded.faults == []
    assert built is not None
    return built.serve.application


def refuse(text: str) -> list[tuple[int | None, str]]:
    loaded = load_spec(text.encode())
    build_plan(loaded, make_facts(), INSTALLATION)
    return [(fault.line, fault.title) for fault in loaded.faults]


@pytest.mark.parametrize(
    ("text", "modes"),
    [
        ("reach: local", ("open",)),
        ("reach: local\ntls: {mode: internal}", ()),
        ("reach: lan", ()),
        ("access: {modes: []}", ()),
        ("access: {modes: [api-keys]}", ("api-keys",)),
        ("reach: lan\naccess: {modes: [open], open_to_anyone: true}", ("open",)),
    ],
)
def test_a_hub_is_open_only_to_its_own_machine_unless_it_says_otherwise(text: str, modes: tuple[str, ...]) -> None:
    assert plan(text).access.modes == modes


@pytest.mark.parametrize(
    "text",
    [
        "access: {modes: [api-keys]}",
        "access: {roles: {speaker: {}}}",
        "access: {modes: [open], open_to_anyone: true}",
        "access: {origins: ['https://a.example']}",
        "access: {limits: {room: off}}",
        "rooms: [{match: a}]",
        "webhooks: [{url: 'https://a.example'}]",
        "store: postgresql://lkhub@127.0.0.1/lkhub",
    ],
)
def test_spec_that_asks_for_some_of_it_uses_it(text: str) -> None:
    assert plan(text).used


@pytest.mark.parametrize("text", ["", "access: {modes: [open]}", "access: {create: operator}", "reach: lan"])
def test_spec_without_it_does_not(text: str) -> None:
    assert not plan(text).used


@pytest.mark.parametrize(
    ("text", "create"),
    [
        ("", "joining"),
        ("access: {create: operator}", "operator"),
        ("livekit: {room: {auto_create: false}}", "operator"),
        ("livekit: {room: {auto_create: true}}", "joining"),
        ("livekit: {room: {max_participants: 3}}", "joining"),
    ],
)
def test_who_opens_rooms(text: str, create: str) -> None:
    assert plan(text).access.create == create


def test_participant_is_there_without_being_written_and_can_be_changed() -> None:
    assert plan("").access.roles["participant"].publish == (
        "camera",
        "microphone",
        "screen_share",
        "screen_share_audio",
    )
    changed = plan("access: {roles: {participant: {publish: [screen], ttl: 1h}, speaker: {}}}").access
    assert set(changed.roles) == {"participant", "speaker"}
    assert (changed.roles["participant"].publish, changed.roles["participant"].ttl) == (("screen_share",), 3600)


def test_limits_are_rates_or_none() -> None:
    limits = plan("access: {limits: {caller: 20/second, room: off}}").access.limits
    assert (limits.caller, limits.address, limits.room) == (Rate(20, 1), Rate(60, 60), None)


def test_store_has_no_password_in_its_url() -> None:
    assert plan("").store == Store("sqlite:////var/lib/lkhub/store.db")
    assert plan("store: {url: 'postgresql://u@db/lkhub', password: XYZXYZ}").store == Store(
        "postgresql+psycopg://u@db/lkhub",
        "/var/lib/lkhub/rendered/store.password.secret",
        "/var/lib/lkhub/identity",
    )


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("reach: lan\naccess: {modes: [open]}", [(2, "`open` gives tokens to everyone who can reach the hub")]),
        (
            "access: {create: operator}\nlivekit:\n  room:\n    auto_create: true",
            [(4, "access.create: operator says that joining opens no room")],
        ),
        ("access:\n  modes: [oidc]", [(2, "`oidc` needs a provider, and access.oidc names none")]),
        (
            "access:\n  modes: [oidc]\n  oidc: {issuer: id.example.com, client_id: b}",
            [(3, "not a URL of http or https; write https://HOST/PATH")],
        ),
        (
            "access:\n  oidc: {issuer: 'https://a.example', client_id: b}",
            [(2, "not used: `oidc` is not among access.modes")],
        ),
        ("access:\n  default_role: speaker", [(2, "there is no role speaker")]),
        ("rooms:\n- match: a\n  roles: [speaker]", [(3, "there is no role speaker")]),
        (
            "rooms:\n- match: '*'\n- match: voice-*",
            [(3, "no room gets this preset: * before it fits all these names, and the first counts")],
        ),
        (
            "rooms:\n- match: a*\n- match: b*\n- match: a*",
            [(4, "no room gets this preset: a* before it fits all these names, and the first counts")],
        ),
        ("rooms:\n- match: voice-1\n- match: voice-*\n- match: '*'", []),
        (
            "rooms:\n- match: a\n  overflow: subrooms",
            [(3, "sub-rooms need a capacity: a room without one is never full")],
        ),
    ],
)
def test_what_contradicts_itself_is_a_fault_at_its_line(text: str, faults: list[tuple[int, str]]) -> None:
    assert refuse(text) == faults


def test_defaults_are_those_of_a_service_that_was_told_nothing() -> None:
    assert Application() == Application(used=False, access=Access(), rooms=(), webhooks=(), store=Store())
