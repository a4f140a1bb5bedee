"""Whether a proxy in front does what it should besides forwarding: redirect plain HTTP to HTTPS, and tell the hub the
clients' addresses."""

from urllib.parse import urlsplit

from lkhub.checks.paths import Overrides, WebResult
from lkhub.host.http import httpx
from lkhub.hub.web import PAGE, Answer, ask, find_location, open_client, quote_page
from lkhub.shown import quote
from lkhub.wire.request_info import REQUEST_INFO, find_request_info


def verify_proxy(web: str, overrides: Overrides) -> tuple[WebResult, ...]:
    """Send requests to the proxy at `web`, the hub's address for clients (https)."""
    plain = f"http://{urlsplit(web).hostname}{PAGE}"
    with open_client(overrides) as client:
        try:
            redirect = judge_redirect(plain, ask(client, plain, overrides), web + PAGE)
        except httpx.HTTPError as error:
            detail = f"nothing answers at {plain}: {str(error) or type(error).__name__}"
            redirect = WebResult("redirect", False, plain, "not-redirected", detail, {"said": "nothing"})
        info = web + REQUEST_INFO
        try:
            forwarded = judge_forwarded(info, ask(client, info, overrides))
        except httpx.HTTPError as error:
            forwarded = WebResult("forwarded", None, info, detail=f"{info}: {str(error) or type(error).__name__}")
    return redirect, forwarded


def judge_redirect(url: str, answer: Answer, wanted: str) -> WebResult:
    """Whether plain HTTP at `url` redirects to `wanted`, the same page over HTTPS. The port of `wanted` counts too."""
    location = answer.headers.get("location", "")
    if answer.status in (301, 302, 303, 307, 308) and _is_same(location, wanted):
        return WebResult("redirect", True, url)
    said = {"said": "page" if answer.status == 200 else "other"}
    if 300 <= answer.status < 400 and location:
        detail = f"{url} leads to {find_location(url, answer)[0]}"
    else:
        detail = f"{url} answers HTTP {answer.status}" + (f": {text}" if (text := quote_page(answer.body)) else "")
    return WebResult("redirect", False, url, "not-redirected", detail, said)


def _is_same(location: str, wanted: str) -> bool:
    try:
        given, own = urlsplit(location), urlsplit(wanted)
        parts = [(url.scheme, (url.hostname or "").lower(), url.port or 443, url.path) for url in (given, own)]
    except ValueError:  # another server's redirect may lead to anything
        return False
    return parts[0] == parts[1]


def judge_forwarded(url: str, answer: Answer) -> WebResult:
    """Whether the proxy told the hub the client's address."""
    info = find_request_info(answer.body) if answer.status == 200 else None
    if info is None:
        return WebResult("forwarded", None, url, detail=f"{url} does not say how the request got there")
    if info.forwarded is not False:
        return WebResult("forwarded", info.forwarded, url)
    client = quote(info.client)
    detail = f"a request for {url} came to the hub as one of {client}, without X-Forwarded-For"
    return WebResult("forwarded", False, url, "no-forwarded-for", detail, {"client": client})
