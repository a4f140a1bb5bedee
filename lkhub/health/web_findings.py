"""Whether page and API are there by the hub's name → findings. Pure."""

from collections.abc import Iterable, Iterator

from lkhub.health import causes_http
from lkhub.health.called import CalledHub
from lkhub.health.calls import is_common
from lkhub.health.causes import Cause, explain
from lkhub.health.finding import Finding
from lkhub.health.paths import PathResult, WebResult


def check_web(web: Iterable[WebResult], paths: Iterable[PathResult], hub: CalledHub) -> Iterator[Finding]:
    """A finding for page and for API, or one for both where the cause is the same. Where no call gets as far as
    signalling, that is the cause, and has its own finding."""
    failed = {result.what: result for result in web if result.ok is False}
    if any(path.ok is False and is_common(path) for path in paths):
        return
    page, api = failed.get("page"), failed.get("api")
    if page:
        title = "join links do not open: the page is not there by the hub's name"
        detail = page.detail
        if api and api.reason == page.reason:
            title, detail, api = f"{title}, nor is the API", f"{detail}; {api.detail}", None
        cause = _explain(page, hub)
        yield Finding("page-fails", "web", "error", title, detail, cause.why, cause.fix)
    if api:
        cause = _explain(api, hub)
        title = "applications do not reach LiveKit's API by the hub's name"
        yield Finding("api-fails", "web", "error", title, api.detail, cause.why, cause.fix)


def _explain(result: WebResult, hub: CalledHub) -> Cause:
    as_path = PathResult(result.what, False, "http", result.detail, reason=result.reason, evidence=result.evidence)
    return explain(as_path, hub, (causes_http.CAUSES,))
