"""Through its own edge the hub sees a client's address, and ignores every header in which the client states one."""

from collections.abc import Iterator

import pytest

from tests.kit.hub import Hub
from tests.kit.links import root_of
from tests.namespaces.lan import CLIENT, HUB, Lan, hub_on
from tests.namespaces.overhear import find_head, overhear
from tests.waiting import wait_until

FORGED = "203.0.113.66"
HEADERS = (
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Anything", "Forwarded", "Via"),
    *("CF-Connecting-IP", "True-Client-IP", "X-Real-IP", "X-Client-IP", "x_forwarded_for", "X_Real_IP"),
)


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    with hub_on(lan) as made:
        yield made


@pytest.mark.parametrize(
    ("scheme", "path"),
    [("https", "/rtc/v1/validate"), ("https", "/api/health"), ("http", "/trust")],
    ids=["media", "serve", "trust"],
)
def test_forged_headers_do_not_arrive(lan: Lan, hub: Hub, scheme: str, path: str) -> None:
    forged = [part for name in HEADERS for part in ("-H", f"{name}: {FORGED}")]
    argv = ["curl", "-sS", "--max-time", "20", "--cacert", str(root_of(hub)), "-A", f"marked{path}"]
    with overhear(lan.hub, "tcp dst port 7880 or tcp dst port 8080") as heard:
        lan.client.run(*argv, *forged, f"{scheme}://{HUB}{path}")
        head = wait_until(lambda: find_head(heard(), f"marked{path}"), "the request behind the edge")
    assert not [pair for pair in head if FORGED in pair[1]], head
    told = {name: value for name, value in head if name.lower() in {header.lower() for header in HEADERS}}
    assert told == {
        "X-Forwarded-For": CLIENT,
        "X-Forwarded-Host": HUB,
        "X-Forwarded-Proto": scheme,
        "Via": "1.1 Caddy",
    }
