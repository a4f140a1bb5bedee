"""`lkhub build-site`: the build of one web site, as the supervisor starts it."""

import sys
from argparse import ArgumentParser

from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.host.held_signal import exit_at_sigterm
from lkhub.hub.build_site import build_site as build
from lkhub.livekit.tokens import Grant, join_grant
from lkhub.wire.site_build import MadeToken, parse_site_build


def build_site() -> None:
    """Build a web site of the hub, if it has to be built."""
    parser = ArgumentParser("lkhub build-site", description=build_site.__doc__, allow_abbrev=False)
    parser.add_argument("--config", required=True, metavar="FILE", help="the rendered site-NAME.json")
    config = parser.parse_args(sys.argv[2:]).config
    try:
        parsed = parse_site_build(read_input(config).decode())
    except (ValueError, TypeError):
        raise InputError(f"{config} is not a rendered site-NAME.json") from None
    # The supervisor stops the hub, or has another build to start: this one ends with all that it has started.
    exit_at_sigterm()
    build(parsed, _make_grant, lambda text: print(text, flush=True))


def _make_grant(token: MadeToken) -> Grant:
    if token.allows is None:
        video = join_grant(token.room)
    else:
        # Imported here: it costs 150 ms, which a token without a role does without.
        from lkhub.service.roles import grant_role

        video = grant_role(token.allows, token.room, opens=token.opens)
    return Grant(token.identity, video, name=token.name, ttl_seconds=token.ttl)
