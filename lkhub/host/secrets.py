"""API keys and other secrets: generated once, or read from where the spec says."""

import os
import re
import secrets
import string
from collections.abc import Mapping

from lkhub.errors import InputError, MachineError
from lkhub.host.files import NotTextError, create_private, read_input, read_text, write_private
from lkhub.host.keyfile import Keys, dump_keys
from lkhub.host.state_directory import ensure_state_dir
from lkhub.plan.paths import StatePaths
from lkhub.secret import FromEnv, FromFile, Secret, SecretError, SecretSource, WholeFile
from lkhub.spec.keyfile import parse_key_file

_ALPHABET = string.ascii_letters + string.digits
# The shape of `livekit-server generate-keys`: API and 12 characters, a secret of 256 bits in base 62.
_KEY_CHARACTERS = 12
_SECRET_CHARACTERS = 43
_WHOLE_SECRET = re.compile(f"[{_ALPHABET}]{{{_SECRET_CHARACTERS}}}\n")


class DamagedKeysError(MachineError):
    """The file with the keys that lkhub generated can't be read. `problem` names it, and says what is wrong with it."""

    def __init__(self, paths: StatePaths, problem: str) -> None:
        super().__init__(
            f"{problem}\nthis file has the API keys of the hub, and no application could come in with others",
            hints=(
                "`lkhub restore FILE --force` puts a backup in place, with the keys",
                f"without a backup, remove {paths.managed_keys}: `lkhub up` then makes a new key, which every "
                "application has to get (`lkhub env`)",
            ),
        )


def ensure_managed_keys(paths: StatePaths) -> Keys:
    """The keys that lkhub generated, made the first time."""
    ensure_state_dir(paths.root)
    if keys := read_managed_keys(paths):
        return keys
    keys = dict([generate_key()])
    # If two processes start at once, both use the keys of the faster one.
    return keys if create_private(paths.managed_keys, dump_keys(keys)) else read_managed_keys(paths)


def generate_key() -> tuple[str, Secret]:
    """A new API key and its secret."""
    return f"API{_generate(_KEY_CHARACTERS)}", Secret(_generate(_SECRET_CHARACTERS))


def read_managed_keys(paths: StatePaths) -> Keys:
    """The keys that lkhub generated; none before the first time. Raises DamagedKeysError."""
    try:
        text = read_text(paths.managed_keys)
        return {} if text is None else parse_key_file(text.encode(), paths.managed_keys)
    except SecretError as error:
        raise DamagedKeysError(paths, "\n".join(error.problems)) from None
    except NotTextError as error:
        raise DamagedKeysError(paths, error.message) from None


def read_source(source: SecretSource, folder: str, environ: Mapping[str, str]) -> str:
    """The text of a secret, from where the spec says: the spec itself, a file (relative to `folder`), or the
    environment. Raises SecretError where the secret is missing."""
    match source:
        case Secret():
            return source.reveal()
        case WholeFile(path):
            return _read_file(os.path.join(folder, path))
        case FromFile(path):
            return _read_file(os.path.join(folder, path)).rstrip("\r\n")
        case FromEnv(name):
            if name not in environ:
                raise SecretError(f"the environment variable {name} is not set")
            return environ[name]


def ensure_secret(path: str) -> str:
    """The text of a generated secret that is kept in `path`. One that is damaged, as after a power cut, is made anew: a
    part of it could be guessed."""
    if text := _read_whole(path):
        return text
    made = _generate(_SECRET_CHARACTERS) + "\n"
    if create_private(path, made):
        return made
    text = _read_whole(path)
    if not text:  # the file is damaged, not just created by another process
        write_private(path, made)
    return text or made


def _read_whole(path: str) -> str:
    try:
        text = read_text(path) or ""
    except NotTextError:
        return ""
    return text if _WHOLE_SECRET.fullmatch(text) else ""


def _read_file(path: str) -> str:
    try:
        return read_input(path).decode()
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not text") from None
    except InputError as error:
        raise SecretError(error.message) from None


def _generate(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
