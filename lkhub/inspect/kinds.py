"""What a file is: decided by what is in it. Its name says what it may be, and nothing more: people name them freely."""

import posixpath
import re

from lkhub.inspect.given import GivenFile, Kind
from lkhub.inspect.livekit_keys import SINCE, UNTIL

_TOP = {key.partition(".")[0] for key in (*SINCE, *UNTIL)}

# Keys that other programs of a deployment have too: LiveKit's egress, ingress and SIP, Synapse, Traefik, compose.
_SHARED = {"redis", "logging", "log_level", "port", "region", "webhook", "api", "audio", "video", "metric", "limit"}

_OWN = _TOP - _SHARED

# A name by which people mean the server's own file, whatever they have written into it.
_NAMED = re.compile(
    r"(?:^|[^a-z])livekit(?:[-_.]?(?:server|local|prod|production|dev|staging|example|template))*\.ya?ml\b"
)


def find_kind(file: GivenFile, top: set[str]) -> Kind:
    """`top`: the keys at the top of it, if it is a mapping of YAML."""
    name = posixpath.basename(file.path.replace("\\", "/")).lower()
    if "apiVersion" in top or "services" in top or "version" in top:
        return "unknown"
    own, known = len(top & _OWN), len(top & _TOP)
    if known and _NAMED.search(name):
        return "livekit.yaml"
    if known > len(top - _TOP) and (own >= 2 or (is_yaml(name) and (own or "livekit" in name))):
        return "livekit.yaml"
    return "unknown"


def find_top(text: str) -> set[str]:
    """What may be the keys at the top of a text that is no YAML, or not yet."""
    return set(re.findall(r"^([a-z_]+):", text, re.MULTILINE))


def is_yaml(name: str) -> bool:
    """Whether a file has the name of YAML, or of a template or an example of it."""
    parts = name.split(".")[1:]
    return "yaml" in parts or "yml" in parts
