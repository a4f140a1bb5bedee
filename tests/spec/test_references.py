from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel, Field

from lkhub.secret import FromEnv, FromFile, Reading, Secret, SecretSource, WholeFile
from lkhub.source.path import Path
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from lkhub.spec.part import Part
from lkhub.spec.references import Reference, list_references, list_variables, may_be_secret
from lkhub.spec.types import SecretValue

EVERY = """
keys: {source: {key: API, secret: {env: HUB_SECRET}}}
tls: {account: {key_id: kid-1, mac_key: {file: mac.key}}}
turn:
  external:
  - {url: "turn:a", secret: XYZ}
  - {url: "turn:b", username: u, credential: {env: CREDENTIAL}}
store: {url: "postgresql://a/b", password: {env: STORE}}
redis: {url: "redis://a", password: {env: REDIS}}
"""


def refer(text: str) -> tuple[Reference, ...]:
    loaded = load_spec(text.encode())
    assert loaded.faults == []
    return list_references(loaded.spec)


def find(text: str) -> dict[Path, SecretSource]:
    return {reference.path: reference.source for reference in refer(text)}


def test_every_secret_of_a_spec_is_found_at_its_place() -> None:
    assert find(EVERY) == {
        ("tls", "account", "mac_key"): FromFile("mac.key"),
        ("turn", "external", 0, "secret"): Secret("XYZ"),
        ("turn", "external", 1, "credential"): FromEnv("CREDENTIAL"),
        ("keys", "source", "secret"): FromEnv("HUB_SECRET"),
        ("store", "password"): FromEnv("STORE"),
        ("redis", "password"): FromEnv("REDIS"),
    }
    assert [reference.fault_path for reference in refer(EVERY)] == [
        ("tls", "account"),
        ("turn", "external", 0),
        ("turn", "external", 1),
        ("keys", "source"),
        ("store",),
        ("redis",),
    ]
    assert "XYZ" not in repr(refer(EVERY))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("managed", {}),
        ("{file: keys.yaml}", {"file": WholeFile("keys.yaml")}),
        ("{env: [K, S]}", {"key": FromEnv("K"), "secret": FromEnv("S")}),
        (f"{{key: API, secret: {'x' * 40}}}", {"secret": Secret("x" * 40)}),
    ],
)
def test_sources_of_keys_are_references_too(source: str, found: dict[str, SecretSource]) -> None:
    assert find(f"keys: {{source: {source}}}") == {("keys", "source", name): where for name, where in found.items()}


def test_variables_are_those_of_references_each_once() -> None:
    assert list_variables(refer(EVERY)) == ("CREDENTIAL", "HUB_SECRET", "STORE", "REDIS")
    assert list_variables(refer("keys: {source: {env: [K, K]}}")) == ("K",)
    assert list_variables(refer("")) == ()


def shout(text: str) -> Secret:
    return Secret(text.upper())


@dataclass(frozen=True)
class Inner:
    deep: Annotated[SecretSource, Reading(shout)]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    plain: SecretSource
    name: str = "x"


class Webhook(Part):
    url: str
    secret: SecretValue


class Everything(Part):
    """A secret in each of the forms that a model can give it."""

    one: SecretValue
    maybe: SecretValue | None = None
    none: SecretValue | None = None
    loud: Annotated[SecretValue, Reading(shout)] | None = None
    part: Webhook
    optional: Webhook | None = None
    parts: tuple[Webhook, ...] = Field(default=(), strict=False)
    many: tuple[SecretValue, ...] = Field(default=(), strict=False)
    named: dict[str, SecretValue] = Field(default_factory=dict)
    outer: Outer
    outers: tuple[Outer, ...] = ()


WEBHOOK = {"url": "u", "secret": {"env": "W"}}
OUTER = Outer(Inner(FromEnv("D")), FromEnv("P"))


def test_secret_is_found_in_whatever_form_the_model_has_it() -> None:
    model = Everything.model_validate(
        {
            "one": "XYZ",
            "maybe": {"file": "f"},
            "loud": {"env": "L"},
            "part": WEBHOOK,
            "optional": WEBHOOK,
            "parts": [WEBHOOK, WEBHOOK],
            "many": ["XYZ", {"file": "f"}],
            "named": {"A_KEY": {"env": "A"}},
            "outer": OUTER,
            "outers": (OUTER,),
        }
    )
    found = {reference.path: reference for reference in list_references(model)}
    assert list(found) == [
        *(("one",), ("maybe",), ("loud",), ("part", "secret"), ("optional", "secret")),
        *(("parts", 0, "secret"), ("parts", 1, "secret"), ("many", 0), ("many", 1), ("named", "A_KEY")),
        *(("outer", "deep"), ("outer", "plain"), ("outers", 0, "deep"), ("outers", 0, "plain")),
    ]
    in_dataclass = {path for path, reference in found.items() if reference.fault_path != path}
    assert in_dataclass == {path for path in found if str(path[0]).startswith("outer")}
    loud = {path for path, reference in found.items() if reference.reading.read("a") == Secret("A")}
    assert loud == {("loud",), ("outer", "deep"), ("outers", 0, "deep")}
    assert "XYZ" not in repr(model) + model.model_dump_json() + repr(found)


def list_secret_types(kind: Any) -> Iterator[str]:
    """Every field of a dataclass in a type, at any depth, that takes a secret: by types, where the walk goes by
    values."""
    names: dict[str, Any] = {}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for info in kind.model_fields.values():
            yield from list_secret_types(info.annotation)
    elif isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        names = {field.name: hints[field.name] for field in fields(kind)}
    for name, annotation in names.items():
        if may_be_secret(annotation):
            yield f"{kind.__name__}.{name}"
        yield from list_secret_types(annotation)
    for inner in get_args(kind):
        yield from list_secret_types(inner)


def test_spec_of_these_tests_has_every_secret_that_stands_in_a_form_of_its_own() -> None:
    """A new form belongs into EVERY. A key that is a SecretValue is found without being named here."""
    known = {
        "ExternalAccount.mac_key",
        "SharedSecret.secret",
        "Login.credential",
        "GivenKey.secret",
        "PostgresStore.password",
        "Redis.password",
    }
    assert set(list_secret_types(Spec)) == known
    assert len(find(EVERY)) == len(known)
