"""Edits of .env files: what is edited, and that all else stays, byte by byte."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from dotenv.parser import parse_stream
from hypothesis import given
from hypothesis import strategies as st

from lkhub.env_files.dotenv import edit_dotenv, read_variable
from lkhub.env_files.edit_error import EditError
from lkhub.env_files.quoting import quote

URL = {"LIVEKIT_URL": "wss://rtc.example.com"}
VALUES = {**URL, "LIVEKIT_API_KEY": "APInew", "LIVEKIT_API_SECRET": "new" * 14}
ADDED = "".join(f"{name}={value}\n" for name, value in VALUES.items())

# A .env file as haven's documentation has it, and what real ones also have.
REAL = """\
# Haven
DATABASE_URL="postgres://haven:p#ss@localhost/haven?x=1"   # local

export LIVEKIT_URL = "wss://haven-ssrnfsnd.livekit.cloud"  # the cloud
  LIVEKIT_API_KEY='APIJ5hZxhSUBhzy'
#LIVEKIT_API_SECRET=commented
LIVEKIT_API_SECRET=old secret # never commit
LIVEKIT_API_SECRET_OLD=other
PEM="-----BEGIN
LIVEKIT_URL=inside
-----END"
LIVEKIT_URL=first wins somewhere
LAST=1"""

EDITED = """\
# Haven
DATABASE_URL="postgres://haven:p#ss@localhost/haven?x=1"   # local

export LIVEKIT_URL = "wss://rtc.example.com"  # the cloud
  LIVEKIT_API_KEY='APInew'
#LIVEKIT_API_SECRET=commented
LIVEKIT_API_SECRET=newnewnewnewnewnewnewnewnewnewnewnewnewnew # never commit
LIVEKIT_API_SECRET_OLD=other
PEM="-----BEGIN
LIVEKIT_URL=inside
-----END"
LIVEKIT_URL=wss://rtc.example.com
LAST=1"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=ascii)
def test_a_real_file_keeps_everything_but_the_values(end: str) -> None:
    edited = edit_dotenv(REAL.replace("\n", end), VALUES)
    assert edited == EDITED.replace("\n", end)
    assert edit_dotenv(edited, VALUES) == edited


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "LIVEKIT_URL=wss://rtc.example.com\n"),
        ("A=1", "A=1\nLIVEKIT_URL=wss://rtc.example.com\n"),
        ("A=1\r\nB=2", "A=1\r\nB=2\r\nLIVEKIT_URL=wss://rtc.example.com\r\n"),
        ("export A=1\nexport B=2\n", "export A=1\nexport B=2\nexport LIVEKIT_URL=wss://rtc.example.com\n"),
        ("export A=1\nB=2\n", "export A=1\nB=2\nLIVEKIT_URL=wss://rtc.example.com\n"),
        ("LIVEKIT_URL=\n", "LIVEKIT_URL=wss://rtc.example.com\n"),
        ("LIVEKIT_URL=", "LIVEKIT_URL=wss://rtc.example.com"),
        ("LIVEKIT_URL=  # where?\n", "LIVEKIT_URL=wss://rtc.example.com  # where?\n"),
        ("LIVEKIT_URL=''\n", "LIVEKIT_URL='wss://rtc.example.com'\n"),
        ("LIVEKIT_URL=a#b \t\n", "LIVEKIT_URL=wss://rtc.example.com \t\n"),
        ("LIVEKIT_URL=$(cat url)\n", "LIVEKIT_URL=wss://rtc.example.com\n"),
        ('LIVEKIT_URL="a\nb" # two\n', 'LIVEKIT_URL="wss://rtc.example.com" # two\n'),
        ("'LIVEKIT_URL'=x\n", "'LIVEKIT_URL'=wss://rtc.example.com\n"),
        ("LIVEKIT_URL\n", "LIVEKIT_URL\nLIVEKIT_URL=wss://rtc.example.com\n"),
        ("export LIVEKIT_URL\n", "export LIVEKIT_URL\nLIVEKIT_URL=wss://rtc.example.com\n"),
        ("livekit_url=x\n", "livekit_url=x\nLIVEKIT_URL=wss://rtc.example.com\n"),
        ("X='it\\'s'\nno assignment at all\n", "X='it\\'s'\nno assignment at all\nLIVEKIT_URL=wss://rtc.example.com\n"),
        ("\n\n  # end\n", "\n\n  # end\nLIVEKIT_URL=wss://rtc.example.com\n"),
    ],
    ids=ascii,
)
def test_edit(before: str, after: str) -> None:
    assert edit_dotenv(before, URL) == after


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nLIVEKIT_URL: wss://a\n", 2),
        ("LIVEKIT_URL='wss://a\n", 1),
        ("LIVEKIT_URL='a' b\n", 1),
        ("# x\nexport LIVEKIT_URL=\"a\"'b'\n", 2),
        ('A="open\n\nLIVEKIT_URL=x\nB="y"\n', 3),
    ],
    ids=ascii,
)
def test_line_that_programs_read_differently_is_not_edited(text: str, line: int) -> None:
    with pytest.raises(EditError, match="LIVEKIT_URL") as refused:
        edit_dotenv(text, URL)
    assert refused.value.line == line


def test_quote_that_would_swallow_what_is_added_is_found() -> None:
    with pytest.raises(EditError, match="not closed") as refused:
        edit_dotenv("B=1\nA='open\n", {"X": "a b"})
    assert refused.value.line == 2


def test_message_repeats_no_value() -> None:
    for text in ("LIVEKIT_API_SECRET: 'JQZJQZ\n", "LIVEKIT_API_SECRET='JQZJQZ' JQZJQZ\n"):
        with pytest.raises(EditError) as refused:
            edit_dotenv(text, VALUES)
        assert "JQZ" not in str(refused.value)


def test_every_assignment_is_read() -> None:
    text = "A=1\nexport A = '2' # x\n#A=3\nA\nB=4\nA="
    assert read_variable(text, "A") == ("1", "2", "")
    assert read_variable(text, "C") == ()


OURS = tuple(VALUES)
ends = st.sampled_from(["\n", "\r\n"])
blank = st.sampled_from(["", " ", "\t", "  "])
other_names = st.sampled_from(["A", "DATABASE_URL", "LIVEKIT_URL_OLD", "X_LIVEKIT_URL", "_9", "ünïcode"])
plain = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters="#'\"\\"), max_size=12)
inner = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'\"\\\0"), max_size=20)


@st.composite
def assignments(draw: st.DrawFn, names: st.SearchStrategy[str]) -> tuple[str, str, str, str]:
    """A line, as what is before the value, the name, the quotes, and what is after the value."""
    quotes = draw(st.sampled_from(["", "'", '"']))
    value = draw(inner if quotes else plain.filter(lambda text: not text.startswith("=")))
    name = draw(names)
    before = draw(blank) + draw(st.sampled_from(["", "export ", "export\t"])) + name + draw(blank) + "="
    before += draw(blank) if quotes or value else ""
    after = draw(st.sampled_from(["", " # note", "\t# it's", " "]))
    return before, name, f"{quotes}{value}{quotes}", after


lines = st.one_of(
    assignments(st.sampled_from(OURS)),
    assignments(other_names),
    st.sampled_from(
        [("# comment LIVEKIT_URL=x", "", "", ""), ("", "", "", ""), ("  ", "", "", ""), ("NAME", "", "", "")]
    ),
)


@given(st.lists(lines, max_size=12), ends, st.booleans())
def test_every_byte_outside_the_values_stays(parts: list[tuple[str, str, str, str]], end: str, closed: bool) -> None:
    def join(edited: bool) -> str:
        text = []
        for before, name, value, after in parts:
            if edited and name in VALUES:
                quotes = value[:1] if value[:1] in ("'", '"') else ""
                value = f"{quotes}{VALUES[name]}{quotes}"
            text.append(f"{before}{value}{after}")
        return end.join(text) + (end if closed and text else "")

    text = join(edited=False)
    missing = [name for name in VALUES if name not in {part[1] for part in parts}]
    every = [part[0] for part in parts if "=" in part[0] and not part[0].startswith("#")]
    export = "export " if every and all(before.lstrip().startswith("export") for before in every) else ""
    kept = join(edited=True)
    line_end = end if end in text else "\n"
    if any("\n" in part[2] or "\r" in part[2] for part in parts):  # its line ends count too
        assert edit_dotenv(text, VALUES).startswith(kept)
        return
    begin = line_end if missing and kept and not kept.endswith(("\n", "\r")) else ""
    assert edit_dotenv(text, VALUES) == kept + begin + "".join(
        f"{export}{name}={VALUES[name]}{line_end}" for name in missing
    )


def list_others(text: str) -> list[tuple[str | None, str | None]]:
    found = parse_stream(io.StringIO(text, newline=""))
    return [(each.key, each.value) for each in found if each.key and each.key not in VALUES and not each.error]


pieces = st.sampled_from(
    ["LIVEKIT_URL", "LIVEKIT_API_KEY", "export ", "=", "'", '"', "\\", "#", " ", "\n", "\r\n", "\r", "A", "$", ":"]
)


@given(st.one_of(st.text(), st.lists(pieces, max_size=25).map("".join)))
def test_any_text_is_edited_without_loss_or_refused(text: str) -> None:
    try:
        edited = edit_dotenv(text, VALUES)
    except EditError:
        return
    assert list_others(edited)[: len(list_others(text))] == list_others(text)
    assert all(set(read_variable(edited, name)) == {value} for name, value in VALUES.items())
    assert edit_dotenv(edited, VALUES) == edited
    if not any(name in text for name in VALUES):
        assert edited.startswith(text)


@given(st.text(), st.sampled_from(["", "'", '"']))
def test_a_value_is_read_as_it_was_written_or_refused(value: str, quotes: str) -> None:
    try:
        line = f"A={quote('A', value, quotes)}\n"
    except EditError:
        return
    assert read_variable(line, "A") == (value,)


SAFE = [
    "x",
    "ws://[::1]:7880",
    "a=b",
    "a b",
    "#x",
    "a #b",
    'say "hi"',
    "cost 5$",
    "$1",
    "`id`",
    "ü ∀",
    "!x",
    "~/x",
    "*",
    "",
]


@pytest.mark.parametrize("quotes", ["", "'", '"'])
def test_sh_and_node_read_the_same(tmp_path: Path, quotes: str) -> None:
    file = tmp_path / ".env"
    file.write_text("".join(f"V{i}={quote('V', value, quotes)}\n" for i, value in enumerate(SAFE)))
    shown = "; ".join(f'printf "%s\\0" "$V{i}"' for i in range(len(SAFE)))
    read = subprocess.run(["/bin/sh", "-c", f". {file}; {shown}"], capture_output=True, text=True, check=True)
    assert read.stdout.split("\0")[:-1] == SAFE
    if node := shutil.which("node"):
        script = "console.log(JSON.stringify(process.env))"
        read = subprocess.run([node, f"--env-file={file}", "-e", script], capture_output=True, text=True, check=True)
        assert [json.loads(read.stdout)[f"V{i}"] for i in range(len(SAFE))] == SAFE


@pytest.mark.parametrize("value", ["it's", "a\\b", "a\nb", "${HOME}x", "a$HOME", "\x1b[2J", "a\0b"], ids=ascii)
def test_value_that_programs_read_differently_is_refused(value: str) -> None:
    with pytest.raises(EditError) as refused:
        quote("LIVEKIT_API_SECRET", value)
    assert str(refused.value).startswith("LIVEKIT_API_SECRET has a character")
    assert value not in str(refused.value)


@pytest.mark.parametrize("text", ['{"port": 8000}\n', "\n {\n  broken"], ids=ascii)
def test_json_is_no_env_file(text: str) -> None:
    with pytest.raises(EditError, match="server-config"):
        edit_dotenv(text, VALUES)


@pytest.mark.parametrize(
    "text",
    [
        "access:\n  modes: [api-keys]\nwebhooks:\n  - url: http://127.0.0.1:9000\n",
        "services:\n  app:\n    environment:\n      - LOG=debug\n",
        "# Haven\nIt reads its settings from a file.\n",
    ],
    ids=["hub.yaml", "docker-compose.yml", "README.md"],
)
def test_other_text_is_no_env_file(text: str) -> None:
    with pytest.raises(EditError, match="no line of it is NAME=VALUE"):
        edit_dotenv(text, VALUES)


def test_line_that_cannot_be_read_stays_beside_assignments() -> None:
    assert edit_dotenv("A=1\nnot an assignment\n", URL) == "A=1\nnot an assignment\nLIVEKIT_URL=wss://rtc.example.com\n"
