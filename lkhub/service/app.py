"""Routes, middleware, errors: the whole picture of `lkhub serve`."""

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from lkhub.errors import MachineError
from lkhub.service.api import Api
from lkhub.service.bodies import Bodies
from lkhub.service.contract import (
    DOCUMENT,
    HEALTH,
    HUB,
    INFO,
    INVITE,
    REDEEM,
    SESSION,
    SIGN_IN,
    SIGN_OUT,
    TOKEN,
    TOKEN_SOURCE,
)
from lkhub.service.cors import ListedOrigins
from lkhub.service.desk import build_desk
from lkhub.service.direct import Service
from lkhub.service.documents import Documents
from lkhub.service.errors import ApiError
from lkhub.service.guard import Guard, HostGuard
from lkhub.service.late_invites import LateInvites
from lkhub.service.pages import WEB, BuiltFiles, content_security_policy, show_page
from lkhub.service.people import People
from lkhub.service.refusals import answer_api_error, answer_bug, answer_http_exception, answer_machine_error
from lkhub.service.trust import Trust
from lkhub.wire.serve_config import ServeConfig

if TYPE_CHECKING:
    from lkhub.service.backed import Backed


def build_app(config: ServeConfig) -> Service:
    """The application of one hub."""
    backed = _build_backed(config)
    desk = backed.desk if backed else build_desk(config, LateInvites(config))
    bodies = Bodies(config)
    api, people = Api(config, desk, bodies), People(config, desk, bodies)
    headers = {
        "content-security-policy": content_security_policy(config.livekit_url),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "permissions-policy": "camera=(self), microphone=(self), display-capture=(self)",
    }
    routes = [
        TOKEN.route(api.token),
        TOKEN_SOURCE.route(api.token_source),
        HUB.route(api.hub),
        HEALTH.route(api.health),
        INFO.route(api.request_info),
        SESSION.route(people.session),
        SIGN_IN.route(people.sign_in),
        SIGN_OUT.route(people.sign_out),
        REDEEM.route(people.redeem),
        INVITE.route(people.invite),
        DOCUMENT.route(Documents(config).document),
        *people.routes(),
        *(backed.routes if backed else ()),
        Mount("/assets", BuiltFiles(directory=WEB / "assets", check_dir=False)),
        *Trust(config).routes(),
        Route("/api/docs", show_page),
        Route("/join/{room:path}", show_page),
        Route("/", show_page),
    ]
    handlers = {
        ApiError: answer_api_error,
        MachineError: answer_machine_error,
        HTTPException: answer_http_exception,
        Exception: answer_bug,
    }
    guard = Guard(config.hosts, config.port, config.authorities, headers)
    middleware = [Middleware(HostGuard, guard=guard)]
    if origins := config.application.access.origins:
        middleware.append(Middleware(ListedOrigins, origins=origins))
    lifespan = backed.lifespan if backed else None
    app = Service(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)
    app.guard, app.direct = guard, {TOKEN.path: api.token, TOKEN_SOURCE.path: api.token_source}
    app.stop = backed.stop if backed else None
    return app


def _build_backed(config: ServeConfig) -> "Backed | None":
    if not config.application.used:
        return None
    # Imported here: SQLAlchemy costs 200 ms and 20 MiB, which a hub that keeps nothing does without.
    from lkhub.service.backed import build_backed

    return build_backed(config)
