"""`/trust`: the root of a hub that certifies itself, and how each device is told to trust it.

Served over plain HTTP as well, since a device that does not trust the root yet can't come over HTTPS; so it needs no
script, and people must compare its fingerprint with the one that `lkhub trust` prints on the hub.
"""

import hashlib
import plistlib
import ssl
import uuid
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lkhub.service.errors import ApiError
from lkhub.service.pages import send_built
from lkhub.trust import Guide, Step, build_guides, file_name, split_fingerprint
from lkhub.wire.serve_config import ServeConfig

_PAGE = Path(__file__).with_name("trust.html")

# Words that devices use for themselves. The order matters: Android says Linux, too.
_DEVICES = (
    ("iPhone", "ios"),
    ("iPad", "ios"),
    ("Android", "android"),
    ("Windows", "windows"),
    ("Mac OS X", "macos"),
    ("Linux", "linux"),
)


@dataclass(frozen=True)
class _Root:
    """The current root: a new one is served as soon as it is there."""

    pem: str
    der: bytes

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()


class Trust:
    """The handlers of one hub. 404 from page and files where the hub has no authority of its own."""

    def __init__(self, config: ServeConfig) -> None:
        self.config = config

    def routes(self) -> list[Route]:
        return [
            Route("/trust", self.page),
            Route("/trust/style.css", self.style),
            Route("/trust/root.crt", self.certificate),
            Route("/trust/root.pem", self.pem),
            Route("/trust/root.mobileconfig", self.profile),
        ]

    async def page(self, request: Request) -> Response:
        """The fingerprint, the files, and the steps; the steps for the device that asks are unfolded."""
        root = self._load()
        agent = request.headers.get("user-agent", "")
        device = next((key for word, key in _DEVICES if word in agent), "")
        text = Template(_PAGE.read_text()).substitute(
            hub=escape(self.config.name),
            fingerprint="\n".join(split_fingerprint(root.fingerprint)),
            buttons=_show_buttons(device == "ios"),
            home=escape(self._find_home(request.url.hostname or "")),
            guides="\n".join(_show_guide(guide, guide.key == device) for guide in build_guides(self.config.name)),
        )
        return Response(text, media_type="text/html", headers={"cache-control": "no-cache"})

    async def style(self, request: Request) -> Response:
        """The look of the page, by the front end's style sheets. Without TLS the edge forwards nothing but /trust to
        the service."""
        return send_built(request, "trust.css")

    async def certificate(self, _: Request) -> Response:
        """The root, as a browser or a phone installs it. In PEM: that is what Debian's tools take."""
        return self._send(self._load().pem.encode(), "application/x-x509-ca-cert", "crt")

    async def pem(self, _: Request) -> Response:
        """The same file, to be saved instead of installed."""
        return self._send(self._load().pem.encode(), "application/x-pem-file", "pem")

    async def profile(self, _: Request) -> Response:
        """Apple's form of it."""
        body = build_profile(self.config.name, self._load().der)
        return self._send(body, "application/x-apple-aspen-config", "mobileconfig")

    def _find_home(self, host: str) -> str:
        """The web application's URL over TLS: at the address that the device used, since it reaches that one, else at
        the hub's own name."""
        origin = urlsplit(self.config.livekit_url)._replace(scheme="https")
        port = f":{origin.port}" if origin.port else ""
        known = {urlsplit(f"//{authority}").hostname for authority in self.config.authorities}
        if host not in known:
            return origin.geturl()
        return origin._replace(netloc=f"{f'[{host}]' if ':' in host else host}{port}").geturl()

    def _load(self) -> _Root:
        try:
            text = Path(self.config.ca).read_text() if self.config.ca else ""
            return _Root(text, ssl.PEM_cert_to_DER_cert(text.strip()))
        except (OSError, ValueError):
            raise ApiError(404, "this hub has no certificate authority of its own") from None

    def _send(self, body: bytes, kind: str, ending: str) -> Response:
        name = f'inline; filename="{file_name(self.config.name, ending)}"'
        return Response(body, media_type=kind, headers={"content-disposition": name, "cache-control": "no-cache"})


def build_profile(hub: str, der: bytes) -> bytes:
    """A configuration profile for iOS, iPadOS and macOS with this root in it.

    Its identity is derived from the certificate: installing it twice leaves one profile, and a new root does not
    replace another hub's.
    """
    fingerprint = hashlib.sha256(der).hexdigest()
    identifier = f"lkhub.root.{fingerprint[:16]}"
    payload = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.certificate",
        "PayloadUUID": _stable_uuid(f"{fingerprint}.certificate"),
        "PayloadDisplayName": f"Root of lkhub {hub}",
        "PayloadDescription": "Vouches for this hub alone.",
        "PayloadCertificateFileName": file_name(hub),
        "PayloadContent": der,
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": _stable_uuid(fingerprint),
        "PayloadDisplayName": f"lkhub {hub}",
        "PayloadDescription": "Compare the certificate's fingerprint with what `lkhub trust` prints on the hub.",
        "PayloadRemovalDisallowed": False,
        "PayloadContent": [payload],
    }
    return plistlib.dumps(profile)


def _stable_uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lkhub:{text}")).upper()


def _show_buttons(apple_first: bool) -> str:
    files = [
        ("/trust/root.crt", "Download the certificate"),
        ("/trust/root.mobileconfig", "Profile for iPhone and iPad"),
    ]
    if apple_first:
        files = [(files[1][0], "Download the profile"), (files[0][0], "Certificate")]
    kinds = ("button primary", "button")
    return "".join(
        f'<a class="{kind}" href="{path}">{text}</a>' for kind, (path, text) in zip(kinds, files, strict=True)
    )


def _show_guide(guide: Guide, is_open: bool) -> str:
    steps = "".join(_show_step(step) for step in guide.steps)
    kind, mark = "ol" if guide.ordered else "ul", " open" if is_open else ""
    return f"<details{mark}><summary>{escape(guide.title)}</summary><{kind}>{steps}</{kind}></details>"


def _show_step(step: Step) -> str:
    commands = "\n".join(map(escape, step.commands))
    return f"<li>{escape(step.text)}{f'<pre>{commands}</pre>' if commands else ''}</li>"
