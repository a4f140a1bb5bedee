"""YAML text → Document.

Only what a spec needs of YAML: mappings with text keys, lists, YAML 1.2 scalars and aliases. What could
exhaust the reader (size, depth, aliases that multiply) is a fault, not a crash.
"""

from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scanner import ScannerError

from lkhub.findings.catalogue.spec import key_twice, spec_unreadable, value_wrong
from lkhub.findings.declare import Statement
from lkhub.findings.fault import make_fault
from lkhub.findings.finding import Where
from lkhub.source.located import Document
from lkhub.source.path import Path, dotted

# A full spec with comments is under 10 KB; the limits leave room, and the slowest text of this size is read in a
# second. MAX_NODES also counts the nodes that aliases repeat, so it stops a bomb of aliases too.
MAX_BYTES = 64 * 1024
MAX_NODES = 10_000
MAX_DEPTH = 40


class PlainYAML(YAML):
    """ruamel's reader and writer without plug-ins: by default each new instance searches a folder for them."""

    def official_plug_ins(self) -> list[str]:
        return []


def parse_plain(raw: bytes, file: str) -> tuple[Any, Document]:
    """The plain data of a YAML text with a root of any kind, and the document that knows its lines and faults.

    Never raises for any bytes. The document's own `data` stays empty.
    """
    document = Document(file)
    data = None
    try:
        root = _compose(raw)
        data = None if root is None else _Reader(document).read(root, ())
    except _UnreadableError as error:
        document.faults.append(make_fault(spec_unreadable(error.problem), Where(file, error.line), error.hint))
    return data, document


def parse_document(raw: bytes, file: str) -> Document:
    """Read `raw` as one YAML mapping. Never raises for any bytes: what is wrong is in `faults`."""
    document = Document(file)
    try:
        root = _compose(raw)
        if root is not None:
            _Reader(document).read_root(root)
    except _UnreadableError as error:
        document.data.clear()
        document.faults.append(make_fault(spec_unreadable(error.problem), Where(file, error.line), error.hint))
    return document


def find_values(text: str, paths: Iterable[Path]) -> dict[Path, slice]:
    """Where the values at these paths stand in a YAML text. A path is missing where it has no value or more than a
    scalar, and where the text can't be read."""
    try:
        root = _compose(text.encode())
    except _UnreadableError:
        return {}
    found = {path: _find(root, path) for path in paths}
    return {path: slice(node.start_mark.index, node.end_mark.index) for path, node in found.items() if node}


def _find(node: Node | None, path: Path) -> ScalarNode | None:
    for step in path:
        if isinstance(node, MappingNode):
            node = next((below for key, below in node.value if key.value == step), None)
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            return None
    return node if isinstance(node, ScalarNode) else None


class _UnreadableError(Exception):
    """The text can't be read as YAML at all."""

    def __init__(self, problem: str, line: int | None = None, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.line, self.hint = problem, line, hint


def _compose(raw: bytes) -> Node | None:
    if len(raw) > MAX_BYTES:
        raise _UnreadableError(
            f"{len(raw):,} bytes is too large for a spec (limit {MAX_BYTES:,})",
            hint="is this the right file? A spec with every key is under 10 KB",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = f"byte 0x{raw[error.start]:02x} is not valid UTF-8"
        raise _UnreadableError(problem, line, "save the file as UTF-8") from None
    yaml = PlainYAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # the warning quotes the text, and with it secrets
    try:
        return yaml.compose(text)  # type: ignore[no-any-return]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem, hint = _explain_syntax(error, text)
        raise _UnreadableError(f"not YAML: {problem}", None if mark is None else mark.line + 1, hint) from None
    except YAMLError as error:
        raise _UnreadableError(f"not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise _UnreadableError("nested too deeply to be a spec") from None
    except ValueError as error:
        raise _UnreadableError(f"not YAML: {error}") from None


# What a value is to YAML that begins with one of these.
_SIGNS = {"*": "an alias", "!": "a tag", "&": "an anchor"}


def _explain_syntax(error: MarkedYAMLError, text: str) -> tuple[str, str]:
    """The problem and a hint, without the names of aliases and tags: a secret may begin with `*`, `&` or `!`. What it
    is depends on the characters of `text` that the error points at, never on the parser's own words."""
    if isinstance(error, ComposerError) and error.context_mark is not None:
        return "a second document", "remove the line with ---"
    # The scanner points at the character that is wrong, and at the first one of what it was reading.
    marks = (error.problem_mark, error.context_mark if isinstance(error, ScannerError) else None)
    characters = [text[mark.index : mark.index + 1] for mark in marks if mark is not None]
    for sign in characters:
        if sign in _SIGNS:
            return f"{_SIGNS[sign]} that means nothing here", f"put text that begins with {sign} in quotes"
    problem = str(error.problem or error.context or "it breaks off")
    hint = "indent with spaces" if "\t" in characters[:1] else ""
    return problem.replace("('<scalar>',)", "text").replace("'<document start>'", "the end"), hint


class _Reader:
    """Turns composed nodes into data, writing lines and faults into the document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0
        self.constructor = PlainYAML(typ="safe", pure=True).constructor

    def read_root(self, root: Node) -> None:
        if isinstance(root, MappingNode):
            self.document.data = self.read_mapping(root, ())
        elif not (isinstance(root, ScalarNode) and root.value in ("", "null", "~")):
            line = root.start_mark.line + 1
            raise _UnreadableError("a spec is a mapping of keys to values", line, "start with `version: 1`")

    def read(self, node: Node, path: Path) -> Any:
        self.nodes += 1
        line = node.start_mark.line + 1
        if self.nodes > MAX_NODES:
            raise _UnreadableError(f"more than {MAX_NODES:,} values, aliases counted", line)
        if len(path) > MAX_DEPTH:
            raise _UnreadableError(f"nested more than {MAX_DEPTH} levels deep", line)
        self.document.lines.setdefault(path, line)
        if isinstance(node, MappingNode):
            return self.read_mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.read_scalar(node, path)

    def read_mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.fault(line, path, spec_unreadable("a key must be plain text"))
                continue
            key = str(key_node.value)
            below = (*path, key)
            if key in data:
                first = self.document.lines[below]
                self.fault(line, below, key_twice(first), "keep one of them")
                continue
            self.document.lines[below] = line
            data[key] = self.read(value_node, below)
        return data

    def read_scalar(self, node: Node, path: Path) -> Any:
        try:
            return self.constructor.construct_object(node)
        except (YAMLError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError):
            unreadable = value_wrong("not a value that YAML can read")
            self.fault(node.start_mark.line + 1, path, unreadable, "put text in quotes")
            self.document.broken.add(path)
            return None

    def fault(self, line: int, path: Path, statement: Statement, hint: str = "") -> None:
        # Below `keys` a mistyped key may be the secret itself.
        named = path[:1] if path[:1] == ("keys",) else path
        self.document.faults.append(make_fault(statement, Where(self.document.file, line, dotted(named)), hint))
