"""The hub's own key file: LiveKit's key_file, as lkhub writes it.

Reading it needs no YAML parser, because the service reads it for every token that it signs. `lkhub.spec.keyfile` reads
key files that people wrote.
"""

import json

from lkhub.errors import MachineError
from lkhub.host.files import read_text
from lkhub.secret import Secret
from lkhub.source.json_text import parse_json

Keys = dict[str, Secret]


def dump_keys(keys: Keys) -> str:
    """`keys` as LiveKit's key_file. Quoted as JSON, which is YAML, so that a secret of digits stays text."""
    return "".join(f"{json.dumps(name)}: {json.dumps(secret.reveal())}\n" for name, secret in keys.items())


def load_keys(path: str) -> Keys:
    """The keys in a file of `dump_keys`, the current one first. Raises MachineError where there are none."""
    text = read_text(path)
    if text is None:
        raise MachineError("this hub has no keys yet", hints=("`lkhub up` makes them",))
    try:
        pairs = parse_json(f"{{{','.join(text.splitlines())}}}")
    except ValueError:
        pairs = {}
    if not pairs or not all(isinstance(secret, str) for secret in pairs.values()):
        raise MachineError(f"{path} is damaged", hints=("`lkhub up` writes it anew",))
    return {name: Secret(secret) for name, secret in pairs.items()}
