"""A secret of the spec in a file of the state directory, where `lkhub up` has placed it (lkhub/prepare/secrets.py)."""

from lkhub.errors import MachineError
from lkhub.host.files import read_text
from lkhub.secret import Secret


def read_placed(path: str) -> Secret:
    """The secret. Only the end of its line does not belong to it. Raises MachineError where it can't be read."""
    text = read_text(path)
    if text is None:
        raise MachineError(f"{path} does not exist", hints=("`lkhub up` writes it",))
    return Secret(text.rstrip("\r\n"))
