"""Values that something else fills in before a program reads the file, or that a person has to."""

import re

# Go's and Jinja's templates, ERB; the shell, compose and envsubst; sed's and Ansible's marks.
_TEMPLATE = re.compile(
    r"\{\{.*?\}\}|<%.*?%>|\$\{[^}]*\}|\$[A-Za-z_]\w*|(?<!\w)(?:__|@@?)[A-Z][A-Z0-9_]*?(?:__|@@?)(?!\w)"
)

# What people write for "put yours here". A name of its own alone, as in `secret`, is a value.
_TO_FILL = re.compile(
    r"(?i)\b(?:change|replace)[-_ ]?(?:me|this)|\byour[-_ ]\w|<[a-z][\w .-]*>|\bx{4,}\b|\.\.\.|…|\bplaceholder\b"
    r"|\b(?:todo|fixme|tbd)\b"
)


def is_template(text: str) -> bool:
    """Whether something fills in a part of this text before a program reads it."""
    return _TEMPLATE.search(text) is not None


def is_placeholder(text: str) -> bool:
    """Whether this value is none yet: a template, or words for a person."""
    return is_template(text) or _TO_FILL.search(text) is not None
