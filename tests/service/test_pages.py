import json
import re
from pathlib import Path

import pytest

from lkhub.render.serve_config import ServeConfig
from lkhub.service import app as app_module
from lkhub.service import pages
from lkhub.service.pages import content_security_policy
from tests.service.conftest import Connect, check_error

pytestmark = pytest.mark.anyio

PAGE = "<!doctype html><title>hub</title>"


@pytest.fixture(autouse=True)
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front end as a build leaves it."""
    folder = tmp_path / "web"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "assets" / "index-1234.js").write_text("export {}")
    (tmp_path / "secret.txt").write_text("XYZ")
    monkeypatch.setattr(pages, "WEB", folder)
    monkeypatch.setattr(app_module, "WEB", folder)
    return folder


@pytest.mark.parametrize(
    "path", ["/", "/join/lobby", "/join/a%20b", "/join/a%2Fb", "/join/%C3%BC", "/join/..%2F..", "/join/%3F"]
)
async def test_every_address_of_the_application_is_its_page(connect: Connect, path: str) -> None:
    async with connect() as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache", "a new build is seen at once"


async def test_assets_are_served(connect: Connect) -> None:
    async with connect() as client:
        answer = await client.get("/assets/index-1234.js")
    assert (answer.status_code, answer.text) == (200, "export {}")
    assert "javascript" in answer.headers["content-type"]


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../secret.txt",
        "/assets/..%2F..%2Fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets//etc/passwd",
        "/assets/",
        "/assets",
    ],
)
async def test_nothing_beside_the_assets_is_served(connect: Connect, path: str) -> None:
    async with connect() as client:
        answer = await client.get(path)
    assert answer.status_code in (404, 307)
    assert "XYZ" not in answer.text


async def test_link_out_of_the_assets_is_not_followed(connect: Connect, web: Path, tmp_path: Path) -> None:
    (web / "assets" / "link.txt").symlink_to(tmp_path / "secret.txt")
    async with connect() as client:
        assert (await client.get("/assets/link.txt")).status_code == 404


async def test_front_end_that_is_not_built_says_so(connect: Connect, web: Path) -> None:
    (web / "index.html").unlink()
    async with connect() as client:
        assert "scripts/up" in check_error(await client.get("/"), 404, "not-found")["hint"]


async def test_page_may_talk_to_the_hub_and_to_nobody_else(connect: Connect, config: ServeConfig) -> None:
    async with connect() as client:
        header = (await client.get("/")).headers["content-security-policy"]
    policy = dict(rule.strip().split(" ", 1) for rule in header.split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws://127.0.0.1:7880 http://127.0.0.1:7880"
    for name in ("object-src", "base-uri", "frame-ancestors"):
        assert policy[name] == "'none'"
    assert "unsafe-eval" not in header
    assert "'unsafe-inline'" not in policy.get("script-src", policy["default-src"])
    assert not re.search(r"https?://(?!127\.0\.0\.1)", header)
    assert "*" not in header


def test_policy_of_a_hub_with_tls_names_both_of_its_schemes() -> None:
    assert "wss://rtc.example.com https://rtc.example.com" in content_security_policy("wss://rtc.example.com")


async def test_camera_and_microphone_are_for_the_page_itself(connect: Connect) -> None:
    async with connect() as client:
        header = (await client.get("/")).headers["permissions-policy"]
    assert set(re.findall(r"=(\S+?)(?:,|$)", header)) == {"(self)"}


async def test_pages_are_for_reading_alone(connect: Connect) -> None:
    async with connect() as client:
        for path in ("/", "/join/lobby"):
            check_error(await client.post(path, content=json.dumps({})), 405, "method-not-allowed")
            assert (await client.head(path)).status_code == 200
