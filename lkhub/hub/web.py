"""Whether people and applications get to a hub by its name: the page of a join link with its parts, and the API.

Media has its own proofs (lkhub.hub.probe). A proxy in front may let signalling through and lead the rest elsewhere.
"""

import contextlib
import html
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from lkhub.checks.paths import Overrides, WebPart, WebResult
from lkhub.host.http import httpx
from lkhub.livekit.tokens import Grant, sign
from lkhub.secret import Secret
from lkhub.source.json_text import parse_json

# A page that takes longer is none that people wait for.
SECONDS = 5.0

# The page of any room is the same one.
PAGE = "/join/lobby"
_API = "/twirp/livekit.RoomService/ListRooms"

# What a page is made of, as the front end's build writes it into it.
_PARTS = re.compile(r'(?:src|href)="(/assets/[^"]+)"')


@dataclass(frozen=True)
class Answer:
    """What an HTTP server said; `body` is text."""

    status: int
    headers: Mapping[str, str]
    body: str


def verify_web(
    web: str, own: str, livekit: str, key: str, secret: Secret, overrides: Overrides
) -> tuple[WebResult, ...]:
    """Ask for the page and the API at the hub's own address, as its clients do. `own` is where the service listens on
    this machine: what comes from there is what has to come."""
    with open_client(overrides) as client:
        return (_verify_page(client, web, own, overrides), _verify_api(client, livekit, key, secret, overrides))


def open_client(overrides: Overrides) -> httpx.Client:
    """A client that trusts what the hub's clients trust, and asks no proxy of the environment."""
    context = ssl.create_default_context(cafile=overrides.ca or None)
    if overrides.ca:
        context.load_default_certs()
    return httpx.Client(timeout=SECONDS, trust_env=False, verify=context)


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
    """No answer: none in time, or the connection ended."""
    if isinstance(error, httpx.TimeoutException):
        return WebResult(what, False, url, "http-silent", f"{url} does not answer within {SECONDS:g} s")
    return WebResult(what, False, url, "http-closed", f"{url}: {str(error) or type(error).__name__}")


def ask(client: httpx.Client, url: str, overrides: Overrides, post: Mapping[str, str] | None = None) -> Answer:
    """GET, or with headers `post` a POST of an empty JSON object. The host is reached where `overrides` says."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    here = overrides.resolve.get(host, host)
    port = f":{parts.port}" if parts.port else ""
    at = parts._replace(netloc=f"[{here}]{port}" if ":" in here else f"{here}{port}").geturl()
    headers = {"Host": parts.netloc, "Accept-Encoding": "identity", **(post or {})}
    extensions = {"sni_hostname": host} if parts.scheme == "https" else {}
    content = b"{}" if post else None
    answer = client.request("POST" if post else "GET", at, headers=headers, content=content, extensions=extensions)
    return Answer(answer.status_code, answer.headers, answer.text)


def judge_page(url: str, answer: Answer, wanted: Mapping[str, str]) -> WebResult:
    """Whether it is the hub's page, known by the parts that it names."""
    if answer.status == 200 and all(part in answer.body for part in wanted):
        return WebResult("page", True, url)
    return _judge_stranger("page", url, answer)


def judge_part(page: WebResult, url: str, answer: Answer, wanted: str) -> WebResult:
    """The page's result, or why a part of it is not there."""
    if not page.ok or (answer.status == 200 and answer.body == wanted):
        return page
    said = f"HTTP {answer.status}" if answer.status != 200 else "another file"
    return WebResult("page", False, page.url, "part-missing", f"{url}, a part of the page: {said}")


def judge_api(url: str, answer: Answer) -> WebResult:
    """Whether LiveKit's API answers."""
    if answer.status == 200 and _has_rooms(answer.body):
        return WebResult("api", True, url)
    if answer.status == 401 and _read(answer.body, "code") in ("unauthenticated", "permission_denied"):
        return WebResult("api", False, url, "no-grant", f"LiveKit's API answers at {url}, and got no token")
    return _judge_stranger("api", url, answer)


def _judge_stranger(what: WebPart, url: str, answer: Answer) -> WebResult:
    """What answered instead, as engine/internal/probe/answer.go tells it."""
    status, said = answer.status, quote(answer.body)
    evidence = {"status": str(status)}

    def failed(reason: str, text: str) -> WebResult:
        return WebResult(what, False, url, reason, f"{url} {text}" + (f": {said}" if said else ""), evidence)

    if code := _read(answer.body, "code", "error"):
        said = _read(answer.body, "message", "error")
        reasons = {"wrong-host": "hub-wrong-host", "not-from-proxy": "hub-not-trusted"}
        if code in reasons or status >= 500:
            return failed(reasons.get(code, "hub-media-down"), f"is answered by a hub (HTTP {status})")
    if 300 <= status < 400:
        location = urlsplit(urljoin(url, answer.headers.get("location", "")))
        to = location._replace(query="", fragment="").geturl()
        evidence |= {"location": to, "to_host": location.hostname or ""}
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
    """Whether it is the answer of RoomService.ListRooms."""
    with contextlib.suppress(ValueError):
        found = parse_json(body)
        return isinstance(found, dict) and "rooms" in found
    return False


def _read(body: str, key: str, below: str = "") -> str:
    """A text of a JSON object, or of the one `below` a key of it; "" where there is none."""
    try:
        found = parse_json(body)
        return str((found[below] if below else found)[key])
    except (ValueError, LookupError, TypeError):
        return ""


def quote(body: str) -> str:
    """A few words of a page, or of what else it is."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", " ", body)
    words = " ".join(html.unescape(text).split())
    return words if len(words) <= 120 else words[:119] + "…"
