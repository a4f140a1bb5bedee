"""Signing in through the hub's edge, and what `lkhub status` says while the provider is down."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, expect
from starlette.responses import JSONResponse

from tests.kit.browser import launching, profile
from tests.kit.hub import Hub, free_ports, make_hub
from tests.kit.issuer import Issuer, run_issuer
from tests.kit.links import root_of
from tests.kit.ports import free_port
from tests.waiting import wait_until

# A second hub and a browser of its own: 12 s.
pytestmark = pytest.mark.field

# Whether a sign-in can begin, as the page asks it.
ASK = """
async () => (await fetch('/api/sign-in', {
  method: 'POST', headers: {'content-type': 'application/json'}, body: '{"path": "/join/lobby"}'
})).status
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with run_issuer(free_port()) as made:
        yield made


@pytest.fixture(scope="module")
def hub(issuer: Issuer) -> Iterator[Hub]:
    """A hub with TLS and an edge, where people sign in."""
    with make_hub(ports=free_ports()) as made:
        oidc = f'{{issuer: "{issuer.url}", client_id: lkhub}}'
        made.write_spec(f"{made.tls_lines}access: {{modes: [oidc], oidc: {oidc}}}\n")
        made.up("--no-verify")
        yield made


@pytest.fixture
def context(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with launching(tmp_path_factory.mktemp("browser"), root=root_of(hub)) as browser, profile(browser) as made:
        yield made


def test_cookies_over_tls_are_for_this_host_alone_and_a_provider_that_is_down_is_a_finding(
    context: BrowserContext, hub: Hub, issuer: Issuer
) -> None:
    issuer.replies["/.well-known/openid-configuration"] = JSONResponse({}, 503)
    page = context.new_page()
    page.goto(f"{hub.status()['urls']['web']}/join/lobby")
    page.get_by_test_id("sign-in").click()
    expect(page.get_by_test_id("sign-in-problem")).to_contain_text("does not work at the moment")
    assert [finding["code"] for finding in hub.findings()] == ["openid-provider-fails"]

    issuer.replies.clear()

    # For some seconds the hub leaves a provider alone that has just failed.
    wait_until(lambda: page.evaluate(ASK) == 200, "the hub asks the provider again by itself")
    context.clear_cookies()
    page.get_by_test_id("sign-in").click()
    expect(page.get_by_test_id("prejoin")).to_be_visible()
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    assert cookies.keys() == {"__Host-lkhub-session"}, "and none is left of the sign-in"
    assert cookies["__Host-lkhub-session"]["secure"]
    assert hub.findings() == []
    page.get_by_test_id("join").click()
    expect(page.get_by_test_id("call")).to_be_visible()
