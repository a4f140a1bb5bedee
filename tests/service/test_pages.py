import json
import re
from pathlib import Path

import httpx
import pytest

from lkhub.service import app as app_module
from lkhub.service import pages
from lkhub.service.pages import content_security_policy
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import Connect, check_error

pytestmark = pytest.mark.anyio

PAGE = "<!doctype html><title>hub</title>"
HASHED = "index-a1B2_3-4.js"
FOR_GOOD = "public, max-age=31536000, immutable"
AS_A_PERSON = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "identity"}


@pytest.fixture(autouse=True)
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front end as a build leaves it."""
    folder = tmp_path / "web"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "index.html.br").write_bytes(b"BR page")
    for name, text in (("index-a1B2_3-4.js", "export {}"), ("licenses.md", "terms")):
        (folder / "assets" / name).write_text(text)
    for suffix in (".br", ".gz"):
        (folder / "assets" / f"{HASHED}{suffix}").write_bytes(suffix.encode())
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
        answer = await client.get(f"/assets/{HASHED}", headers={"accept-encoding": "identity"})
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


async def test_page_may_connect_to_the_hub_only(connect: Connect, config: ServeConfig) -> None:
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


async def read_raw(client: httpx.AsyncClient, path: str, accepted: str) -> tuple[str | None, bytes]:
    """The encoding of an answer and its bytes as they were sent."""
    async with client.stream("GET", path, headers={"accept-encoding": accepted}) as answer:
        assert answer.status_code == 200
        assert answer.headers["vary"] == "accept-encoding"
        assert "javascript" in answer.headers["content-type"] or "html" in answer.headers["content-type"]
        raw = b"".join([part async for part in answer.aiter_raw()])
        assert int(answer.headers["content-length"]) == len(raw)
        return answer.headers.get("content-encoding"), raw


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("gzip, deflate, br, zstd", "br", b".br"),
        ("gzip, deflate", "gzip", b".gz"),
        ("GZIP;q=0.5, BR;q=0", "gzip", b".gz"),
        ("*", "br", b".br"),
        ("*, br;q=0", "gzip", b".gz"),
        ("*;q=0", None, b"export {}"),
        ("identity", None, b"export {}"),
        ("", None, b"export {}"),
        ("br;q=high", None, b"export {}"),
        ("brotli, gz", None, b"export {}"),
        ("br;q=0", None, b"export {}"),
        ("br;q=0.000, gzip;q=0.001", "gzip", b".gz"),
        ("br;q=0.5, gzip;q=1.0", "gzip", b".gz"),
        ("br; q=0.5 ,gzip ;q=0.5", "br", b".br"),
        ("*;q=0.5, gzip;q=0.2", "br", b".br"),
        ("*;q=0, gzip", "gzip", b".gz"),
        ("x-gzip", "gzip", b".gz"),
        ("identity, br;q=0.5", None, b"export {}"),
        ("identity;q=0.5, br;q=0.5", "br", b".br"),
        ("identity;q=0, br;q=0", None, b"export {}"),
        ("identity;q=0, *", "br", b".br"),
        ("br, br;q=0", None, b"export {}"),
        ("br;q=nan, gzip;q=inf", None, b"export {}"),
        ("br;q=1e3, gzip;q=-1", None, b"export {}"),
        ("br;q=1.001, gzip;q=0.5", "gzip", b".gz"),
        ("br;level=9", None, b"export {}"),
        (",, ;, br", "br", b".br"),
    ],
)
async def test_the_smallest_form_that_the_browser_takes_is_sent(
    connect: Connect, accepted: str, encoding: str | None, body: bytes
) -> None:
    async with connect() as client:
        assert await read_raw(client, f"/assets/{HASHED}", accepted) == (encoding, body)


async def test_what_is_accepted_may_be_said_on_several_lines(connect: Connect) -> None:
    async with connect() as client:
        headers = [("accept-encoding", "gzip"), ("accept-encoding", "br")]
        async with client.stream("GET", f"/assets/{HASHED}", headers=headers) as answer:
            assert answer.headers["content-encoding"] == "br"


@pytest.mark.parametrize("suffix", [".br", ".gz"])
@pytest.mark.parametrize("accepted", ["br, gzip", "identity"])
async def test_a_compressed_form_has_no_address_of_its_own(connect: Connect, suffix: str, accepted: str) -> None:
    async with connect() as client:
        for path in (f"/assets/{HASHED}{suffix}", f"/assets/./{HASHED}{suffix}", f"/assets/{HASHED}%2E{suffix[1:]}"):
            check_error(await client.get(path, headers={"accept-encoding": accepted}), 404, "not-found")


async def test_a_file_of_that_kind_that_is_no_form_of_another_is_served(connect: Connect, web: Path) -> None:
    (web / "assets" / "archive.gz").write_bytes(b"archive")
    async with connect() as client:
        answer = await client.get("/assets/archive.gz")
    assert (answer.status_code, answer.content) == (200, b"archive")


RANGES = ["bytes=0-3", "bytes=-3", "bytes=0-1,3-4", "bytes=99999-", "bytes=4-2", "bytes=x", "lines=1-2", "nonsense"]


@pytest.mark.parametrize("wanted", RANGES)
@pytest.mark.parametrize(("path", "status"), [(f"/assets/{HASHED}", 200), ("/", 200), ("/nowhere", 404)])
async def test_a_range_gets_the_whole(connect: Connect, path: str, status: int, wanted: str) -> None:
    async with connect() as client:
        whole = await client.get(path, headers=AS_A_PERSON)
        part = await client.get(path, headers={**AS_A_PERSON, "range": wanted})
        held = {**AS_A_PERSON, "range": wanted, "if-range": whole.headers["etag"]}
        told = await client.head(path, headers=held)
    assert whole.status_code == part.status_code == told.status_code == status
    assert part.content == whole.content
    assert part.headers == whole.headers == told.headers
    assert whole.headers["accept-ranges"] == "none"


@pytest.mark.parametrize("accepted", ["br", "gzip", "identity"])
@pytest.mark.parametrize("path", ["/", f"/assets/{HASHED}", "/join/x"])
async def test_head_tells_what_get_sends(connect: Connect, path: str, accepted: str) -> None:
    async with connect() as client:
        async with client.stream("GET", path, headers={"accept-encoding": accepted}) as answer:
            sent = answer.headers
        told = await client.head(path, headers={"accept-encoding": accepted})
    assert (told.status_code, told.headers, told.content) == (200, sent, b"")


@pytest.mark.parametrize(
    ("held", "status"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),
        ('"other", {etag}', 304),
        ("*", 304),
        ('"other"', 200),
        ('W/"other"', 200),
        ("nonsense", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_a_browser_has_is_not_sent_again(connect: Connect, method: str, held: str, status: int) -> None:
    async with connect() as client:
        first = await client.get("/", headers={"accept-encoding": "identity"})
        mark = held.format(etag=first.headers["etag"])
        # The date would say that it has it: the mark counts alone (RFC 9110, section 13.1.3).
        headers = {"accept-encoding": "identity", "if-none-match": mark, "range": "bytes=0-1"}
        again = await client.request(
            method, "/", headers={**headers, "if-modified-since": first.headers["last-modified"]}
        )
    assert again.status_code == status
    for name in ("etag", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]
    assert again.content == (first.content if status == 200 and method == "GET" else b"")


async def test_a_mark_of_one_form_is_none_of_another(connect: Connect) -> None:
    async with connect() as client:
        plain = await client.get(f"/assets/{HASHED}", headers={"accept-encoding": "identity"})
        again = await client.head(
            f"/assets/{HASHED}", headers={"accept-encoding": "br", "if-none-match": plain.headers["etag"]}
        )
    assert again.status_code == 200


async def test_what_people_and_programs_get_differently_says_so(connect: Connect) -> None:
    async with connect() as client:
        for headers in (AS_A_PERSON, {"accept": "*/*"}):
            answer = await client.get("/nowhere", headers=headers)
            assert "accept" in answer.headers["vary"].split(", ")


async def test_a_wrong_method_is_told_the_right_ones(connect: Connect) -> None:
    async with connect() as client:
        for path in ("/", f"/assets/{HASHED}"):
            answer = await client.post(path)
            assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_form_that_the_build_did_not_make_is_not_sent(connect: Connect) -> None:
    async with connect() as client:
        assert await read_raw(client, "/", "br") == ("br", b"BR page")
        assert await read_raw(client, "/", "gzip") == (None, PAGE.encode())


@pytest.mark.parametrize(
    ("path", "kept"), [(f"/assets/{HASHED}", FOR_GOOD), ("/assets/licenses.md", "no-cache"), ("/", "no-cache")]
)
async def test_only_what_never_changes_under_its_name_is_kept(connect: Connect, path: str, kept: str) -> None:
    async with connect() as client:
        answer = await client.get(path, headers={"accept-encoding": "identity"})
        assert answer.headers["cache-control"] == kept
        again = await client.get(path, headers={"accept-encoding": "identity", "if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b""), "what is asked for again is not sent again"


async def test_each_form_has_a_mark_of_its_own(connect: Connect) -> None:
    async with connect() as client:
        marks = set()
        for accepted in ("br", "identity"):
            async with client.stream("GET", "/", headers={"accept-encoding": accepted}) as answer:
                marks.add(answer.headers["etag"])
    assert len(marks) == 2, "a cache would send one for the other"


@pytest.mark.parametrize("path", ["/nowhere", "/hub/x", "/assets/gone-12345678.js", "/.env"])
async def test_an_unknown_address_shows_the_application_to_people(connect: Connect, path: str) -> None:
    async with connect() as client:
        answer = await client.get(path, headers=AS_A_PERSON)
        assert (answer.status_code, answer.text) == (404, PAGE)
        again = await client.get(path, headers={**AS_A_PERSON, "if-none-match": answer.headers["etag"]})
        assert again.status_code == 404, "it is not the page that was kept under this address"
        check_error(await client.get(path, headers={"accept": "*/*"}), 404, "not-found")


async def test_other_refusals_are_told_to_people_in_words(connect: Connect, web: Path) -> None:
    async with connect() as client:
        wrong = await client.get("/", headers={**AS_A_PERSON, "host": "evil.example"})
        no_authority = await client.get("/trust", headers=AS_A_PERSON)
        (web / "index.html").unlink()
        not_built = await client.get("/", headers=AS_A_PERSON)
        api = await client.get("/api/nowhere", headers=AS_A_PERSON)
    assert (wrong.status_code, no_authority.status_code, not_built.status_code) == (421, 404, 404)
    assert "<code>lkhub status</code>" in wrong.text
    assert "<code>scripts/up</code>" in not_built.text
    for page in (wrong, no_authority, not_built):
        assert page.headers["content-type"].startswith("text/html")
        assert "{" not in page.text.partition("</style>")[2]
    check_error(api, 404, "not-found")
