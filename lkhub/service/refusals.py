"""Answers other than success: the one shape of errors for programs, a page for people."""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lkhub.render.message_page import render_message_page
from lkhub.service.errors import BY_READER, ApiError
from lkhub.service.pages import is_built, send_built


async def answer_api_error(request: Request, error: Exception) -> Response:
    """The response to a request that a handler refused."""
    assert isinstance(error, ApiError)
    return answer(request, error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """The response to what Starlette itself refuses: unknown addresses, wrong methods."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and is_built() and _is_opened_by_a_person(request):
        # The application reads its own address, and says that there is no such page.
        return send_built(request, "index.html", 404)
    return answer(request, ApiError(error.status_code, error.detail.lower(), headers=error.headers))


async def answer_machine_error(request: Request, error: Exception) -> Response:
    """The response where the machine keeps a handler from its work, such as by a key file that can't be read. Its
    detail names files of this machine, so it is for the log alone."""
    logging.getLogger("uvicorn.error").error("%s", error)
    hint = "its operator sees more with `lkhub logs serve`"
    return answer(request, ApiError(503, "the hub can't answer this now", hint, {"retry-after": "5"}))


async def answer_bug(request: Request, error: Exception) -> Response:
    """The response to any other error. The cause is in the log, not in the response."""
    return answer(request, ApiError(500, "the hub could not answer this", "`lkhub logs serve` shows why"))


def answer(request: Request, error: ApiError) -> Response:
    """JSON, or a page where a person has opened an address."""
    if not _is_opened_by_a_person(request):
        return error.as_response()
    title = error.message[:1].upper() + error.message[1:]
    hint = error.hint[:1].upper() + error.hint[1:]
    # What was wrong with the address: only another one leads on.
    page = render_message_page(title, f"{hint}." if hint else "", leads_on=error.status == 400)
    return HTMLResponse(page, error.status, {**error.headers, **BY_READER, "cache-control": "no-store"})


def _is_opened_by_a_person(request: Request) -> bool:
    """Browsers name HTML when they open an address, and not when a page fetches something."""
    return (
        request.method in ("GET", "HEAD")
        and not request.url.path.startswith("/api/")
        and "text/html" in request.headers.get("accept", "")
    )
