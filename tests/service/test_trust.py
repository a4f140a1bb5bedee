import hashlib
import plistlib
import re
import ssl
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.host.ca import Ca
from lkhub.plan.paths import StatePaths
from lkhub.service import pages
from lkhub.service.trust import build_profile
from lkhub.wire.serve_config import ServeConfig
from tests.certificates import ensure_ca
from tests.documents import ROOT
from tests.service.conftest import LAN, Connect, check_error

pytestmark = pytest.mark.anyio

ADDRESSES = ("/trust", "/trust/root.crt", "/trust/root.pem", "/trust/root.mobileconfig")

AGENTS = {
    "ios": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Version/19.1 Safari/604.1",
    "android": "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 Chrome/156.0.0.0 Mobile Safari/537.36",
    "windows": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36",
    "macos": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/19.1 Safari/605.1.15",
    "linux": "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0",
}
TITLES = {
    "ios": "iPhone and iPad",
    "android": "Android",
    "windows": "Windows",
    "macos": "macOS",
    "linux": "Linux",
}


@pytest.fixture
def root(tmp_path: Path) -> Ca:
    return ensure_ca(StatePaths(str(tmp_path)), "my-hub", ("192.168.1.5",))


@pytest.fixture
def own_config(lan_config: ServeConfig, root: Ca) -> ServeConfig:
    """The service of a hub that certifies itself."""
    return replace(lan_config, ca=root.cert_path)


def der(root: Ca) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(root.cert_path).read_text())


async def test_page_shows_the_fingerprint_to_compare(connect: Connect, own_config: ServeConfig, root: Ca) -> None:
    async with connect(own_config, LAN, "192.168.1.9") as client:
        answer = await client.get("/trust")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache", "a new root is seen at once"
    shown = re.search(r'<pre class="fingerprint">([0-9A-F:\n]+)</pre>', answer.text)
    assert shown is not None
    assert shown[1].replace(":", "").replace("\n", "").lower() == root.fingerprint_sha256
    assert "<code>lkhub trust</code>" in answer.text
    assert "my-hub" in answer.text
    assert "$" not in re.sub(r"\$(HOME|PWD)", "", answer.text), "a placeholder is left"


@pytest.mark.parametrize(
    ("livekit_url", "address", "home"),
    [
        ("wss://192.168.1.5", "http://192.168.1.5", "https://192.168.1.5"),
        ("wss://192.168.1.5:8443", "http://192.168.1.5:8480", "https://192.168.1.5:8443"),
        # The device is in the other LAN of a hub that has two.
        ("wss://192.168.1.5", "http://10.0.0.5", "https://10.0.0.5"),
        ("wss://hub.lan", "http://[fd00::5]", "https://[fd00::5]"),
    ],
)
async def test_page_ends_with_the_hubs_address_over_tls(
    connect: Connect, own_config: ServeConfig, livekit_url: str, address: str, home: str
) -> None:
    known = ("192.168.1.5", "192.168.1.5:8443", "192.168.1.5:8480", "10.0.0.5", "[fd00::5]", "hub.lan")
    config = replace(own_config, livekit_url=livekit_url, authorities=known)
    async with connect(config, address) as client:
        page = (await client.get("/trust")).text
    assert re.findall(r'<a class="button primary" href="(https:[^"]+)">', page) == [home]
    assert page.rindex(home) > page.rindex("<details")


async def test_page_needs_no_script_and_no_other_server(connect: Connect, own_config: ServeConfig) -> None:
    async with connect(own_config, LAN) as client:
        answer = await client.get("/trust")
    assert "<script" not in answer.text
    others = re.findall(r'(?:src|href)="(?!/|data:,)(.+?)"', answer.text)
    assert [re.match(r"https://127\.0\.0\.1(:\d+)?$", other) is not None for other in others] == [True]
    assert "url(" not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("device", AGENTS)
async def test_steps_of_the_device_that_asks_are_open(connect: Connect, own_config: ServeConfig, device: str) -> None:
    async with connect(own_config, LAN, headers={"user-agent": AGENTS[device]}) as client:
        page = (await client.get("/trust")).text
    assert re.findall(r"<details open><summary>(.+?)</summary>", page) == [TITLES[device]]
    first = re.findall(r'<a class="button primary" href="(/.+?)"', page)
    assert first == ["/trust/root.mobileconfig" if device == "ios" else "/trust/root.crt"]


async def test_device_that_says_nothing_chooses_itself(connect: Connect, own_config: ServeConfig) -> None:
    async with connect(own_config, LAN, headers={"user-agent": "<script>"}) as client:
        page = (await client.get("/trust")).text
    assert "<details open>" not in page
    assert all(f"<summary>{title}</summary>" in page for title in TITLES.values())
    assert "<script>" not in page


@pytest.mark.parametrize(("ending", "kind"), [("crt", "application/x-x509-ca-cert"), ("pem", "application/x-pem-file")])
async def test_root_is_served_as_it_is(
    connect: Connect, own_config: ServeConfig, root: Ca, ending: str, kind: str
) -> None:
    async with connect(own_config, LAN) as client:
        answer = await client.get(f"/trust/root.{ending}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"] == f'inline; filename="lkhub-my-hub.{ending}"'
    assert answer.content == Path(root.cert_path).read_bytes()


async def test_profile_is_what_apples_devices_install(connect: Connect, own_config: ServeConfig, root: Ca) -> None:
    async with connect(own_config, LAN) as client:
        answer = await client.get("/trust/root.mobileconfig")
    assert answer.headers["content-type"] == "application/x-apple-aspen-config"
    profile = plistlib.loads(answer.content)
    assert profile["PayloadType"] == "Configuration"
    assert profile["PayloadVersion"] == 1
    assert "my-hub" in profile["PayloadDisplayName"]
    assert profile["PayloadRemovalDisallowed"] is False
    (payload,) = profile["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root"
    assert payload["PayloadContent"] == der(root)
    assert hashlib.sha256(payload["PayloadContent"]).hexdigest() == root.fingerprint_sha256
    ids = [profile["PayloadUUID"], payload["PayloadUUID"]]
    assert [str(uuid.UUID(value)).upper() for value in ids] == ids
    assert len(set(ids)) == len({profile["PayloadIdentifier"], payload["PayloadIdentifier"]}) == 2


def test_profile_is_the_same_each_time_and_another_for_another_root(root: Ca, tmp_path: Path) -> None:
    other = ensure_ca(StatePaths(str(tmp_path / "other")), "my-hub", ("192.168.1.5",))
    assert build_profile("my-hub", der(root)) == build_profile("my-hub", der(root))
    own, others = (plistlib.loads(build_profile("my-hub", der(files))) for files in (root, other))
    for key in ("PayloadUUID", "PayloadIdentifier"):
        assert own[key] != others[key], "one hub's profile does not replace another's of the same name"


async def test_new_root_is_served_without_a_restart(
    connect: Connect, own_config: ServeConfig, root: Ca, tmp_path: Path
) -> None:
    async with connect(own_config, LAN) as client:
        before = (await client.get("/trust/root.crt")).content
        ensure_ca(StatePaths(str(tmp_path)), "my-hub", ("10.0.0.9",))
        after = (await client.get("/trust/root.crt")).content
    assert before != after == Path(root.cert_path).read_bytes()


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("found", ["no authority", "no file", "no certificate", "empty"])
async def test_hub_without_a_root_has_nothing_there(
    connect: Connect, own_config: ServeConfig, tmp_path: Path, address: str, found: str
) -> None:
    (tmp_path / "nonsense").write_text("nonsense")
    (tmp_path / "empty").write_text("")
    path = {"no authority": "", "no file": "nowhere", "no certificate": "nonsense", "empty": "empty"}[found]
    config = replace(own_config, ca=path and str(tmp_path / path))
    async with connect(config, LAN) as client:
        check_error(await client.get(address), 404, "not-found")


@pytest.mark.parametrize("address", ADDRESSES)
async def test_trust_is_for_reading_alone(connect: Connect, own_config: ServeConfig, address: str) -> None:
    async with connect(own_config, LAN) as client:
        check_error(await client.post(address, content=b""), 405, "method-not-allowed")
        assert (await client.head(address)).status_code == 200


@pytest.mark.parametrize("address", ["/trust/root.key", "/trust/", "/trust/../ca/root.key", "/trust/root.crt/x"])
async def test_nothing_beside_the_root_is_served(connect: Connect, own_config: ServeConfig, address: str) -> None:
    async with connect(own_config, LAN) as client:
        answer = await client.get(address)
    assert answer.status_code in (404, 307)
    assert "PRIVATE" not in answer.text


async def test_page_has_its_look_from_where_a_device_without_trust_gets(
    connect: Connect, own_config: ServeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trust.css").write_text("p {}")
    monkeypatch.setattr(pages, "WEB", tmp_path)
    async with connect(own_config, LAN) as client:
        [sheet] = re.findall(r'<link rel="stylesheet" href="(/trust/.+?)"', (await client.get("/trust")).text)
        answer = await client.get(sheet)
    assert (answer.status_code, answer.text) == (200, "p {}")
    assert answer.headers["content-type"].startswith("text/css")


async def test_page_is_complete_without_its_look(
    connect: Connect, own_config: ServeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "WEB", tmp_path / "not-built")
    async with connect(own_config, LAN) as client:
        assert "lkhub trust" in (await client.get("/trust")).text
        check_error(await client.get("/trust/style.css"), 404, "not-found")


async def test_page_names_nothing_that_the_style_sheets_do_not_know(connect: Connect, own_config: ServeConfig) -> None:
    styles = ROOT / "web" / "src" / "styles"
    own = (styles / "trust.css").read_text()
    sheets = own + "".join((styles / name).read_text() for name in re.findall(r"@import '(.+?)';", own))
    async with connect(own_config, LAN) as client:
        page = (await client.get("/trust")).text
    classes = {name for names in re.findall(r'class="(.+?)"', page) for name in names.split()}
    assert {"brand", "fingerprint", "primary"} <= classes
    assert [name for name in classes if not re.search(rf"\.{name}\b", sheets)] == []
    assert [name for name in re.findall(r"var\((--[\w-]+)\)", page) if f"{name}:" not in sheets] == []
