"""Where the hub's API key comes from, and the usual wrong ways to give it.

No message repeats what was given: in the most common mistakes the secret stands where the key should.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from lkhub.secret import FromEnv, Reading, Secret, SecretError, SecretSource, WholeFile, parse_secret_source

# LiveKit only logs a complaint under 32 characters and starts with a secret that can be guessed
# (pkg/config/config.go, ValidateKeys); lkhub refuses it.
MIN_SECRET_LENGTH = 32

# The pair of `livekit-server --dev`, which every example knows.
DEV_KEY, DEV_SECRET = "devkey", "secret"

PAIR_FORM = "source: {key: NAME, secret: AT_LEAST_32_CHARACTERS}"
_FORMS = "write managed, {key: NAME, secret: SECRET}, {file: PATH} or {env: [KEY_VARIABLE, SECRET_VARIABLE]}"


# A fault of a key is reported for the whole pair, or for the file.
_AS_IT_IS = Reading(Secret)


@dataclass(frozen=True)
class GivenKey:
    """`{key, secret}`: the key itself, and the secret or a reference to it."""

    key: str
    secret: Annotated[SecretSource, _AS_IT_IS]


@dataclass(frozen=True)
class KeyFile:
    """`{file: PATH}`: a YAML file of `key: secret`, as LiveKit's key_file."""

    file: Annotated[WholeFile, _AS_IT_IS]


@dataclass(frozen=True)
class KeyFromEnv:
    """`{env: [KEY, SECRET]}`: two environment variables."""

    key: Annotated[FromEnv, _AS_IT_IS]
    secret: Annotated[FromEnv, _AS_IT_IS]


KeySource = Literal["managed", "dev"] | GivenKey | KeyFile | KeyFromEnv


def parse_key_source(value: Any) -> KeySource:
    """The value of `keys.source`. Raises ValueError with the right form for every wrong one."""
    if isinstance(value, GivenKey | KeyFile | KeyFromEnv) or value in ("managed", "dev"):
        return value  # type: ignore[no-any-return]
    if value in (None, "", {}, []):
        raise ValueError(f"empty; {_FORMS}")
    if isinstance(value, str):
        raise ValueError(_explain_text(value))
    if isinstance(value, list):
        raise ValueError(f"a list, but a key and its secret are a mapping; write `{PAIR_FORM}`")
    if not isinstance(value, dict):
        raise ValueError(f"not a source of keys; {_FORMS}")
    match value:
        case {"key": key, "secret": secret, **rest} if not rest:
            return _parse_given(key, secret)
        case {"file": str(path), **rest} if path and not rest:
            return KeyFile(WholeFile(path))
        case {"env": [str(key), str(secret)], **rest} if key and secret and not rest:
            return KeyFromEnv(FromEnv(key), FromEnv(secret))
        case {"env": _, **rest} if not rest:
            raise ValueError(
                "env takes the names of two variables; write `source: {env: [KEY_VARIABLE, SECRET_VARIABLE]}`"
            )
        case {"key": _} | {"secret": _}:
            raise ValueError(f"key and secret go together, and nothing else; write `{PAIR_FORM}`")
    raise ValueError(f"not a source of keys; {_FORMS}")


def _explain_text(value: str) -> str:
    if re.fullmatch(r"\S+:\S+", value):
        return f"one text without a space after the colon, so YAML sees no key and secret; write `{PAIR_FORM}`"
    return f"text where a source of keys is expected; {_FORMS}"


def _parse_given(key: Any, secret: Any) -> GivenKey:
    if not isinstance(key, str) or not key:
        raise ValueError(f"the key is empty or not text; write `{PAIR_FORM}`")
    source = parse_secret_source(secret)
    if isinstance(source, Secret):
        check_pair(key, source.reveal())
    return GivenKey(key, source)


def check_pair(key: str, secret: str, form: str = PAIR_FORM) -> None:
    """Raise SecretError for a pair that LiveKit would refuse, or would accept although its secret can be guessed."""
    if not key.strip():
        raise SecretError(f"the key is empty; write `{form}`")
    if not secret.strip():
        raise SecretError(f"the secret is empty; write `{form}`")
    if not (f"{key}{secret}".isascii() and f"{key}{secret}".isprintable()):
        raise SecretError(f"the key or the secret has other characters than plain ASCII; write `{form}`")
    if len(secret) < MIN_SECRET_LENGTH:
        if len(key) >= MIN_SECRET_LENGTH:
            raise SecretError(f"key and secret look swapped: the key is the short name; write `{form}`")
        raise SecretError(
            f"the secret has {len(secret)} characters, {MIN_SECRET_LENGTH} are needed; "
            f"`openssl rand -base64 32` makes one; write `{form}`"
        )


def explain_keys(value: Any) -> str:
    """What is wrong with a `keys` part that is not `{source: …}`, without repeating any of it."""
    if value in (None, "", {}, []):
        return f"empty; leave `keys` out for managed keys, or write `{PAIR_FORM}` under it"
    if isinstance(value, str):
        return _explain_text(value)
    if isinstance(value, list):
        return f"a list, but a key and its secret are a mapping; write `{PAIR_FORM}` under keys"
    if isinstance(value, dict):
        for form, example in (("file", "{file: PATH}"), ("env", "{env: [KEY_VARIABLE, SECRET_VARIABLE]}")):
            if set(value) == {form}:
                return f"put it under source; write `source: {example}`"
        if {"key", "secret"} & value.keys():
            return f"put it under source; write `{PAIR_FORM}`"
        for key, secret in value.items():
            if difflib.get_close_matches(key, ["source"], cutoff=0.7) and key != "source":
                return "unknown key; did you mean source?"
            if key != "source" and isinstance(secret, str):
                try:
                    check_pair(key, secret)
                except ValueError as error:
                    return f"{error}, under keys"
        return f"livekit.yaml's form; here it is `{PAIR_FORM}` under keys"
    return f"not a source of keys; write `{PAIR_FORM}` under keys"
