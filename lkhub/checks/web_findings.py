"""Turns whether the page and the API are there by the hub's name, and what else a proxy in front does, into findings.
Pure."""

from collections.abc import Iterable, Iterator

from lkhub.checks import causes_http
from lkhub.checks.called import CalledHub
from lkhub.checks.causes import Cause, explain
from lkhub.checks.causes_connection import RENDER_FIX
from lkhub.checks.consequences import explain_web, is_common
from lkhub.checks.paths import PathResult, WebResult
from lkhub.findings.catalogue.calls import api_fails, client_address_lost, http_not_redirected, page_fails
from lkhub.findings.finding import Finding, Fix


def check_web(web: Iterable[WebResult], paths: Iterable[PathResult], hub: CalledHub) -> Iterator[Finding]:
    """Findings about the page and the API, or one about both where they have the same cause. There are none where no
    call got as far as signalling, since the finding about the call covers them. Where the page is not there, the proxy
    is not judged further."""
    web = tuple(web)
    failed = {result.what: result for result in web if result.ok is False}
    if any(path.ok is False and is_common(path) for path in paths):
        return
    page, api = failed.get("page"), failed.get("api")
    if page:
        both = api is not None and api.reason == page.reason
        detail = f"{page.detail}; {api.detail}" if api and both else page.detail
        cause = _explain(page, hub)
        yield page_fails(api_too=both).about(
            "web", detail=detail, cause=cause.why, fix=cause.fix, depends_on=explain_web(page, hub)
        )
        api = None if both else api
    if api:
        cause = _explain(api, hub)
        yield api_fails().about(
            "web", detail=api.detail, cause=cause.why, fix=cause.fix, depends_on=explain_web(api, hub)
        )
    if any(result.what == "page" and result.ok for result in web):
        yield from (_find_redirect(result) for result in (failed.get("redirect"),) if result)
        yield from (_find_forwarded(result) for result in (failed.get("forwarded"),) if result)


def _explain(result: WebResult, hub: CalledHub) -> Cause:
    as_path = PathResult(result.what, False, "http", result.detail, reason=result.reason, evidence=result.evidence)
    return explain(as_path, hub, (causes_http.CAUSES,))


_REDIRECT_FIX = Fix(
    "have the proxy redirect plain HTTP to HTTPS: nginx `return 308 https://$host$request_uri;` in a server with "
    "`listen 80;`, HAProxy `http-request redirect scheme https code 308 unless { ssl_fc }` in a frontend with "
    "`bind :80`, Traefik `redirections: {entryPoint: {to: websecure, scheme: https}}` in the entry point's http; Caddy "
    "does it unless its auto_https is off"
)


def _find_redirect(result: WebResult) -> Finding:
    """The finding about plain HTTP. A page without TLS loads, and then gets neither camera nor microphone."""
    said = result.evidence.get("said", "")
    why = {
        "page": "the proxy serves the page there without TLS: browsers give such a page neither camera nor microphone, "
        "and anyone on the way can read what is sent",
        "nothing": "people who type the name without https:// get in only where the browser tries HTTPS by itself, as "
        "new browsers do",
    }
    return http_not_redirected().about(
        "web",
        severity="info" if said == "nothing" else "warning",
        detail=result.detail,
        cause=why.get(said),
        fix=(_REDIRECT_FIX, RENDER_FIX),
    )


_FORWARDED_FIX = Fix(
    "have the proxy send clients' addresses: nginx `proxy_set_header X-Forwarded-For $remote_addr;` in the location, "
    "HAProxy `http-request set-header X-Forwarded-For %[src]`; Caddy and Traefik do so unless they are told to drop "
    "the header (Caddy `header_up -X-Forwarded-For`, Traefik a headers middleware)"
)


def _find_forwarded(result: WebResult) -> Finding:
    client = result.evidence.get("client", "the proxy's address")
    return client_address_lost(client).about("web", detail=result.detail, fix=(_FORWARDED_FIX, RENDER_FIX))
