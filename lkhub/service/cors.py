"""Pages of other origins that the spec lists (`access.origins`)."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from lkhub.service.errors import ApiError


class ListedOrigins(CORSMiddleware):
    """Middleware: browsers may show the answers to pages of these origins. Cookies are for the hub's own pages alone,
    so no answer allows credentials."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("authorization", "content-type", "last-event-id"),
            # A page on the internet may ask a hub in the same network as its browser.
            allow_private_network=True,
            expose_headers=("retry-after",),
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser is told before it sends a page's request."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == 200:
            return answer
        hint = "access.origins in the spec lists the pages that may"
        return ApiError(403, "this page may not ask the hub in this way", hint).as_response()
