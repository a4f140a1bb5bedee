"""The description of the API that a hub gives to its clients."""

from starlette.requests import Request
from starlette.responses import Response

from lkhub.wire.serve_config import ServeConfig


class Documents:
    """The handlers of one hub."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._made = b""

    async def document(self, _: Request) -> Response:
        """The OpenAPI document of this hub."""
        if not self._made:
            # Imported here, and made once: it takes 60 ms and some memory, which most hubs do without.
            from lkhub.service.openapi import dump_document

            self._made = dump_document(self._config)
        # Another lkhub, or another spec, may answer next time.
        return Response(self._made, media_type="application/json", headers={"cache-control": "no-cache"})
