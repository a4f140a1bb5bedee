"""Web sites of a hub, served by its edge over TLS."""

import gzip
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.kit.hub import Hub, free_ports, make_hub
from tests.kit.ports import free_port

SCRIPT = "console.log('bmo');" * 100
DOMAIN = "bmo.test"


@dataclass(frozen=True)
class Served:
    """A hub with one site: at `port`, and on the hub's HTTPS port at DOMAIN."""

    hub: Hub
    port: int

    @property
    def root(self) -> Path:
        return self.hub.folder / "dist"

    def client(self, host: str = "127.0.0.1") -> httpx.Client:
        """A browser's part: it trusts the hub's root."""
        context = ssl.create_default_context(cafile=self.hub.state / "ca" / "root.crt")
        return httpx.Client(base_url=f"https://{host}:{self.port}", verify=context, trust_env=False)

    def ask_by_name(self, path: str) -> httpx.Response:
        """A request for DOMAIN on the hub's own port, whose certificate is checked for that name."""
        context = ssl.create_default_context(cafile=self.hub.state / "ca" / "root.crt")
        with httpx.Client(verify=context, trust_env=False) as client:
            url = f"https://127.0.0.1:{self.hub.ports['https']}{path}"
            headers = {"Host": f"{DOMAIN}:{self.hub.ports['https']}"}
            return client.get(url, headers=headers, extensions={"sni_hostname": DOMAIN})


def make_site(root: Path) -> None:
    """As Vite builds one."""
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>bmo</title>")
    (root / "assets/index-CdE4fGh1.js").write_text(SCRIPT)
    (root / "assets/packed-CdE4fGh1.js").write_text(SCRIPT)
    (root / "assets/packed-CdE4fGh1.js.gz").write_bytes(gzip.compress(SCRIPT.encode(), mtime=0))
    (root / "favicon.ico").write_bytes(bytes(range(256)))
    (root / ".env").write_text("LIVEKIT_API_SECRET=CANARY")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with make_hub(ports=free_ports()) as hub:
        port = free_port()
        make_site(hub.folder / "dist")
        site = f"sites: [{{name: bmo, root: dist, port: {port}, domain: {DOMAIN}}}]\n"
        hub.write_spec(hub.tls_lines + site)
        hub.up("--no-verify")
        yield Served(hub, port)


@pytest.fixture
def site(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/call/lobby", "/settings/"])
def test_every_path_of_the_application_is_its_page(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>bmo" in answer.text
    assert answer.headers["cache-control"] == "no-cache"


def test_page_may_call_this_hub_and_no_other(served: Served, site: httpx.Client) -> None:
    headers = site.get("/").headers
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    https = served.hub.ports["https"]
    assert rules["connect-src"] == f"'self' wss://127.0.0.1:{https} https://127.0.0.1:{https}"
    assert rules["frame-ancestors"] == "'self'"
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


def test_hashed_file_is_kept_for_good_and_asked_for_again_without_a_transfer(site: httpx.Client) -> None:
    answer = site.get("/assets/index-CdE4fGh1.js", headers={"Accept-Encoding": "identity"})
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.text == SCRIPT
    again = site.get("/", headers={"If-None-Match": site.get("/").headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_files_come_compressed(served: Served, site: httpx.Client) -> None:
    packed = (served.root / "assets/packed-CdE4fGh1.js.gz").stat().st_size
    for path, length in (("/assets/packed-CdE4fGh1.js", packed), ("/assets/index-CdE4fGh1.js", None)):
        answer = site.get(path, headers={"Accept-Encoding": "gzip"})
        assert (answer.headers["content-encoding"], answer.text) == ("gzip", SCRIPT)
        assert "Accept-Encoding" in answer.headers["vary"]
        if length is not None:
            assert answer.num_bytes_downloaded == length, "the file that is beside it"


def test_part_of_a_file(site: httpx.Client) -> None:
    part = site.get("/favicon.ico", headers={"Range": "bytes=16-31"})
    assert (part.status_code, part.content) == (206, bytes(range(16, 32)))
    head = site.head("/favicon.ico")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "256", b"")


@pytest.mark.parametrize(
    "path", ["/assets/gone-CdE4fGh1.js", "/.env", "/.git/config", "/assets/", "/..%2f..%2fhub.yaml", "/%2e%2e/hub.yaml"]
)
def test_what_is_not_there_and_what_is_not_for_visitors(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    if path == "/assets/":  # no list of its files
        assert "<title>bmo" in answer.text
        return
    assert answer.status_code == 404
    assert "CANARY" not in answer.text
    assert "reach" not in answer.text


def test_link_to_elsewhere_that_came_later_is_not_followed(served: Served, site: httpx.Client) -> None:
    """At `up` it would have been a fault."""
    link = served.root / "assets/spec.txt"
    link.symlink_to("../../hub.yaml")
    try:
        assert site.get("/assets/spec.txt").status_code == 404
        done = served.hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 2
        assert "sites[0].root: dist: assets/spec.txt is a link to somewhere else" in done.stderr
    finally:
        link.unlink()


def test_files_can_only_be_read(site: httpx.Client) -> None:
    assert site.post("/").status_code == 405
    assert site.put("/index.html", content=b"x").headers["allow"] == "GET, HEAD"


def test_name_that_was_rebound_to_this_machine_gets_nothing(site: httpx.Client) -> None:
    assert site.get("/", headers={"Host": "evil.test"}).status_code == 421


def test_site_has_a_name_of_its_own_on_the_hubs_port(served: Served) -> None:
    assert "<title>bmo" in served.ask_by_name("/call").text
    assert "<title>bmo" in served.ask_by_name("/api/health").text, "the hub's paths are not at the site's name"
    with httpx.Client(trust_env=False) as client:
        plain = client.get(f"http://127.0.0.1:{served.hub.ports['http']}/x", headers={"Host": DOMAIN})
    assert plain.headers["location"] == f"https://{DOMAIN}:{served.hub.ports['https']}/x"


def test_site_can_be_added_and_removed_while_the_hub_runs(served: Served) -> None:
    """The edge is not restarted, and its calls go on."""
    hub, other = served.hub, free_port()
    before, text = hub.pids()["edge"], hub.spec.read_text()
    make_site(hub.folder / "other")
    hub.spec.write_text(text.replace("sites: [", f"sites: [{{name: other, root: other, port: {other}}}, "))
    try:
        hub.up("--no-verify")
        context = ssl.create_default_context(cafile=hub.state / "ca" / "root.crt")
        assert httpx.get(f"https://127.0.0.1:{other}/", verify=context, trust_env=False).status_code == 200
    finally:
        hub.spec.write_text(text)
        hub.up("--no-verify")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://127.0.0.1:{other}/", verify=context, trust_env=False)
    assert hub.pids()["edge"] == before
