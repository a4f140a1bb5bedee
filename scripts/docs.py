"""Writes docs/reference and docs/findings.md from the code: every key of the spec, every command, every address of the
API, every finding.

Run by scripts/docs; `--check` writes nothing and exits 1 where a page is stale. The texts come from the code:
docstrings of fields and of findings, help texts of commands. This script adds only the text around them.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, get_args, get_origin

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lkhub.cli.main import app, list_below
from lkhub.errors import EXIT_BUG, EXIT_OK, InputError, MachineError, UnwellError
from lkhub.findings.catalogue.all import CODES
from lkhub.plan.build import build_plan
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan
from lkhub.plan.network import Interface, NetworkFacts
from lkhub.service.openapi import Document, build_document
from lkhub.source.path import dotted
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from lkhub.spec.ports import PortRange
from lkhub.spec.raw import OWNED_LIVEKIT_KEYS
from lkhub.wire.application import Access, Application, Oidc
from lkhub.wire.serve_config import ServeConfig

ROOT = Path(__file__).parent.parent

# A help text of this width fits into a code block on GitHub, and into a terminal.
HELP_WIDTH = 100

REACHES: tuple[str, ...] = get_args(Spec.model_fields["reach"].annotation)

# What a pattern or a format of the schema means to a person.
PATTERNS = {
    r"^\d+-\d+$": "a range such as `50000-60000`",
    r"^\d{1,6}[smhd]$": "a duration such as `30s` or `10m`",
    r"^([1-9]\d{0,8}/(second|minute|hour)|off)$": "a rate such as `20/second`, or `off`",
    "^https?://": "a URL of http or https",
    "^postgres(ql)?://": "a URL of PostgreSQL",
}
FORMATS = {"ip": "an IP address", "hostname": "a DNS name", "email": "an e-mail address", "uri": "a URL"}

# Defaults that the plan decides, by reach. A key without a default here or in the model has none, and its line is left
# out.
PLANNED: dict[tuple[str, ...], Callable[[Plan], Any]] = {
    ("tls", "mode"): lambda plan: plan.edge and plan.edge.tls.mode,
    ("tls", "listen"): lambda plan: plan.edge and plan.edge.port,
    ("tls", "http"): lambda plan: plan.edge and plan.edge.http,
    ("media", "tcp"): lambda plan: plan.media.tcp,
    ("access", "modes"): lambda plan: plan.serve.application.access.modes,
}

SPEC_HEAD = """\
<!-- Written by scripts/docs from lkhub/spec/model.py. Change the docstrings there, then run scripts/docs. -->
# hub.yaml

`lkhub up` reads `hub.yaml` in the working directory, or the file that `--spec FILE` names. Without one, every key
has its default: a hub for this machine only. `lkhub init` writes a `hub.yaml` in which all of this stands as
comments.

- The file is one YAML 1.2 mapping. Unknown keys, wrong types and two things on one port are faults at every level;
  all faults are reported at once, with file and line, and nothing is changed.
- Relative paths start from the folder of the file.
- `lkhub spec schema` prints the JSON Schema, with which an editor completes and checks the file.
"""

COMMANDS_HEAD = """\
<!-- Written by scripts/docs from the help texts in lkhub/cli. Change them there, then run scripts/docs. -->
# Commands

Data goes to stdout, everything else to stderr: what a command prints can be piped. `--json` prints one JSON
document ([its shapes](json.md)). The state directory is `--state`, else `$LKHUB_STATE`, else the system's place
for it (`/var/lib/lkhub` for root, `~/.local/state/lkhub` on Linux for others). Keys, files and logs are in there,
and nothing is written outside it but by `init`, `render` and `env --write`, whose purpose that is. `firewall apply`
changes the machine's firewall, or with `--router` the router's.
"""

FINDINGS_HEAD = """\
<!-- Written by scripts/docs from lkhub/findings/catalogue. Change the docstrings there, then run scripts/docs. -->
# Findings

What lkhub says is wrong, by code. With `--json` a finding has [these fields](reference/json.md#a-finding). One of
severity *error* makes `status` exit 1.

Where this page says `lkhub up` and the hub is a [service](guides/service.md), the command is `lkhub install`. The
finding itself names the right one.

A finding that another explains is one line below its cause, `so: …`. JSON has all of them, with the codes of the causes
in `depends_on`. A cause explains only what was seen to come from it: a process that is down explains a refused
connection, and not a certificate that has expired.
"""


def main(arguments: list[str]) -> int:
    """Write the stale pages, or name them; the exit code."""
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    stale = [name for name, text in build_pages().items() if read(name) != text]
    for name in stale:
        if arguments:
            print(f"{name} is stale: run scripts/docs", file=sys.stderr)
        else:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(build_pages()[name])
            print(f"wrote {name}", file=sys.stderr)
    return 1 if stale and arguments else 0


def build_pages() -> dict[str, str]:
    """The text of every generated page, by its path in the repository."""
    return {
        "docs/reference/spec.md": build_spec_page(),
        "docs/reference/commands.md": build_commands_page(),
        "docs/reference/openapi.json": json.dumps(build_whole_document(), indent=2) + "\n",
        "docs/findings.md": build_findings_page(),
    }


def read(name: str) -> str | None:
    path = ROOT / name
    return path.read_text() if path.exists() else None


# --- the spec


def build_spec_page() -> str:
    """Every key: what it takes, its default by reach, what it means."""
    plans = {reach: plan_hub(reach) for reach in REACHES}
    rows = ["| key | default |", "|---|---|"]
    sections = []
    for path, info, schema in walk_keys(Spec):
        key, words = ".".join(path), " ".join((info.description or "").split())
        heading = f"{'#' * (len(path) + 1)} {key}\n"
        if schema is None:  # a part, whose keys follow
            sections += [heading, f"{words}\n"]
            continue
        default = "none; it has to be given" if info.is_required() else describe_default(path, info, plans)
        rows.append(f"| [`{key}`](#{re.sub(r'[^a-z0-9_-]', '', key.lower())}) | {default} |")
        sections += [heading, f"{words}\n", f"Takes {describe_type(schema)}. Default: {default}.\n"]
    owned = "".join(f"| `{dotted(path)}` | `{instead}` |\n" for path, instead in OWNED_LIVEKIT_KEYS.items())
    sections.append(
        "These keys of livekit.yaml follow from the spec and are refused here:\n\n"
        f"| livekit.yaml | set instead |\n|---|---|\n{owned}"
    )
    return "\n".join([SPEC_HEAD, *rows, "", *sections])


def walk_keys(
    model: type[BaseModel], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo, Mapping[str, Any] | None]]:
    """Each key below `model`: its path, its field, its JSON schema; the schema is None for a part that contains other
    keys."""
    schemas = model.model_json_schema()["properties"]
    for key, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield (*prefix, key), FieldInfo(description=inner.__doc__), None
            yield from walk_keys(inner, (*prefix, key))
        else:
            yield (*prefix, key), info, schemas[key]
            for step, part in find_parts(inner):
                yield from walk_keys(part, (*prefix, key + step))


def find_parts(annotation: Any, step: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The parts that this type contains, with the step that leads to them: `[]` into a list, `.NAME` into a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield step, annotation
    inside = {tuple: "[]", dict: ".NAME"}.get(get_origin(annotation), "")
    for inner in get_args(annotation):
        yield from find_parts(inner, step + inside)


def plan_hub(reach: str) -> Plan:
    """The defaults on a machine with one network, or on one with a public address for `reach: public`."""
    address = "1.2.3.4" if reach == "public" else "192.168.1.5"
    network = NetworkFacts(
        interfaces=(
            Interface("lo", "loopback", (ip_address("127.0.0.1"),)),
            Interface("eth0", "lan", (ip_address(address),)),
        ),
        default_routes=("eth0",),
    )
    installation = Installation("lkhub-engine", "python3", "/var/lib/lkhub", "/etc/lkhub", "lkhub")
    domain = "domain: rtc.example.com\n" if reach == "public" else ""
    loaded = load_spec(f"reach: {reach}\n{domain}".encode())
    plan = build_plan(loaded, network, installation)
    loaded.require_sound()
    assert plan is not None
    return plan


def describe_default(path: tuple[str, ...], info: FieldInfo, plans: Mapping[str, Plan]) -> str:
    """The default; one for each reach where the plan decides it."""
    default = info.get_default(call_default_factory=True)
    if default is not None:
        return f"`{show(default)}`"
    if path not in PLANNED:
        return "none"
    decided: dict[str, list[str]] = {}
    for reach, plan in plans.items():
        value = PLANNED[path](plan)
        decided.setdefault("off" if value is None else show(value), []).append(f"`{reach}`")
    return ", ".join(f"`{value}` for {' and '.join(reaches)}" for value, reaches in decided.items())


def show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value == "":
        return '""'
    if value in ((), {}):
        return "[]" if value == () else "{}"
    if isinstance(value, tuple) and not isinstance(value, PortRange):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def describe_type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    match schema:
        case {"anyOf": choices}:
            return join([words for choice in choices if choice != {"type": "null"} for words in list_choices(choice)])
        case {"$ref": _}:
            return "a mapping of the keys below"
        case {"type": "object", "additionalProperties": {"$ref": _}}:
            return "a mapping of names, each with the keys below"
        case {"type": "array", "items": {"$ref": _}}:
            return "a list of mappings with the keys below"
        case {"const": value}:
            return f"`{value}`"
        case {"enum": _}:
            return join(list_choices(schema))
        case {"type": "integer", "maximum": 65535}:
            return "a port"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"a number from {least} to {most}"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "string", "format": form}:
            return FORMATS[form]
        case {"type": "string", "pattern": pattern}:
            return PATTERNS.get(pattern, f"text that fits `{pattern}`")
        case {"type": "string"}:
            return "text"
        case {"type": "array", "items": item, **rest}:
            count = f" of {rest['minItems']} or {rest['maxItems']}" if "maxItems" in rest else ""
            return f"a list{count} ({describe_type(item)} each)"
        case {"type": "object", "required": keys}:
            return "a mapping of " + " and ".join(f"`{key}`" for key in keys)
        case {"type": "object"}:
            return "a mapping"
    raise AssertionError(f"no words for {schema}")


def list_choices(schema: Mapping[str, Any]) -> list[str]:
    """Its values if it lists them, otherwise the type that it accepts."""
    return [f"`{value}`" for value in schema["enum"]] if "enum" in schema else [describe_type(schema)]


def join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


# --- the API


def build_whole_document() -> Document:
    """The document of a hub that serves every address."""
    oidc = Oidc("https://id.example.com", "lkhub", "", "lkhub", "roles")
    access = Access(modes=("open", "api-keys", "oidc"), oidc=oidc)
    return build_document(
        ServeConfig(
            name="hub",
            reach="public",
            bind=("127.0.0.1",),
            port=8080,
            hosts=(),
            open_tokens=False,
            livekit_url="wss://rtc.example.com",
            media_url="http://127.0.0.1:7880",
            keys="",
            authorities=("rtc.example.com",),
            ca="",
            application=Application(used=True, access=access),
        )
    )


# --- the findings


def build_findings_page() -> str:
    """A section for every code of the catalogue."""
    return "\n".join([FINDINGS_HEAD, *(f"## {code.name}\n\n{code.docs}\n" for code in CODES.values())])


# --- the commands


def build_commands_page() -> str:
    """Every command's help, as a terminal without colour shows it."""
    codes = {
        EXIT_OK: "Done, and what was asked about is well.",
        **{error.exit_code: error.__doc__ or "" for error in (UnwellError, InputError, MachineError)},
        EXIT_BUG: "A bug in lkhub.",
    }
    table = "".join(f"| {code} | {text} |\n" for code, text in codes.items())
    parts = [COMMANDS_HEAD, f"| exit code | meaning |\n|---|---|\n{table}"]
    parts += [f"## {name}\n\n```text\n{text}\n```\n" for name, text in walk_helps(typer.main.get_command(app), "lkhub")]
    return "\n".join(parts)


def walk_helps(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    """Name and help of a command and of those below it. (typer gives its click classes no public name.)"""
    settings = {**command.context_settings, "terminal_width": HELP_WIDTH, "max_content_width": HELP_WIDTH}
    context = command.context_class(command, info_name=name.rpartition(" ")[2], parent=parent, **settings)
    yield name, command.get_help(context).rstrip()
    for word, below in list_below(command).items():
        if not below.hidden:
            yield from walk_helps(below, f"{name} {word}", context)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
