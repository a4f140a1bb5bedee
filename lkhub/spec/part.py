"""The base of every part of a spec."""

from typing import Any

from pydantic import BaseModel, ConfigDict


def _without_null(schema: dict[str, Any]) -> None:  # the type that pydantic calls it with
    """Take null out of a part's schema: None is what was not given, and in a file an empty key is a fault."""
    for key in schema["properties"].values():
        choices = [choice for choice in key.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) < len(key.get("anyOf", ())):
            del key["anyOf"], key["default"]
            key |= choices[0] if len(choices) == 1 else {"anyOf": choices}


class Part(BaseModel):
    """Base of every part of the spec: unknown keys are faults, nothing can be changed after loading."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        json_schema_extra=_without_null,
    )
