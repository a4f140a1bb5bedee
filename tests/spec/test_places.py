import pathlib
import re
from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel

from lkhub.source.path import dotted
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from lkhub.spec.places import list_relative, make_absolute

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

EVERY = """
engine: ./livekit-server
keys: {source: {file: keys.yaml}}
tls: {mode: files, cert: cert.pem, key: ../key.pem, account: {key_id: kid-1, mac_key: {file: mac.key}}}
turn: {external: [{url: "turn:a", secret: {file: coturn.secret}}]}
store: {url: "postgresql://a/b", password: {file: store.secret}}
agents:
- {name: a, project: agent, env: {KEY: {file: agent.key}, OTHER: text}}
sites:
- {name: b, root: web/dist, project: web, port: 3001, build: make}
- {name: c, root: /srv/c, port: 3002}
livekit: {logging: {file: not-of-ours}}
"""

PLACES = {
    "engine": "./livekit-server",
    "keys.source.file": "keys.yaml",
    "tls.cert": "cert.pem",
    "tls.key": "../key.pem",
    "tls.account.mac_key.file": "mac.key",
    "turn.external[0].secret.file": "coturn.secret",
    "store.password.file": "store.secret",
    "agents[0].project": "agent",
    "agents[0].env.KEY.file": "agent.key",
    "sites[0].root": "web/dist",
    "sites[0].project": "web",
}


def read(text: str) -> dict[str, str]:
    return {dotted(place): path for place, path in list_relative(load_spec(text.encode())).items()}


def test_every_relative_path_is_found_and_made_absolute() -> None:
    assert read(EVERY) == PLACES
    text, absolute = make_absolute(EVERY, "/srv/hub")
    assert {dotted(place) for place in absolute} == PLACES.keys()
    assert "key: /srv/hub/../key.pem" in text
    assert "not-of-ours" in text
    assert read(text) == {}
    assert make_absolute(text, "/elsewhere") == (text, {})


def list_keys(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """The keys of the spec with their documentation."""
    for name, info in model.model_fields.items():
        yield above + name, info.description or ""
        for part in (info.annotation, *get_args(info.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from list_keys(part, f"{above}{name}.")


def test_key_whose_path_starts_from_the_specs_folder_is_among_them() -> None:
    known = {re.sub(r"\[\d+\]", "", place) for place in PLACES}
    documented = {key for key, text in list_keys(Spec) if re.search(r"relative (path|one)", " ".join(text.split()))}
    assert documented >= {"engine", "tls.cert", "sites.root", "agents.project"}
    assert documented <= known


@pytest.mark.parametrize("spec", sorted(EXAMPLES.glob("*/*.yaml")), ids=str)
def test_spec_of_an_example_can_be_installed(spec: pathlib.Path) -> None:
    text, _ = make_absolute(spec.read_text(), "/srv/example")
    assert read(text) == {}


@pytest.mark.parametrize("text", ["", "a: [", "\ufeffagents: []\n"])
def test_spec_without_paths_stays(text: str) -> None:
    assert make_absolute(text, "/srv") == (text.removeprefix("\ufeff"), {})
