import json
import subprocess
import sys

from lkhub.spec.model import Spec
from tests.cli.conftest import Run


def test_schema_is_one_json_document_on_stdout(run: Run) -> None:
    done = run("spec", "schema")
    assert (done.code, done.err) == (0, "")
    assert done.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(done.json["properties"]) == set(Spec.model_fields)


def test_schema_pipes_into_another_program() -> None:
    lkhub = subprocess.run([sys.executable, "-m", "lkhub", "spec", "schema"], capture_output=True, timeout=30)
    assert lkhub.returncode == 0
    assert json.loads(lkhub.stdout)["title"] == "Spec"
