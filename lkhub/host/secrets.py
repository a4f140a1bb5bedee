"""API keys and other secrets: generated once, or read from where the spec says."""

import json
import os
import secrets
import string
from collections.abc import Mapping

from lkhub.errors import InputError, MachineError
from lkhub.host.files import ensure_state_dir, read_input, read_text, write_private
from lkhub.plan.paths import StatePaths
from lkhub.spec.document import parse_plain
from lkhub.spec.keys import FILE_FORM, GivenKey, KeyFile, KeyFromEnv, KeySource, check_pair, parse_key_pairs
from lkhub.spec.load import LoadedSpec
from lkhub.spec.secret import FromEnv, FromFile, Secret, SecretSource

_ALPHABET = string.ascii_letters + string.digits
# The shape of `livekit-server generate-keys`: API and 12 characters, a secret of 256 bits in base 62.
_KEY_CHARACTERS = 12
_SECRET_CHARACTERS = 43

Keys = dict[str, Secret]


def resolve_keys(loaded: LoadedSpec, paths: StatePaths, folder: str, environ: Mapping[str, str]) -> Keys:
    """The API keys of a spec, the current one first. What can't be resolved is a fault at `keys.source`.

    `folder` is what relative paths are relative to: the spec's own.
    """
    source = loaded.spec.keys.source
    if source == "managed":
        # Keys are made for a spec that will run.
        return {} if loaded.faults else _ensure_managed(paths)
    try:
        return _read_source(source, folder, environ)
    except ValueError as error:
        loaded.add(("keys", "source"), str(error))
        return {}


def dump_keys(keys: Keys) -> str:
    """`keys` as LiveKit's key_file. Quoted as JSON, which is YAML, so that a secret of digits stays text."""
    return "".join(f"{json.dumps(name)}: {json.dumps(secret.reveal())}\n" for name, secret in keys.items())


def load_keys(path: str) -> Keys:
    """The keys of a key file that lkhub wrote. Raises MachineError where there is none."""
    text = read_text(path)
    if text is None:
        raise MachineError("this hub has no keys yet", hints=("`lkhub up` makes them",))
    try:
        return _parse_key_file(text)
    except ValueError as error:
        raise MachineError(f"{path}: {error}") from None


def ensure_secret(path: str) -> str:
    """The text of a generated secret that is kept in `path`."""
    text = read_text(path)
    if not text:
        text = _generate(_SECRET_CHARACTERS) + "\n"
        write_private(path, text)
    return text


def _ensure_managed(paths: StatePaths) -> Keys:
    ensure_state_dir(paths.root)
    if read_text(paths.managed_keys) is None:
        keys = {f"API{_generate(_KEY_CHARACTERS)}": Secret(_generate(_SECRET_CHARACTERS))}
        write_private(paths.managed_keys, dump_keys(keys))
    return load_keys(paths.managed_keys)


def _read_source(source: KeySource, folder: str, environ: Mapping[str, str]) -> Keys:
    match source:
        case GivenKey(key, secret):
            value = _read_secret(secret, folder, environ)
            check_pair(key, value)
            return {key: Secret(value)}
        case KeyFromEnv(key_name, secret_name):
            missing = [name for name in (key_name, secret_name) if name not in environ]
            if missing:
                raise ValueError(f"not set in the environment: {', '.join(missing)}")
            key, value = environ[key_name], environ[secret_name]
            check_pair(key, value, f"{key_name}=NAME {secret_name}=AT_LEAST_32_CHARACTERS")
            return {key: Secret(value)}
        case KeyFile(path):
            text = _read_file(os.path.join(folder, path))
            try:
                return _parse_key_file(text)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
    raise AssertionError(source)


def _read_secret(source: SecretSource, folder: str, environ: Mapping[str, str]) -> str:
    match source:
        case Secret():
            return source.reveal()
        case FromFile(path):
            return _read_file(os.path.join(folder, path)).rstrip("\r\n")
        case FromEnv(name):
            return _read_env(name, environ)


def _read_file(path: str) -> str:
    try:
        return read_input(path).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text") from None
    except InputError as error:
        raise ValueError(error.message) from None


def _read_env(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise ValueError(f"the environment variable {name} is not set")
    return environ[name]


def _parse_key_file(text: str) -> Keys:
    try:
        data = parse_plain(text.encode())
    except ValueError as error:
        raise ValueError(f"{error}; write {FILE_FORM}") from None
    return parse_key_pairs(data)


def _generate(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
