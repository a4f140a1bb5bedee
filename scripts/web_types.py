"""Writes web/src/hub/contract.ts, the types of the JSON API, from the models in lkhub/service.

Run by scripts/web-types; `--check` writes nothing and exits 1 where the file is stale. pydantic makes a JSON schema of
the models, and json-schema-to-typescript makes types of that. The file names the digest of its schema, so that a change
of a model is seen without Node.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lkhub.service.contract import ENDPOINTS
from lkhub.service.models import ErrorAnswer
from lkhub.service.openapi import Untitled

ROOT = Path(__file__).parent.parent
TYPES = "web/src/hub/contract.ts"
TOOL = ROOT / "web/node_modules/.bin/json2ts"

HEAD = """\
// Written by scripts/web-types from lkhub/service/models.py and contract.py. Change them, then run scripts/web-types.
// Schema: {digest}
"""

# What is not said here follows from Prettier's defaults. The style is that of the other files in web/src.
STYLE = ("--style.singleQuote", "--style.printWidth=120", "--style.trailingComma=all")


def build_schema() -> dict[str, Any]:
    """The JSON schema of one object, with a key for each address (`GET /api/hub`)."""
    models: dict[type, None] = {}
    for endpoint in ENDPOINTS:
        models |= dict.fromkeys(model for model in (endpoint.takes, endpoint.answers) if model)
    models[ErrorAnswer] = None
    # As what is read: a field with a default may be missing, in a request and in an answer.
    references, definitions = TypeAdapter.json_schemas(
        [(model, "validation", TypeAdapter(model)) for model in models],
        # A title of a field would become a type of its own in TypeScript.
        schema_generator=Untitled,
        ref_template="#/$defs/{model}",
    )
    addresses = {}
    for endpoint in ENDPOINTS:
        parts = {"request": endpoint.takes, "answer": endpoint.answers, "error": ErrorAnswer}
        addresses[f"{endpoint.method} {endpoint.path}"] = close(
            {part: references[model, "validation"] for part, model in parts.items() if model}
        )
    return {
        **close(addresses),
        "title": "Contract",
        "description": "What each address of the API takes, and what it answers with.",
        **definitions,
    }


def close(properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object that has these keys, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def build_head(schema: dict[str, Any]) -> str:
    """The comment at the start of the file."""
    text = json.dumps(schema, sort_keys=True)
    return HEAD.format(digest=hashlib.sha256(text.encode()).hexdigest()[:16])


def build_types(schema: dict[str, Any]) -> str:
    """The whole file. Needs Node and the packages of web/."""
    command = [str(TOOL), "--bannerComment", build_head(schema).rstrip(), *STYLE]
    made = subprocess.run(command, input=json.dumps(schema), capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit(f"json-schema-to-typescript failed: {made.stderr.strip()}")
    return made.stdout


def main(arguments: list[str]) -> int:
    """Write the types, or say that they are stale; the exit code."""
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    schema = build_schema()
    file = ROOT / TYPES
    text = file.read_text() if file.exists() else ""
    # The digest first: it needs no Node. The whole text shows what was changed by hand, or by another version.
    if text.startswith(build_head(schema)) and text == build_types(schema):
        return 0
    if arguments:
        print(f"{TYPES} is stale: run scripts/web-types", file=sys.stderr)
        return 1
    file.write_text(build_types(schema))
    print(f"wrote {TYPES}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
