"""What a finding says is chosen by codes, never by words of a sentence: a sentence may be reworded, or be another's."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent / "lkhub"

# What the texts of results and errors are called. Lines of other programs' logs are another matter (log_lines.py).
TEXTS = {"detail", "err", "error", "message", "native_detail", "out", "problem", "said", "stderr", "stdout", "text"}

# What a variable with such a text is called. `text` is not among them: what reads a file calls the file so.
VARIABLES = TEXTS - {"text", "out"} | {"cause", "complaint", "failure", "reason", "refused", "trouble", "why"}

METHODS = {"startswith", "endswith", "find", "index", "count"}

ACCEPTED = {
    "host/firewall.py": "nft, ufw and firewall-cmd exit alike for all failures; the words choose `sudo`, no finding",
    "source/typed.py": "msgspec has one exception for all faults; the words choose the name of a key, no finding",
}


def find_words(source: str) -> list[int]:
    """The lines that look for words in a text of a result."""
    return sorted({node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.expr) and _looks(node)})


def _looks(node: ast.expr) -> bool:
    match node:
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[text]):
            return _is_text(text)
        case ast.Call(func=ast.Attribute(value=text, attr=attr), args=[_, *_]) if attr in METHODS:
            return _is_text(text)
        case ast.Call(func=ast.Attribute(attr="search" | "match" | "fullmatch"), args=[*_, text]):
            return _is_text(text)
    return False


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr=name):
            return name in TEXTS
        case ast.Name(id=name):
            return name in VARIABLES
        case ast.Call(func=ast.Name(id="str" | "repr" | "describe_error"), args=[ast.Name(id=name)]):
            return name in VARIABLES
        case ast.Call(func=ast.Attribute(value=text, attr="lower" | "strip" | "casefold")):
            return _is_text(text)
        case ast.Subscript(value=_, slice=ast.Constant(value=str() as name)):
            return name in TEXTS
    return False


def test_no_text_of_a_result_is_searched_for_words() -> None:
    lines = {str(path.relative_to(ROOT)): find_words(path.read_text()) for path in ROOT.rglob("*.py")}
    found = {name: numbers for name, numbers in lines.items() if numbers}
    assert found.keys() == ACCEPTED.keys(), found


def test_a_search_for_words_is_found() -> None:
    for line in (
        'complaint.message.startswith("api_key is")',
        '"read-only" in error.message',
        '"refused" not in result.detail.lower()',
        'answer["detail"].find("no such")',
        're.search("no such", failure.message)',
        '"read-only" in reason',
        '"alias" in problem',
        "name in problem",
        '"read-only" in str(error)',
        'problem.startswith("found")',
    ):
        assert find_words(line) == [1], line
    for line in ("reason in ('silent', 'refused')", 'result.reason == "silent"', '"a" in names', "x.message in before"):
        assert find_words(line) == [], line
