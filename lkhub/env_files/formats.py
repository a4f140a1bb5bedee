"""The formats of files that `lkhub env --write` edits."""

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lkhub.env_files.dotenv import edit_dotenv, read_variable
from lkhub.env_files.edit_error import EditError
from lkhub.env_files.server_config import edit_settings, read_setting
from lkhub.secret import Secret
from lkhub.source.json_text import Json

FormatName: TypeAlias = Literal["dotenv", "server-config"]

# Python's JSON and UTF-8 take any half of a surrogate pair through unchanged, so bytes that are not UTF-8 stay too.
_KEEP = "surrogateescape"


@dataclass(frozen=True)
class FileFormat:
    """How one kind of file names the hub's values. `edit` and `read` raise EditError."""

    name: FormatName
    key_name: str
    secret_name: str
    describe_url: Callable[[str], Mapping[str, Json]]
    edit: Callable[[str, Mapping[str, Json]], str]
    read: Callable[[str, str], tuple[Json, ...]]

    def describe(self, url: str, key: str, secret: Secret) -> dict[str, Json]:
        """What the file has to say about a hub at `url` (ws or wss)."""
        return {**self.describe_url(url), **self.describe_key(key, secret)}

    def describe_key(self, key: str, secret: Secret) -> dict[str, Json]:
        """The part of `describe` that changes with the key."""
        return {self.key_name: key, self.secret_name: secret.reveal()}

    def edit_bytes(self, content: bytes, values: Mapping[str, Json]) -> bytes:
        """The content of the file with these values. Raises EditError."""
        mark, text = _decode(content)
        return mark + self.edit(text, values).encode(errors=_KEEP)

    def read_bytes(self, content: bytes, name: str) -> tuple[Json, ...]:
        """The values that the file gives to a name, one for each time that it does. Raises EditError."""
        return self.read(_decode(content)[1], name)


def _decode(content: bytes) -> tuple[bytes, str]:
    """The byte order mark of a file, if it has one, and its text. Raises EditError."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise EditError("not text in UTF-8, so programs can't read it: save it as UTF-8")
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    return mark, content.removeprefix(mark).decode(errors=_KEEP)


def _edit_dotenv(text: str, values: Mapping[str, Json]) -> str:
    return edit_dotenv(text, {name: str(value) for name, value in values.items()})


def _describe_server_config(url: str) -> dict[str, Json]:
    """What echochat calls its LiveKit: one address for its server's requests, one for browsers."""
    return {
        "livekit_enabled": True,
        "livekit_api_url": f"http{url.removeprefix('ws')}",  # ws → http, wss → https
        "livekit_ws_url": url,
    }


DOTENV = FileFormat(
    "dotenv", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", lambda url: {"LIVEKIT_URL": url}, _edit_dotenv, read_variable
)
SERVER_CONFIG = FileFormat(
    "server-config", "livekit_api_key", "livekit_api_secret", _describe_server_config, edit_settings, read_setting
)

FORMATS: Mapping[FormatName, FileFormat] = {each.name: each for each in (DOTENV, SERVER_CONFIG)}
