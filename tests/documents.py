"""The documents as tests see them: pages, fenced blocks, sentences, headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
_FOLDERS = ("docs/**/*.md", "examples/*/README.md")
PAGES = [*(ROOT / name for name in TOP), *(page for folder in _FOLDERS for page in sorted(ROOT.glob(folder)))]


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, the language that it names, its text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        page = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page
        return f"{page}:{self.line}"


def parse(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def list_blocks(page: Path) -> Iterator[Block]:
    for token in parse(page):
        if token.type in ("fence", "code_block"):
            assert token.map
            yield Block(page, token.map[0] + 1, token.info.strip(), token.content)


def list_inline(page: Path) -> Iterator[Token]:
    """The inline parts of all sentences: text, code, links, images."""
    for token in parse(page):
        yield from token.children or ()


def list_anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    titles = [inline.content for opening, inline in pairwise(parse(page)) if is_heading(opening)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def read_section(page: Path, title: str) -> list[Token]:
    """The tokens between this heading and the next one."""
    tokens = parse(page)
    [start] = [i for i, token in enumerate(tokens[1:], 1) if is_heading(tokens[i - 1]) and token.content == title]
    after = tokens[start + 1 :]
    end = next((i for i, token in enumerate(after) if is_heading(token)), len(after))
    return after[:end]


def is_heading(token: Token) -> bool:
    return token.type == "heading_open"


BLOCKS = [block for page in PAGES for block in list_blocks(page)]
