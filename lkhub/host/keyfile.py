"""The hub's own key file: LiveKit's key_file, as lkhub writes it.

Reading it needs no YAML parser, because the service reads it for every token that it signs. `lkhub.spec.keyfile` reads
key files that people wrote.
"""

import json

from lkhub.errors import ANOTHER, START, InputError, MachineError
from lkhub.host.files import read_text
from lkhub.secret import Secret
from lkhub.source.json_text import parse_json

Keys = dict[str, Secret]
"""A ring: API keys with their secrets, the current one first. The others are retiring: they are accepted, and nothing
is signed with them."""


def dump_keys(keys: Keys) -> str:
    """`keys` as LiveKit's key_file. Quoted as JSON, which is YAML, so that a secret of digits stays text."""
    return "".join(f"{json.dumps(name)}: {json.dumps(secret.reveal())}\n" for name, secret in keys.items())


def load_keys(path: str) -> Keys:
    """The keys in a file of `dump_keys`, the current one first. Raises MachineError where there are none."""
    text = read_text(path)
    if text is None:
        raise MachineError("this hub has no keys yet", hints=(f"{START}, and makes them", ANOTHER))
    return parse_keys(text, path)


def parse_keys(text: str, path: str) -> Keys:
    """The inverse of `dump_keys`; `path` is for the message. Raises MachineError."""
    try:
        pairs = parse_json(f"{{{','.join(text.splitlines())}}}")
    except ValueError:
        pairs = {}
    if not pairs or not all(isinstance(secret, str) for secret in pairs.values()):
        raise MachineError(f"{path} is damaged", hints=("`lkhub up` writes it anew",))
    return {name: Secret(secret) for name, secret in pairs.items()}


def add_current(keys: Keys, name: str, secret: Secret) -> Keys:
    """The ring after a rotation to this key."""
    return {name: secret, **{other: kept for other, kept in keys.items() if other != name}}


def revoke_key(keys: Keys, name: str) -> Keys:
    """The ring without a retiring key. Raises InputError for any other. The message does not repeat the name: it may be
    the secret."""
    if name not in keys:
        raise InputError("this hub has no such key", hints=("`lkhub keys list` shows its keys",))
    if len(keys) == 1:
        only = "this is the hub's only key, and without a key nothing would be accepted"
        raise InputError(only, hints=("`lkhub keys rotate` makes another one, and then this one can be revoked",))
    if name == next(iter(keys)):
        hint = "`lkhub keys rotate` makes another one the current key, and then this one can be revoked"
        raise InputError("this is the current key, with which the hub signs", hints=(hint,))
    return {other: secret for other, secret in keys.items() if other != name}


def order_for_receiver(keys: Keys, known: str) -> tuple[str, ...]:
    """The keys with which to sign for a receiver of webhooks, the best one first: the key that the receiver knew last,
    as long as the hub has it, then the others, the current one first. `known` may be "". A receiver that refuses one
    signature may have been given another key meanwhile."""
    return tuple(sorted(keys, key=lambda name: name != known))
