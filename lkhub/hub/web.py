"""Whether people and applications reach a hub by its name: the page of a join link with its files, and LiveKit's API.

Calls do not prove this (lkhub.hub.probe): a proxy in front may let signalling through and lead the rest elsewhere.
"""

import contextlib
import html
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from lkhub.checks.paths import Overrides, WebPart, WebResult
from lkhub.host.http import PLAIN, UNTRUSTED, httpx, read_body
from lkhub.livekit.tokens import Grant, sign
from lkhub.secret import Secret
from lkhub.shown import quote
from lkhub.source.json_text import parse_json

# People do not wait longer for a page to begin.
SECONDS = 5.0

# Another server may answer at the hub's name, and its answer need not end: a camera's pictures, a download.
# The largest file of the hub's own page has 1 MB.
MAX_BYTES = 8 * 1024 * 1024
WHOLE_SECONDS = 30.0

# How much of a page is repeated.
_MAX_WORDS = 120

# Every room has the same page.
PAGE = "/join/lobby"
_API = "/twirp/livekit.RoomService/ListRooms"

# The files that the page loads, as the front end's build writes them into the page.
_PARTS = re.compile(r'(?:src|href)="(/assets/[^"]+)"')


@dataclass(frozen=True)
class Answer:
    """An HTTP server's answer; `body` is its text."""

    status: int
    headers: Mapping[str, str]
    body: str


def verify_web(
    web: str, own: str, livekit: str, key: str, secret: Secret, overrides: Overrides
) -> tuple[WebResult, ...]:
    """Ask for the page at `web` and the API at `livekit`, as the hub's clients do. `own` is where the service listens
    on this machine: the page from there is the one that `web` has to give."""
    with open_client(overrides) as client:
        return (_verify_page(client, web, own, overrides), _verify_api(client, livekit, key, secret, overrides))


def open_client(overrides: Overrides) -> httpx.Client:
    """An HTTP client that trusts the hub's root besides the system's, and uses no proxy of the environment."""
    context = ssl.create_default_context(cafile=overrides.ca or None)
    if overrides.ca:
        context.load_default_certs()
    return httpx.Client(timeout=SECONDS, trust_env=False, verify=context, event_hooks=UNTRUSTED)


def _verify_page(client: httpx.Client, web: str, own: str, overrides: Overrides) -> WebResult:
    url = web + PAGE
    try:
        page = ask(client, own + PAGE, Overrides("", {}, ""))
        wanted = {part: ask(client, own + part, Overrides("", {}, "")).body for part in _PARTS.findall(page.body)}
    except httpx.HTTPError as error:
        return WebResult("page", None, url, detail=f"the service on this machine does not answer: {error}")
    if page.status != 200 or not wanted:
        return WebResult("page", None, url, detail="this hub has no web application")
    try:
        result = judge_page(url, ask(client, url, overrides), wanted)
        for part, body in wanted.items() if result.ok else ():
            result = judge_part(result, web + part, ask(client, web + part, overrides), body)
    except httpx.HTTPError as error:
        return _judge_silence("page", url, error)
    return result


def _verify_api(client: httpx.Client, livekit: str, key: str, secret: Secret, overrides: Overrides) -> WebResult:
    url = re.sub("^ws", "http", livekit) + _API
    token = sign(Grant("lkhub", {"roomList": True}, ttl_seconds=60), key, secret)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        return judge_api(url, ask(client, url, overrides, headers))
    except httpx.HTTPError as error:
        return _judge_silence("api", url, error)


def _judge_silence(what: WebPart, url: str, error: httpx.HTTPError) -> WebResult:
    """The result where no answer came in time, or the connection ended without one."""
    if isinstance(error, httpx.TimeoutException):
        return WebResult(what, False, url, "http-silent", f"{url} does not answer within {SECONDS:g} s")
    return WebResult(what, False, url, "http-closed", f"{url}: {str(error) or type(error).__name__}")


def ask(client: httpx.Client, url: str, overrides: Overrides, post: Mapping[str, str] | None = None) -> Answer:
    """Send a GET, or with `post`, which are its headers, a POST of an empty JSON object. The host is connected to at
    the address that `overrides` has for it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    here = overrides.resolve.get(host, host)
    port = f":{parts.port}" if parts.port else ""
    at = parts._replace(netloc=f"[{here}]{port}" if ":" in here else f"{here}{port}").geturl()
    headers = {"Host": parts.netloc, **PLAIN, **(post or {})}
    extensions = {"sni_hostname": host} if parts.scheme == "https" else {}
    method, content = ("POST", b"{}") if post else ("GET", None)
    with client.stream(method, at, headers=headers, content=content, extensions=extensions) as answer:
        # Always as UTF-8: another server may name any encoding, also one that is none for text.
        body = read_body(answer, MAX_BYTES, WHOLE_SECONDS).decode(errors="replace")
        location = answer.extensions.get("location", "")
        return Answer(answer.status_code, {**answer.headers, "location": location}, body)


def judge_page(url: str, answer: Answer, wanted: Mapping[str, str]) -> WebResult:
    """Whether the answer is the hub's page. The page is recognised by the files that it loads (`wanted`)."""
    if answer.status == 200 and all(part in answer.body for part in wanted):
        return WebResult("page", True, url)
    return _judge_other("page", url, answer)


def judge_part(page: WebResult, url: str, answer: Answer, wanted: str) -> WebResult:
    """The page's result, or a failure where a file that the page loads is missing or is another one."""
    if not page.ok or (answer.status == 200 and answer.body == wanted):
        return page
    said = f"HTTP {answer.status}" if answer.status != 200 else "another file"
    return WebResult("page", False, page.url, "part-missing", f"{url}, a part of the page: {said}")


def judge_api(url: str, answer: Answer) -> WebResult:
    """Whether the answer is one of LiveKit's API."""
    if answer.status == 200 and _has_rooms(answer.body):
        return WebResult("api", True, url)
    if answer.status == 401 and _read(answer.body, "code") in ("unauthenticated", "permission_denied"):
        return WebResult("api", False, url, "no-grant", f"LiveKit's API answers at {url}, and got no token")
    return _judge_other("api", url, answer)


def _judge_other(what: WebPart, url: str, answer: Answer) -> WebResult:
    """The failure where something else answered. engine/internal/probe/answer.go has the same reasons for
    signalling."""
    status, said = answer.status, quote_page(answer.body)
    evidence = {"status": str(status)}

    def failed(reason: str, text: str) -> WebResult:
        return WebResult(what, False, url, reason, f"{url} {text}" + (f": {said}" if said else ""), evidence)

    if code := _read(answer.body, "code", "error"):
        said = quote(_read(answer.body, "message", "error"))
        reasons = {"wrong-host": "hub-wrong-host", "not-from-proxy": "hub-not-trusted"}
        if code in reasons or status >= 500:
            return failed(reasons.get(code, "hub-media-down"), f"is answered by a hub (HTTP {status})")
    if 300 <= status < 400:
        to, host = find_location(url, answer)
        evidence |= {"location": to, "to_host": host}
        return failed("redirect", f"redirects to {to}")
    if status in (401, 407) or "www-authenticate" in answer.headers:
        return failed("login", f"wants a login (HTTP {status})")
    if status == 403:
        return failed("forbidden", "is refused by something in front (HTTP 403)")
    if status in (502, 503, 504):
        return failed("gateway", f"is answered by a proxy that does not reach what is behind it (HTTP {status})")
    if status == 404:
        return failed("not-found", "is not there (HTTP 404)")
    if status == 200:
        return failed("another-page", "is another page" if what == "page" else "is answered, and not by LiveKit")
    return failed("http-failed", f"answered HTTP {status}")


def _has_rooms(body: str) -> bool:
    """Whether the body is an answer of RoomService.ListRooms."""
    with contextlib.suppress(ValueError):
        found = parse_json(body)
        return isinstance(found, dict) and "rooms" in found
    return False


def _read(body: str, key: str, below: str = "") -> str:
    """The text at `key` of a JSON object, or at `key` of the object that it has at `below`; "" where there is none."""
    try:
        found = parse_json(body)
        return str((found[below] if below else found)[key])
    except (ValueError, LookupError, TypeError):
        return ""


def find_location(url: str, answer: Answer) -> tuple[str, str]:
    """The address to which an answer for `url` redirects, without its query, which may carry secrets, and its host: ""
    if it is no URL."""
    location = answer.headers.get("location", "")
    try:
        parts = urlsplit(urljoin(url, location))
        return quote(parts._replace(query="", fragment="").geturl()), quote(parts.hostname or "")
    except ValueError:
        return quote(location.partition("?")[0]), ""


# Whatever is not closed ends with the page, so that no page takes long to read.
_MARKUP = re.compile(r"(?is)<(script|style)\b.*?(?:</\1>|\Z)|<!--.*?(?:-->|\Z)|<[a-z/!?][^>]*(?:>|\Z)")


def quote_page(body: str) -> str:
    """The first words of a page or of another text, without its HTML tags."""
    return quote(html.unescape(_MARKUP.sub(" ", body)), _MAX_WORDS)
