"""Join links: the address of a call page, with a token or an invite in its fragment. Pure."""

from urllib.parse import quote

# People pass on a link by hand and use it soon.
LINK_TTL_SECONDS = 24 * 3600


def find_unlinkable(room: str) -> str:
    """Why a link into a room of this name would lead elsewhere; "" where it leads there."""
    if room in (".", ".."):
        return "is a step of a path, which browsers take out of a link"
    return "begins or ends with a blank, which its page leaves out" if room != room.strip() else ""


def join_link(web: str, room: str, token: str) -> str:
    """The link into `room` of the hub whose web application is at `web`. Browsers send no fragment to a server, so the
    token stays out of every log."""
    return f"{web}/join/{quote(room, safe='')}#{token}"


def invite_link(web: str, room: str, secret: str) -> str:
    """The same with the secret of an invite, which the page redeems for a token."""
    return join_link(web, room, f"i={secret}")
