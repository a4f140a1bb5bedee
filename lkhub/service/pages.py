"""The web application's files, as the front end's build left them in `lkhub/web`."""

import os
import re
from mimetypes import guess_type
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from lkhub.service.errors import ApiError

WEB = Path(__file__).parent.parent / "web"

# What the build wrote beside each file, the smallest first (web/vite.config.ts).
_ENCODINGS = {"br": ".br", "gzip": ".gz"}

# A name with a digest of its content, as the build gives most of its files.
_DIGEST = re.compile(r"-[\w-]{8}\.\w+$")
_FOR_GOOD = "public, max-age=31536000, immutable"

# A file that keeps its name from build to build: a browser has to ask whether it is still the same.
_ASK_AGAIN = "no-cache"


class BuiltFiles(StaticFiles):
    """The files of a folder, compressed where the browser takes that. Those with a digest in their name are kept."""

    def file_response(
        self, full_path: os.PathLike[str] | str, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        wanted = Headers(scope=scope)
        path = Path(full_path)
        headers = {
            "vary": "accept-encoding",
            "cache-control": _FOR_GOOD if _DIGEST.search(path.name) else _ASK_AGAIN,
        }
        encoding = _choose_encoding(path, wanted.get("accept-encoding", ""))
        if encoding:
            headers["content-encoding"] = encoding
        media_type = guess_type(path.name)[0]
        compressed = path.with_name(path.name + _ENCODINGS.get(encoding, ""))
        answer = FileResponse(
            compressed, status_code, headers, media_type, stat_result=compressed.stat() if encoding else stat_result
        )
        if status_code == 200 and self.is_not_modified(answer.headers, wanted):
            return NotModifiedResponse(answer.headers)
        return answer


async def show_page(request: Request) -> Response:
    """The one HTML page: the application reads its own address."""
    return send_built(request, "index.html")


def is_built() -> bool:
    """Whether there is a web application at all: not in a source tree before its first build."""
    return (WEB / "index.html").is_file()


def send_built(request: Request, name: str, status: int = 200) -> Response:
    """A file that the build made, by its name."""
    file = WEB / name
    if not file.is_file():
        raise ApiError(404, "the web application is not built", "in a source tree, `scripts/up` builds it")
    return BuiltFiles(directory=WEB).file_response(file, file.stat(), request.scope, status)


def _choose_encoding(path: Path, accepted: str) -> str:
    """The smallest encoding that is there and that the browser takes, "" for none (RFC 9110, section 12.5.3)."""
    refused = {name for name, quality in _read_accepted(accepted) if quality == 0}
    taken = {name for name, _ in _read_accepted(accepted)} - refused
    for name, suffix in _ENCODINGS.items():
        if (name in taken or ("*" in taken and name not in refused)) and path.with_name(path.name + suffix).is_file():
            return name
    return ""


def _read_accepted(header: str) -> list[tuple[str, float]]:
    found = []
    for part in header.lower().split(","):
        name, _, parameter = part.strip().partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        found.append((name.strip(), quality))
    return found


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
