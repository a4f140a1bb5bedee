"""Addresses that are answered before Starlette's middleware and router.

Those take as long as a whole token: what they do, they do for any handler, while the requests below are all alike.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lkhub.errors import MachineError
from lkhub.service.errors import ApiError
from lkhub.service.guard import Guard
from lkhub.service.refusals import answer_api_error, answer_bug, answer_machine_error
from lkhub.service.whole import EXTENSION

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")

Handler = Callable[[Request], Awaitable[Response]]


class Service(Starlette):
    """The application of a hub. Programs that POST to the paths of `direct` are answered by its handlers at once. What
    a page sends goes the long way, since its origin is to be judged, and so does what is not for this hub."""

    direct: Mapping[str, Handler] = {}
    guard: Guard
    stop: Callable[[], None] | None = None
    """Ends the responses that have no end of their own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            handler = self.direct.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
            if handler is not None and self.guard.knows(scope["headers"]):
                request = IndexedRequest(scope, receive)
                if "origin" not in request.headers:
                    await self._answer(handler, request, send)
                    return
            await super().__call__(scope, receive, send)
        except ClientDisconnect:
            return  # no answer would be read, and the server would log a traceback for each such client

    async def _answer(self, handler: Handler, request: Request, send: Send) -> None:
        try:
            response = await handler(request)
        except ApiError as error:
            response = await answer_api_error(request, error)
        except MachineError as error:
            response = await answer_machine_error(request, error)
        except Exception as error:
            await self._send(await answer_bug(request, error), send)
            raise  # to the server, which logs it
        else:
            if send_whole := request.scope.get("extensions", {}).get(EXTENSION):
                response.raw_headers.append(_NO_SNIFFING)
                await send_whole(response.status_code, response.raw_headers, response.body)
                return
        await self._send(response, send)

    async def _send(self, response: Response, send: Send) -> None:
        # The other headers of the guard are for pages.
        headers = [*response.raw_headers, _NO_SNIFFING]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})


class IndexedRequest(Request):
    """A request whose headers are looked up in a table."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self._headers = IndexedHeaders(scope["headers"])


class IndexedHeaders(Headers):
    """Headers in which a name is found at once. Of several with one name it is the first, as in Starlette."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._list = raw
        self._first = dict(reversed(raw))

    def __getitem__(self, name: str) -> str:
        return self._first[_spell(name)].decode("latin-1")

    def __contains__(self, name: Any) -> bool:
        return _spell(name) in self._first

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header."""
        value = self._first.get(_spell(name))
        return default if value is None else value.decode("latin-1")


@lru_cache(maxsize=256)
def _spell(name: str) -> bytes:
    """A name as it is on the wire."""
    return name.lower().encode("latin-1")
