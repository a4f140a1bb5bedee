"""The web application's files, as the front end's build left them in `lkhub/web`."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from lkhub.service.errors import ApiError

WEB = Path(__file__).parent.parent / "web"


async def show_page(_: Request) -> Response:
    """The one HTML page: the application reads its own address."""
    return send_built("index.html")


def send_built(name: str) -> Response:
    """A file that keeps its name from build to build, so that a browser has to ask whether it is still the same."""
    file = WEB / name
    if not file.is_file():
        raise ApiError(404, "the web application is not built", "in a source tree, `scripts/up` builds it")
    return FileResponse(file, headers={"cache-control": "no-cache"})


def content_security_policy(livekit_url: str) -> str:
    """What the pages may load and talk to: the hub, and nobody else."""
    http_url = livekit_url.replace("ws", "http", 1)
    rules = {
        "default-src": "'self'",
        "connect-src": f"'self' {livekit_url} {http_url}",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob:",
        "worker-src": "'self' blob:",
        "style-src": "'self' 'unsafe-inline'",
        "font-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
