"""The text of a unit of systemd."""

Setting = tuple[str, object]
Sections = tuple[tuple[str, tuple[Setting, ...]], ...]


def write_unit(sections: Sections) -> str:
    """The unit with these sections, in their order."""
    text = "\n\n".join("\n".join((f"[{name}]", *map(_line, settings))) for name, settings in sections)
    return f"# Written by lkhub. `lkhub install` writes it anew.\n{text}\n"


def _line(setting: Setting) -> str:
    name, value = setting
    return f"{name}={value}"


def escape(text: str) -> str:
    """`%` begins a specifier in a unit (systemd.unit(5))."""
    return text.replace("%", "%%")


def quote(word: str) -> str:
    """A word of a command line in a unit (systemd.service(5))."""
    word = escape(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{word}"' if set(word) & set(" '\"\\;") else word
