"""Every module, spec field and command has a description."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
import typer.main
from pydantic import BaseModel

import lkhub
from lkhub.cli.main import app, list_below
from lkhub.spec.model import Spec


def walk_fields(model: type[BaseModel] = Spec, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each key of the spec, dotted, with its docstring."""
    for key, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield prefix + key, inner.__doc__ or ""
            yield from walk_fields(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, info.description or ""


FIELDS = list(walk_fields())


@pytest.mark.parametrize(("key", "text"), FIELDS, ids=[key for key, _ in FIELDS])
def test_spec_field_has_a_docstring_that_is_a_sentence(key: str, text: str) -> None:
    assert text.strip(), f"{key} has no docstring"
    assert text.strip().endswith("."), f"{key}: {text!r}"


def test_schema_carries_the_docstrings_to_editors() -> None:
    schema = Spec.model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"]["description"].startswith("Name of the hub")
    for part in schema["$defs"].values():
        assert part["additionalProperties"] is False
        assert all("description" in inner for inner in part["properties"].values())


def list_modules() -> list[str]:
    run_by_import = {"lkhub.__main__", "lkhub.store.migrations.env"}
    return [name for _, name, _ in pkgutil.walk_packages(lkhub.__path__, "lkhub.") if name not in run_by_import]


@pytest.mark.parametrize("name", list_modules())
def test_module_says_what_it_is(name: str) -> None:
    assert (importlib.import_module(name).__doc__ or "").strip()


def list_commands() -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Name, help text, and the options with theirs, of every command."""
    group = typer.main.get_command(app)
    pending = [("lkhub", group)]
    while pending:
        name, command = pending.pop()
        pending += [(f"{name} {sub}", below) for sub, below in list_below(command).items()]
        options = [(param.name or "", getattr(param, "help", "") or "") for param in command.params]
        yield name, command.help or "", options


COMMANDS = list(list_commands())


def test_every_command_of_the_issue_is_there() -> None:
    names = {name.removeprefix("lkhub ") for name, _, _ in COMMANDS}
    wanted = {"init", "up", "down", "restart", "status", "logs", "verify", "token", "env", "render", "spec schema"}
    assert wanted <= names


@pytest.mark.parametrize(("name", "text", "options"), COMMANDS, ids=[name for name, _, _ in COMMANDS])
def test_command_and_its_options_have_help(name: str, text: str, options: list[tuple[str, str]]) -> None:
    assert text.strip(), name
    assert all(help_text for _, help_text in options), [option for option, help_text in options if not help_text]
