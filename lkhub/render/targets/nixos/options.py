"""The types of NixOS for the keys of a spec, from its JSON schema."""

from collections.abc import Iterator, Mapping
from typing import Any

from lkhub.render.targets.nixos.language import Expression, write_nix, write_text

Schema = Mapping[str, Any]  # JSON Schema: each of its keys has a type of its own
Place = tuple[str, ...]

EACH = "*"
"""In a Place: any item of a list, or of a mapping with free names."""


def write_options(schema: Schema) -> str:
    """The option set of a spec. A key that is not set is null, and is left out of hub.yaml."""
    return _write_properties(schema, schema["$defs"], "        ")


def list_secrets(schema: Schema) -> tuple[Place, ...]:
    """The places of all secrets in a spec."""
    return tuple(dict.fromkeys(_find_secrets(schema, schema["$defs"], ())))


def _find_secrets(node: Schema, known: Mapping[str, Schema], at: Place) -> Iterator[Place]:
    node = _resolve(node, known)
    if _is_secret(node):
        yield at
        return
    for each in node.get("anyOf", ()):
        # `{file: …}` and `{env: …}` as one of several forms: a file with keys is a secret, too.
        if set(each.get("properties", ())) in ({"file"}, {"env"}):
            yield at
        else:
            yield from _find_secrets(each, known, at)
    for name, each in node.get("properties", {}).items():
        yield from _find_secrets(each, known, (*at, name))
    for each in (*node.get("patternProperties", {}).values(), *([node["items"]] if "items" in node else [])):
        yield from _find_secrets(each, known, (*at, EACH))


def _is_secret(node: Schema) -> bool:
    """Whether it takes a secret: text, `{file: PATH}` or `{env: NAME}`."""
    forms = node.get("anyOf", ())
    names = [set(each.get("properties", ())) for each in forms]
    return {"file"} in names and {"env"} in names and any(each.get("type") == "string" for each in forms)


def _resolve(node: Schema, known: Mapping[str, Schema]) -> Schema:
    return {**known[node["$ref"].rsplit("/", 1)[1]], **node} if "$ref" in node else node


def _write_properties(node: Schema, known: Mapping[str, Schema], indent: str, *, loose: bool = False) -> str:
    """The options of an object. `loose`: it is several objects in one, none of whose keys is needed in each."""
    needed = () if loose else node.get("required", ())
    options: dict[str, object] = {}
    for name, each in node.get("properties", {}).items():
        each = _resolve(each, known)
        kind = _write_type(each, known, f"{indent}  ")
        option: dict[str, object] = {"type": Expression(kind if name in needed else f"types.nullOr ({kind})")}
        if name not in needed:
            option["default"] = None
        if said := each.get("description"):
            option["description"] = " ".join(said.split())
        options[name] = Expression(f"mkOption {write_nix(option, f'{indent}  ')}")
    return write_nix(options, indent)


def _write_type(node: Schema, known: Mapping[str, Schema], indent: str) -> str:
    node = _resolve(node, known)
    if _is_secret(node):
        return "secret"
    if "anyOf" in node:
        return _write_alternatives(node["anyOf"], known, indent)
    if "enum" in node or "const" in node:
        return f"types.enum {write_nix(list(node.get('enum', [node.get('const')])))}"
    match node.get("type"):
        case "boolean":
            return "types.bool"
        case "integer" if "minimum" in node and "maximum" in node:
            return f"types.ints.between {node['minimum']} {node['maximum']}"
        case "integer":
            return "types.int"
        case "string" if "pattern" in node:
            return f"types.strMatching {write_text(_write_pattern(node['pattern']))}"
        case "string":
            return "types.str"
        case "array":
            return f"types.listOf ({_write_type(node['items'], known, indent)})"
        case "object" if "properties" in node:
            return f"part {_write_properties(node, known, indent)}"
        case "object" if "patternProperties" in node:
            [inner] = node["patternProperties"].values()
            return f"types.attrsOf ({_write_type(inner, known, indent)})"
    return "types.attrsOf types.anything"


def _write_alternatives(forms: list[Schema], known: Mapping[str, Schema], indent: str) -> str:
    """One of several types. NixOS tells two objects apart by nothing, so they become one with the keys of both."""
    forms = [_resolve(form, known) for form in forms]
    objects = [form for form in forms if "properties" in form]
    kinds = [_write_type(form, known, indent) for form in forms if form not in objects]
    if objects:
        merged = {"properties": {name: each for form in objects for name, each in form["properties"].items()}}
        kinds.append(f"part {_write_properties(merged, known, indent, loose=True)}")
    return kinds[0] if len(kinds) == 1 else f"types.oneOf [ {' '.join(f'({kind})' for kind in kinds)} ]"


# What follows a URL's scheme: a password has no place in the store of Nix, which everybody may read.
_WITHOUT_LOGIN = "([^/?#:@]*@)?[^/?#@]*([/?#].*)?"


def _write_pattern(pattern: str) -> str:
    """A pattern that is searched for, as one of POSIX that matches the whole text."""
    start, end = ("" if pattern.startswith("^") else ".*"), ("" if pattern.endswith("$") else ".*")
    if pattern.endswith("://"):
        end = _WITHOUT_LOGIN
    return start + pattern.removeprefix("^").removesuffix("$").replace("\\d", "[0-9]") + end
