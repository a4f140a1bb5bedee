"""The ways into a room without a join link: an account, an invite, and what the pages say when neither works."""

import re
from collections.abc import Iterator

import jwt
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from starlette.responses import JSONResponse

from tests.kit.accessible import check
from tests.kit.hub import Hub, make_hub
from tests.kit.issuer import Issuer, run_issuer
from tests.kit.ports import free_port


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with run_issuer(free_port()) as made:
        yield made


@pytest.fixture(autouse=True)
def _well(issuer: Issuer) -> Iterator[None]:
    """Each test begins with the same provider."""
    yield
    issuer.denies, issuer.user = False, {"sub": "u-1", "name": "Ann Example"}
    issuer.replies.clear()


@pytest.fixture(scope="module")
def hub(issuer: Issuer) -> Iterator[Hub]:
    """A hub where people sign in; those of the group `host` may let others in."""
    issuer.user = {"sub": "u-1", "name": "Ann Example"}
    with make_hub() as made:
        made.write_spec(
            f"""
            access:
              modes: [oidc]
              oidc: {{issuer: "{issuer.url}", client_id: lkhub, role_claim: groups}}
              roles:
                host: {{admin: true}}
                speaker: {{publish: [microphone]}}
                presenter: {{publish: [screen]}}
            """
        )
        made.up("--no-verify")
        yield made


def address(hub: Hub, room: str = "lobby") -> str:
    return f"http://127.0.0.1:{hub.ports['web']}/join/{room}"


def join(page: Page, name: str = "") -> None:
    if name:
        page.get_by_test_id("name-input").fill(name)
    page.get_by_test_id("join").click()
    expect(page.get_by_test_id("call")).to_be_visible()


def sign_in(page: Page, hub: Hub, room: str = "lobby") -> None:
    page.goto(address(hub, room))
    page.get_by_test_id("sign-in").click()
    expect(page.get_by_test_id("prejoin")).to_be_visible()


def open_people(page: Page) -> None:
    page.get_by_test_id("people").click()
    expect(page.get_by_test_id("people-panel")).to_be_visible()


def test_person_signs_in_and_joins_and_a_reload_goes_on(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    page.goto(address(hub))
    expect(page.get_by_test_id("sign-in-page")).to_be_visible()
    check(page)
    page.get_by_test_id("sign-in").click()
    expect(page.get_by_test_id("name-input")).to_have_value("Ann Example")
    assert page.url == address(hub)
    join(page)
    page.reload()
    join(page)
    expect(page.get_by_test_id("call")).to_be_visible()
    open_people(page)
    expect(page.get_by_test_id("room-address")).to_have_value(address(hub))
    expect(page.get_by_test_id("make-invite")).to_have_count(0)


@pytest.mark.field
def test_hub_for_everyone_lets_people_sign_in_too(context: BrowserContext, issuer: Issuer) -> None:
    """An account leads into rooms that are closed to others."""
    issuer.user = {"sub": "u-2", "name": "Hana Host", "groups": ["host"]}
    with make_hub() as both:
        both.write_spec(
            f"""
            access:
              modes: [open, oidc]
              oidc: {{issuer: "{issuer.url}", client_id: lkhub, role_claim: groups}}
              roles:
                host: {{admin: true}}
            rooms:
              - match: "staff-*"
                roles: [host]
            """
        )
        both.up("--no-verify")
        page = context.new_page()
        page.goto(address(both, "lobby"))
        page.get_by_test_id("as-guest").click()
        join(page, "Gus")
        page.goto(address(both, "staff-1"))
        expect(page.get_by_test_id("as-guest")).to_be_visible()
        check(page)
        page.get_by_test_id("as-guest").click()
        page.get_by_test_id("name-input").fill("Gus")
        page.get_by_test_id("join").click()
        page.get_by_test_id("sign-in-instead").click()
        page.get_by_test_id("sign-in").click()
        expect(page.get_by_test_id("name-input")).to_have_value("Hana Host")
        join(page)


@pytest.mark.field
def test_person_signs_out(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    sign_in(page, hub)
    expect(page.get_by_test_id("account")).to_contain_text("Signed in as Ann Example")
    page.get_by_test_id("sign-out").click()
    expect(page.get_by_test_id("sign-in-page")).to_be_visible()


@pytest.mark.field
def test_session_that_has_ended_leads_back_to_signing_in(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    sign_in(page, hub)
    context.clear_cookies()
    page.get_by_test_id("join").click()
    expect(page.get_by_test_id("sign-in-problem")).to_contain_text("You are signed out")
    page.get_by_test_id("sign-in").click()
    expect(page.get_by_test_id("prejoin")).to_be_visible()


@pytest.mark.field
def test_host_in_a_call_lets_another_person_in_by_an_invite(context: BrowserContext, hub: Hub, issuer: Issuer) -> None:
    issuer.user = {"sub": "u-2", "name": "Hana Host", "groups": ["host"]}
    page = context.new_page()
    sign_in(page, hub)
    join(page)
    open_people(page)
    page.get_by_test_id("make-invite").click()
    field = page.get_by_test_id("room-invite")
    expect(field).to_have_value(re.compile(re.escape(address(hub)) + "#i=[a-z2-7]{16}$"))
    check(page)
    context.clear_cookies()
    guest = context.new_page()
    guest.goto(field.input_value())
    assert guest.url == address(hub), "the secret is not left in the address bar"
    join(guest, "Gus")
    expect(page.get_by_test_id("person").filter(has_text="Gus")).to_be_visible()
    guest.reload()
    join(guest, "Gus")
    expect(page.get_by_test_id("person").filter(has_text="Gus")).to_have_count(1)
    open_people(guest)
    expect(guest.get_by_test_id("make-invite")).to_have_count(0)


def test_invite_of_one_use_lets_one_tab_in_and_tells_the_other(context: BrowserContext, hub: Hub) -> None:
    link = hub.run("invite", "lobby", "--uses", "1").stdout.strip()
    page = context.new_page()
    page.goto(link)
    join(page, "Gus")
    other = context.new_page()
    other.goto(link)
    other.get_by_test_id("name-input").fill("Late")
    other.get_by_test_id("join").click()
    expect(other.get_by_test_id("invite-problem")).to_contain_text("This invite was used up")
    check(other)
    other.get_by_test_id("without-invite").click()
    expect(other.get_by_test_id("sign-in-page")).to_be_visible()


@pytest.mark.field
@pytest.mark.parametrize(
    ("path", "title"),
    [("/token", "does not work at the moment"), ("denied", "You were not signed in")],
    ids=["provider-fails", "provider-denies"],
)
def test_sign_in_that_fails_is_explained_and_can_be_repeated(
    context: BrowserContext, hub: Hub, issuer: Issuer, path: str, title: str
) -> None:

    if path == "denied":
        issuer.denies = True
    else:
        issuer.replies[path] = JSONResponse({}, 500)
    page = context.new_page()
    page.goto(address(hub))
    page.get_by_test_id("sign-in").click()
    expect(page.get_by_test_id("sign-in-problem")).to_contain_text(title)
    assert page.url == address(hub)
    check(page)
    issuer.denies = False
    issuer.replies.clear()
    page.get_by_test_id("sign-in").click()
    expect(page.get_by_test_id("prejoin")).to_be_visible()


def test_who_may_not_publish_a_camera_is_not_told_that_it_failed(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    page.goto(hub.run("invite", "lobby", "--role", "speaker").stdout.strip())
    join(page, "Sam")
    expect(page.get_by_test_id("microphone")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("camera")).to_have_count(0)
    expect(page.get_by_test_id("call")).not_to_contain_text("did not start")


def test_who_may_publish_no_sound_of_the_screen_shares_its_picture(context: BrowserContext, hub: Hub) -> None:
    page, other = context.new_page(), context.new_page()
    for each, role in ((other, "speaker"), (page, "presenter")):
        each.goto(hub.run("invite", "talk", "--role", role).stdout.strip())
        join(each, role)
    page.get_by_test_id("screenshare").click()
    expect(other.get_by_test_id("call")).to_contain_text("presenter’s screen")
    expect(page.get_by_test_id("call")).not_to_contain_text("did not start")


def test_link_that_lets_nobody_in_is_no_dead_end(context: BrowserContext, hub: Hub) -> None:
    """The tab keeps a link for reloads, and would try it again at the room's address."""
    page = context.new_page()
    page.goto(f"{address(hub)}#damaged")
    page.get_by_test_id("without-link").click()
    expect(page.get_by_test_id("sign-in-page")).to_be_visible()
    foreign = jwt.encode({"sub": "ann", "video": {"roomJoin": True, "room": "lobby"}}, "of another hub" * 3)
    page.goto(f"{address(hub)}#{foreign}")
    page.get_by_test_id("join").click()
    expect(page.get_by_test_id("join-problem")).to_contain_text("The hub refused this join link")
    check(page)
    page.get_by_test_id("without-link").click()
    expect(page.get_by_test_id("sign-in-page")).to_be_visible()


def test_callback_without_a_sign_in_is_a_page(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{hub.ports['web']}/oidc/callback?state=x&code=y")
    expect(page.get_by_role("heading")).to_have_text("This sign-in is over")
    check(page)
    page.get_by_role("link").click()
    expect(page.get_by_test_id("home")).to_be_visible()


@pytest.mark.field
def test_start_page_takes_names_of_rooms_and_links(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{hub.ports['web']}/")
    check(page)
    page.get_by_test_id("room-input").fill("standup")
    page.get_by_test_id("go").click()
    expect(page.get_by_test_id("sign-in-page")).to_contain_text("standup")
    page.goto(f"http://127.0.0.1:{hub.ports['web']}/")
    page.get_by_test_id("room-input").fill(hub.run("invite", "standup").stdout.strip())
    page.get_by_test_id("go").click()
    expect(page.get_by_test_id("prejoin")).to_be_visible()
