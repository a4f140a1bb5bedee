"""server_config.json."""

import json
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """The keys with `livekit_` are written by `lkhub env`. `hub_url` is the hub's service, on this machine whatever the
    hub's reach is, and `hub_key_file` has the API key of `lkhub access create`."""

    site_name: str = "EchoChat"
    database: str = "echochat.db"
    livekit_enabled: bool = False
    livekit_api_url: str = ""
    livekit_ws_url: str = ""
    livekit_api_key: str = ""
    livekit_api_secret: str = ""
    hub_url: str = "http://127.0.0.1:8080"
    hub_key_file: str = "hub.key"


def load_config(path: Path) -> Config:
    """The file, without keys of other versions. Until there is one, everything has its default."""
    given = json.loads(path.read_text()) if path.exists() else {}
    known = {field.name for field in fields(Config)}
    return Config(**{key: value for key, value in given.items() if key in known})
