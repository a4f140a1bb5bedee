"""How an identity looks, so that two that look alike can be told: Unicode's confusables (UTS 39), case and width. Pure.

confusable-homoglyphs has Unicode's table. Its own functions compare scripts, and load the table for good (6 MiB).
"""

from functools import cache
from importlib.resources import files
from unicodedata import normalize

from lkhub.livekit.tokens import drop_joiners
from lkhub.source.json_text import parse_json

# The table puts what is written from right to left between two of these marks.
_MARK = "\u200e"


def find_looks(identity: str) -> tuple[str, ...]:
    """The keys of an identity; it looks like another that has one of them too. Case is folded before the letters are
    taken for what they look like, and after it: a capital `I` looks like `l`, and is an `i`. NFKC makes letters of some
    that look otherwise: a lunate sigma looks like `c`, and becomes another sigma."""
    seen = drop_joiners(identity)
    plain = normalize("NFKC", seen)
    keys = _draw(plain.casefold()), _draw(plain)
    return keys if plain == seen else (*keys, _draw(seen))


def _draw(text: str) -> str:
    drawn = normalize("NFD", text).translate(_table()).casefold()
    return " ".join(normalize("NFKC", drawn).split())


@cache
def _table() -> dict[int, str]:
    """Character → one of all that look like it, the same for each of them. It is one of several characters where there
    is any (`rn` for `m`), so that nothing needs to be searched for in a text, else a letter (`O` for `0`), whose case
    is folded."""
    given = parse_json(files("confusable_homoglyphs").joinpath("confusables.json").read_bytes())
    parents: dict[str, str] = {}

    def find(text: str) -> str:
        while (parent := parents.setdefault(text, text)) != text:
            text = parent
        return text

    for text, alike in given.items():
        for other in alike:
            parents[find(other["c"].strip(_MARK))] = find(text.strip(_MARK))
    classes: dict[str, list[str]] = {}
    for text in list(parents):
        classes.setdefault(find(text), []).append(text)
    table: dict[int, str] = {}
    for members in classes.values():
        first = min(members, key=lambda text: (-len(text), text > "\x7f", not text.isalpha(), text.isupper(), text))
        table |= {ord(text): first for text in members if len(text) == 1 and text != first}
    return table
