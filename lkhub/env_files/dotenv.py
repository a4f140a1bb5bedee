"""A .env file: the values of some variables are replaced, and every other byte stays.

python-dotenv's parser says where each assignment begins and ends; its `set_key` would also drop `export`, comments,
indents and empty lines beside the value, and turn CRLF into LF.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO

from dotenv.parser import Binding, parse_stream

from lkhub.env_files.edit_error import EditError
from lkhub.env_files.quoting import quote

# An assignment as dotenv/parser.py reads it: what is before the value, and the value with its quotes. Without quotes,
# the value extends to the end of the line.
_ASSIGNMENT = re.compile(
    r"(?P<before>\s*(?P<export>export[^\S\r\n]+)?(?:'[^']+'|[^=\#\s]+)[^\S\r\n]*=)(?P<space>[^\S\r\n]*)"
    r"""(?P<value>'(?:\\'|[^'])*'|"(?:\\"|[^"])*"|[^\r\n]*)"""
)

_COMMENT = re.compile(r"(?:^|\s+)#.*")
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class _Assignment:
    """`text` is the assignment with what is before and after it, down to the end of its line. Its value, with quotes,
    is `text[start:end]`."""

    text: str
    start: int
    end: int
    exported: bool

    @property
    def quotes(self) -> str:
        first = self.text[self.start : self.start + 1]
        return first if first in ("'", '"') and self.end > self.start + 1 else ""


def read_variable(text: str, name: str) -> tuple[str, ...]:
    """The values that a .env file gives to a variable, one for each of its assignments."""
    return tuple(each.value for each in _parse(text) if each.key == name and each.value is not None)


def edit_dotenv(text: str, values: Mapping[str, str]) -> str:
    """The text with these values. Every assignment of a variable gets its value, since some programs take the first one
    and others the last one. A variable that is not assigned is added at the end. Raises EditError."""
    # python-dotenv skips what it can't read, so lines would be added below the object, and the file be JSON no more.
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        raise EditError("this is JSON, not a .env file: `--format server-config` edits the JSON file of echochat")
    parts, exported, missing = [], [], dict.fromkeys(values)
    unread = False
    for binding in _parse(text):
        original = binding.original.string
        if binding.error:
            unread = True
            _require_other(binding, values)
        assignment = None if binding.error else _locate(original)
        if assignment:
            exported.append(assignment.exported)
        if assignment and binding.key and binding.key in values:
            missing.pop(binding.key, None)
            value = quote(binding.key, values[binding.key], assignment.quotes)
            original = original[: assignment.start] + value + original[assignment.end :]
        parts.append(original)
    # A .env file may have a line that can't be read. Where none can, it is YAML, a program or a page, and lines at its
    # end would break it.
    if unread and not exported:
        raise EditError("this is not a .env file: no line of it is NAME=VALUE")
    export = "export " if exported and all(exported) else ""
    added = [f"{export}{name}={quote(name, values[name])}" for name in missing]
    edited = _append("".join(parts), added, text)
    _require_values(edited, values)
    return edited


def _append(text: str, lines: list[str], original: str) -> str:
    """The text with lines at its end, in its own line ends."""
    if not lines:
        return text
    ends = _LINE_END.findall(original)
    end = ends[-1] if ends else "\n"
    begin = end if text and not text.endswith(("\n", "\r")) else ""
    return text + begin + "".join(f"{line}{end}" for line in lines)


def _parse(text: str) -> Iterator[Binding]:
    # newline="": line ends stay as they are.
    return parse_stream(StringIO(text, newline=""))


def _locate(original: str) -> _Assignment | None:
    """The assignment in what the parser took for one; None for a comment, an empty line or a name alone."""
    found = _ASSIGNMENT.match(original)
    if not found:
        return None
    start, end = found.span("value")
    if found["value"][:1] not in ("'", '"'):
        comment = _COMMENT.search(found["value"])
        end = start + len(found["value"][: comment.start()] if comment else found["value"].rstrip())
    if start == end:  # the space before a comment stays there
        start = end = found.end("before")
    return _Assignment(original, start, end, exported=bool(found["export"]))


def _require_other(binding: Binding, values: Mapping[str, str]) -> None:
    """Raise EditError if what can't be read seems to be about one of the variables: some programs would read it."""
    names = "|".join(map(re.escape, values))
    line_of = rf"^[^\S\r\n]*(?:export[^\S\r\n]+)?['\"]?({names})['\"]?[^\S\r\n]*[=:]"
    found = re.search(line_of, binding.original.string, re.MULTILINE)
    if found:
        line = binding.original.line + len(_LINE_END.findall(binding.original.string[: found.start(1)]))
        raise EditError(
            f"programs read the line of {found[1]} differently: write it as {found[1]}=…, without more", line
        )


def _require_values(edited: str, values: Mapping[str, str]) -> None:
    """Raise EditError if the edited text does not give its value to each variable: a quote above them is not closed."""
    for name, value in values.items():
        if set(read_variable(edited, name)) != {value}:
            line = next((each.original.line for each in _parse(edited) if each.error), 0)
            raise EditError(f"a quote that is not closed hides {name} from some programs", line)
