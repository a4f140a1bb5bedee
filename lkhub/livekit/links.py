"""Join links: the address of a call page, with a token in its fragment. Pure."""

from urllib.parse import quote

# People pass on a link by hand and use it soon.
LINK_TTL_SECONDS = 24 * 3600


def join_link(web: str, room: str, token: str) -> str:
    """The link into `room` of the hub whose web application is at `web`. Browsers send no fragment to a server, so the
    token stays out of every log."""
    return f"{web}/join/{quote(room, safe='')}#{token}"
