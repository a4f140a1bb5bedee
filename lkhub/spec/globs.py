"""What two globs have to do with each other. Pure. A glob is read as fnmatch reads it: `*` stands for any characters,
`?` for one, `[…]` for one of several."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

# `]` at the first place of a set is one of its characters; a `[` that is never closed stands for itself.
_STEP = re.compile(r"\[!?+\]?+[^\]]*\]|.", re.DOTALL)


def globs_meet(one: str, other: str) -> bool:
    """Whether there may be a name that fits both. False is certain; two sets are taken to share a character."""
    return _compare(one, other, _may_be_same, both=True)


def glob_covers(one: str, other: str) -> bool:
    """Whether every name that fits `other` fits `one`. True is certain; a set covers only itself and single
    characters."""
    return _compare(one, other, _is_within, both=False)


def _compare(one: str, other: str, fits: Callable[[str, str], bool], *, both: bool) -> bool:
    """Whether the steps of the globs go together. A `*` of `one` takes any steps of `other`, and with `both` the
    reverse too."""
    left, right = _STEP.findall(re.sub(r"\*+", "*", one)), _STEP.findall(re.sub(r"\*+", "*", other))

    # together[j]: whether the rest of `one` and the rest of `other` from its step j go together.
    together = [not right[j:] or (both and right[j:] == ["*"]) for j in range(len(right) + 1)]
    for step in reversed(left):
        after, together = together, [False] * len(together)
        for j in reversed(range(len(together))):
            at_end = j == len(right)
            if step == "*":
                together[j] = after[j] or (not at_end and together[j + 1])
            elif not at_end and right[j] == "*":
                together[j] = both and (together[j + 1] or after[j])
            else:
                together[j] = not at_end and fits(step, right[j]) and after[j + 1]
    return together[0]


def _is_set(step: str) -> bool:
    return len(step) > 1


def _may_be_same(one: str, other: str) -> bool:
    if "?" in (one, other) or (_is_set(one) and _is_set(other)):
        return True
    return fnmatchcase(other, one) if _is_set(one) else fnmatchcase(one, other)


def _is_within(one: str, other: str) -> bool:
    if one in ("?", other):
        return True
    return _is_set(one) and not _is_set(other) and other != "?" and fnmatchcase(other, one)
