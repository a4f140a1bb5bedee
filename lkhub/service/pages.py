"""The web application's files, as the front end's build left them in `lkhub/web`."""

import os
import re
from mimetypes import guess_type
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from lkhub.service.errors import ApiError

WEB = Path(__file__).parent.parent / "web"

# The compressed forms that the build writes beside each file, the smallest first (web/vite.config.ts).
_ENCODINGS = {"br": ".br", "gzip": ".gz"}

# A name with a digest of its content, as the build gives most of its files.
_DIGEST = re.compile(r"-[\w-]{8}\.\w+$")
_FOR_GOOD = "public, max-age=31536000, immutable"

# A file that keeps its name from build to build: a browser has to ask whether it is still the same.
_ASK_AGAIN = "no-cache"


class WholeFile(FileResponse):
    """A file that is always sent whole, as a server may do with every request for a range (RFC 9110, section 14.2). The
    largest file has half a megabyte, and Starlette also answers ranges where it must not: for HEAD, and in unknown
    units."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


class BuiltFiles(StaticFiles):
    """The files of a folder, compressed if the browser accepts it. Browsers may cache files with a digest in their
    name."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """A compressed form of a file has no address of its own."""
        for suffix in _ENCODINGS.values():
            if path.endswith(suffix) and super().lookup_path(path.removesuffix(suffix))[1] is not None:
                return "", None
        return super().lookup_path(path)

    def file_response(
        self, full_path: os.PathLike[str] | str, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        wanted = Headers(scope=scope)
        path = Path(full_path)
        headers = {
            "vary": "accept-encoding" if status_code == 200 else "accept, accept-encoding",
            "cache-control": _FOR_GOOD if _DIGEST.search(path.name) else _ASK_AGAIN,
            "accept-ranges": "none",
        }
        encoding = _choose_encoding(path, ",".join(wanted.getlist("accept-encoding")))
        if encoding:
            headers["content-encoding"] = encoding
        media_type = guess_type(path.name)[0]
        compressed = path.with_name(path.name + _ENCODINGS.get(encoding, ""))
        answer = WholeFile(
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
    """The existing encoding that the browser prefers, the smallest of several; "" for no encoding, also for a browser
    that refuses everything (RFC 9110, section 12.5.3)."""
    qualities = _read_qualities(accepted)
    best, quality_of_best = "", qualities.get("identity", 0.0)
    for name, suffix in reversed(_ENCODINGS.items()):
        quality = qualities.get(name, qualities.get("*", 0.0))
        if quality and quality >= quality_of_best and path.with_name(path.name + suffix).is_file():
            best, quality_of_best = name, quality
    return best


# RFC 9110, section 12.4.2. Any other form counts as a refusal, so that the browser can always read what is sent.
_QUALITY = re.compile(r"\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*")
_ALIASES = {"x-gzip": "gzip"}


def _read_qualities(header: str) -> dict[str, float]:
    """How much each encoding is wanted, from 0 (not at all) to 1. For an encoding that is named twice, the lower
    one."""
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        name, semicolon, parameter = part.strip().partition(";")
        match = _QUALITY.fullmatch(parameter)
        quality = float(match[1]) if match else float(not semicolon)
        name = _ALIASES.get(name.strip(), name.strip())
        found[name] = min(quality, found.get(name, 1.0))
    return found


def content_security_policy(livekit_url: str) -> str:
    """What the pages may load and talk to: only the hub."""
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
