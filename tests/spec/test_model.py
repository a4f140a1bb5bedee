import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from lkhub.spec.model import Keys, Media, Spec, Turn
from lkhub.spec.ports import PortRange


def test_defaults_are_a_hub_for_this_machine() -> None:
    spec = Spec()
    assert (spec.version, spec.name, spec.reach) == (1, "hub", "local")
    assert (spec.media.advertise, spec.media.udp, spec.media.tcp) == ("auto", (PortRange(7882, 7882),), None)
    assert (spec.media.signal, spec.web, spec.media.interfaces) == (7880, 8080, ())
    assert (spec.turn.enabled, spec.turn.udp, spec.turn.relay) == (True, 3478, PortRange(30000, 39999))
    assert (spec.stun, spec.keys.source, spec.engine, spec.livekit) == ("own", "managed", "bundled", {})


PARTS: list[type[BaseModel]] = [Spec, Media, Turn, Keys]


@pytest.mark.parametrize("part", PARTS)
def test_unknown_key_is_refused_in_every_part(part: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        part.model_validate({"surely-no-key": 1})


@pytest.mark.parametrize("part", PARTS)
def test_nothing_can_be_changed_after_loading(part: type[BaseModel]) -> None:
    loaded = part()
    field = next(iter(part.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(loaded, field, getattr(loaded, field))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("version", 2), ("version", "1"), ("version", True), ("version", 1.0)),
        *(("name", ""), ("name", "-a"), ("name", "a-"), ("name", "a_b"), ("name", "a" * 64), ("name", "a\n")),
        *(("reach", "LAN"), ("engine", None), ("turn", {"enabled": 1}), ("media", {"interfaces": [None]})),
        *(("livekit", None), ("livekit", [])),
    ],
    ids=str,
)
def test_wrong_value_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Spec.model_validate({key: value})


@pytest.mark.parametrize("name", ["a", "hub-1", "0", "a" * 63])
def test_name_may_be_a_host_label(name: str) -> None:
    assert Spec(name=name).name == name


def test_spec_shows_and_dumps_no_secret() -> None:
    spec = Spec.model_validate({"keys": {"source": {"key": "API", "secret": "XYZ" * 15}}})
    for shown in (repr(spec), str(spec), spec.model_dump_json(), str(spec.model_dump(mode="json"))):
        assert "XYZ" not in shown


def test_refusal_shows_no_secret() -> None:
    for value in ({"source": ["XYZ" * 15]}, {"XYZ" * 15: "XYZ" * 15}):
        with pytest.raises(ValidationError) as refused:
            Spec.model_validate({"keys": value})
        assert "XYZ" * 15 not in str(refused.value).replace(f"keys.{'XYZ' * 15}", "")


def test_schema_accepts_what_the_loader_accepts_in_kind() -> None:
    """Editors complete by the schema: the forms of the reference must be in it."""
    schema = Spec.model_json_schema()
    media = schema["$defs"]["Media"]["properties"]
    assert media["udp"]["default"] == 7882
    assert {"type": "string", "pattern": r"^\d+-\d+$"} in media["udp"]["anyOf"]
    assert {"const": "off"} in media["tcp"]["anyOf"]
    assert "default" not in media["tcp"], "it depends on reach"
    assert schema["properties"]["version"]["const"] == 1
    assert {"enum": ["managed", "dev"]} in schema["$defs"]["Keys"]["properties"]["source"]["anyOf"]


def test_schema_refuses_null_as_the_loader_does() -> None:
    assert '"null"' not in json.dumps(Spec.model_json_schema())
