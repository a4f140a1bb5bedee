"""The record of the tokens that `lkhub token --dotenv` has printed: they end with their key, wherever they are by then.
The tokens themselves are not on record."""

from dataclasses import dataclass

from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class BakedToken:
    """The token for `identity` in `room` as the value of `variable`, signed with the API key `key` and good until
    `until` (epoch seconds). `file` is the absolute path to which it was printed, "" if that is not known. `role` is ""
    for all that a plain participant may."""

    variable: str
    room: str
    identity: str
    key: str
    until: Epoch
    file: str = ""
    role: str = ""


@dataclass(frozen=True)
class _Record:
    tokens: tuple[BakedToken, ...]


def read_baked(paths: StatePaths, now: float) -> tuple[BakedToken, ...]:
    """The tokens on record that are still good, in the order in which they end; none if the record can't be read."""
    record = find_record(_Record, paths.baked)
    return tuple(sorted((each for each in record.tokens if each.until > now), key=_order)) if record else ()


def write_baked(paths: StatePaths, tokens: tuple[BakedToken, ...]) -> None:
    """Raises MachineError if the record can't be written."""
    write_record(_Record(tokens), paths.baked)


def add_baked(tokens: tuple[BakedToken, ...], new: BakedToken) -> tuple[BakedToken, ...]:
    """The record with another token. One that is printed into the same file replaces the one before: a file that was
    only appended to has a variable twice, and its last value counts."""
    place = (new.file, new.variable)
    others = tuple(each for each in tokens if not new.file or (each.file, each.variable) != place)
    return (*others, new)


def _order(token: BakedToken) -> tuple[float, str, str]:
    return token.until, token.file, token.variable
