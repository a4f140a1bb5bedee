"""How LiveKit's services are called: twirp, a POST of JSON for each method, with a token that grants it. Pure."""

from collections.abc import Mapping

from lkhub.livekit.tokens import Grant, sign
from lkhub.secret import Secret
from lkhub.source.json_text import Json

TOKEN_SECONDS = 60


def address(base: str, method: str, service: str = "RoomService") -> str:
    """The URL of a method."""
    return f"{base}/twirp/livekit.{service}/{method}"


def authorize(video: Mapping[str, Json], key: str, secret: Secret) -> dict[str, str]:
    """The headers of a request that needs this video grant."""
    return {"Authorization": f"Bearer {sign(Grant('lkhub', video, ttl_seconds=TOKEN_SECONDS), key, secret)}"}
