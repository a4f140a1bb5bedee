"""`lkhub spec`: about the format of hub.yaml."""

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.show_json import show_json
from lkhub.spec.model import Spec

app = make_app(help="About the format of hub.yaml.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """About the format of hub.yaml."""


@app.command()
def schema() -> None:
    """Print the JSON Schema of hub.yaml, with which an editor completes and checks it.

    In VS Code: put `# yaml-language-server: $schema=hub.schema.json` on the first line of hub.yaml, and
    run `lkhub spec schema > hub.schema.json` beside it.
    """
    show_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Spec.model_json_schema()})
