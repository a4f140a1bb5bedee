"""The cookies of people who sign in.

Over TLS their names begin with `__Host-`: no other host and no page without TLS can set them, which browsers enforce
(RFC 6265bis). Browsers keep such cookies for https alone, some of them also on loopback; so a hub on plain HTTP, which
is reached on its own machine only, has names without it. There, programs on other ports of this machine see them too.
"""

from starlette.requests import Request
from starlette.responses import Response

_SESSION, _LOGIN = "lkhub-session", "lkhub-login-"

# How much of a login's state is in the name of its cookie: logins in several tabs do not disturb each other.
_NAMED = 8


def read_session(request: Request, *, secure: bool) -> str:
    return request.cookies.get(_name(_SESSION, secure), "")


def set_session(response: Response, cookie: str, seconds: int, *, secure: bool) -> None:
    # The hub's own pages send it with what they fetch, however a person came to them.
    _set(response, _name(_SESSION, secure), cookie, seconds, secure, "strict")


def read_login(request: Request, state: str, *, secure: bool) -> str:
    return request.cookies.get(_name(_LOGIN + state[:_NAMED], secure), "")


def set_login(response: Response, state: str, cookie: str, seconds: int, *, secure: bool) -> None:
    # The provider's page leads back to the hub: `strict` would keep the cookie away from that request.
    _set(response, _name(_LOGIN + state[:_NAMED], secure), cookie, seconds, secure, "lax")


def _name(name: str, secure: bool) -> str:
    return f"__Host-{name}" if secure else name


def _set(response: Response, name: str, value: str, seconds: int, secure: bool, site: str) -> None:
    # Without a value the cookie is deleted.
    parts = [f"{name}={value}", "Path=/", f"Max-Age={seconds if value else 0}", "HttpOnly", f"SameSite={site.title()}"]
    response.headers.append("set-cookie", "; ".join([*parts, "Secure"] if secure else parts))
