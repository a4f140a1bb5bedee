"""What pages show while their hub is gone, and that they come back by themselves."""

from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.kit.hub import Hub, make_hub


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub whose rooms only the operator opens."""
    with make_hub() as made:
        made.write_spec("livekit: {room: {auto_create: false}}\n")
        made.up("--no-verify")
        yield made


def test_a_page_whose_hub_goes_away_waits_for_it_and_comes_back(context: BrowserContext, hub: Hub) -> None:
    url = f"http://127.0.0.1:{hub.ports['web']}"
    page, late = context.new_page(), context.new_page()
    page.goto(f"{url}/")
    page.get_by_test_id("room-input").fill("lobby")
    # A page that is opened now, and asks for the hub when it is gone.
    late.route("**/api/hub", lambda route: route.abort())
    late.goto(f"{url}/join/lobby")
    serve = psutil.Process(hub.pids()["serve"])
    psutil.Process(hub.supervisor_pid()).kill()
    serve.kill()
    page.get_by_test_id("go").click()
    expect(page.get_by_test_id("coming-back")).to_contain_text("The hub does not answer")
    expect(page.get_by_test_id("broken")).to_have_count(0)
    late.unroute("**/api/hub")
    expect(late.get_by_test_id("hub-unreachable")).to_contain_text("asks again by itself")
    hub.up("--no-verify")
    for each in (page, late):
        expect(each.get_by_test_id("join")).to_be_visible()
        assert each.url == f"{url}/join/lobby", "where the person wanted to go"


def test_a_page_whose_service_is_not_back_yet_says_so_and_goes_on(context: BrowserContext, hub: Hub) -> None:
    """The supervisor keeps the service's port, so a connection waits instead of being refused."""
    url = f"http://127.0.0.1:{hub.ports['web']}"
    page = context.new_page()
    page.goto(f"{url}/")
    page.get_by_test_id("room-input").fill("lobby")
    supervisor, serve = psutil.Process(hub.supervisor_pid()), psutil.Process(hub.pids()["serve"])
    supervisor.suspend()
    try:
        serve.kill()
        page.get_by_test_id("go").click()
        expect(page.get_by_test_id("waiting")).to_contain_text("The page goes on by itself")
    finally:
        supervisor.resume()
    expect(page.get_by_test_id("join")).to_be_visible()
    assert page.url == f"{url}/join/lobby"


def test_a_person_at_an_unknown_address_gets_a_page(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    answer = page.goto(f"http://127.0.0.1:{hub.ports['web']}/elsewhere")
    assert answer
    assert answer.status == 404
    expect(page.get_by_test_id("not-found")).to_be_visible()


def test_a_room_that_nobody_opened_says_so_and_how_it_is_opened(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    page.goto(hub.run("token", "--room", "closed", "--link").stdout.strip())
    page.get_by_test_id("join").click()
    problem = page.get_by_test_id("join-problem")
    expect(problem).to_contain_text("This room is not open")
    expect(problem).to_contain_text("lkhub rooms create ROOM")
    expect(page.get_by_test_id("join")).to_be_enabled()
