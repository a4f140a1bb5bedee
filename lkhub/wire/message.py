"""JSON objects between lkhub and a supervisor that may be of another version."""

from collections.abc import Callable, Mapping
from typing import Any

from lkhub.errors import HubError, InputError
from lkhub.host.files import MAX_INPUT_BYTES

# A request names a path and has the variables that the spec refers to. A key file in one of them may be as long as
# any file that a spec names.
MAX_REQUEST_BYTES = MAX_INPUT_BYTES

RESTART = ("`lkhub down`, then `lkhub up`, starts the hub with this version",)

Complain = Callable[[str], HubError]
"""The error of a key that is missing."""


class Message(dict[str, Any]):
    """A JSON object of another version of lkhub: to look up a key that it lacks raises what `complain` makes of it."""

    def __init__(self, items: Mapping[str, Any], complain: Complain) -> None:
        super().__init__(items)
        self._complain = complain

    def __missing__(self, key: str) -> Any:
        raise self._complain(key)


def as_message(value: Any, complain: Complain) -> Any:
    """The JSON value with every object in it, at any depth, as a Message."""
    if isinstance(value, dict):
        return Message({key: as_message(item, complain) for key, item in value.items()}, complain)
    if isinstance(value, list):
        return [as_message(item, complain) for item in value]
    return value


def describe_too_long() -> InputError:
    """The error of a request over MAX_REQUEST_BYTES."""
    return InputError(
        f"the variables that the spec refers to are too long: the supervisor takes {MAX_REQUEST_BYTES:,} bytes in all",
        hints=("put what is long into a file, and name it with {file: PATH}",),
    )
