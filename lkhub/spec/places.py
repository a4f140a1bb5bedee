"""The files and folders that a spec names, and the same spec for another folder. Pure."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from lkhub.secret import FromFile
from lkhub.source.path import Path
from lkhub.source.yaml_edit import replace_values
from lkhub.spec.load import LoadedSpec, load_spec
from lkhub.spec.model import Spec
from lkhub.spec.references import list_references


def list_relative(loaded: LoadedSpec) -> dict[Path, str]:
    """The relative paths in a spec, by the places at which its text has them."""
    named = _list_named(loaded.spec, loaded.document.lines)
    return {place: path for place, path in named if path and not path.startswith("/")}


def _list_named(spec: Spec, written: Mapping[Path, int]) -> Iterator[tuple[Path, str | None]]:
    yield ("tls", "cert"), spec.tls.cert
    yield ("tls", "key"), spec.tls.key
    yield ("engine",), None if spec.engine == "bundled" else spec.engine
    for index, site in enumerate(spec.sites):
        yield ("sites", index, "root"), site.root
        yield ("sites", index, "project"), site.project
    for index, agent in enumerate(spec.agents):
        yield ("agents", index, "project"), agent.project
    for reference in list_references(spec):
        if isinstance(reference.source, FromFile):
            # A file of keys is `{file: PATH}` itself.
            below = (*reference.path, "file")
            yield below if below in written else reference.path, reference.source.path


def make_absolute(text: str, folder: str) -> tuple[str, dict[Path, str]]:
    """The text of a spec in this folder with absolute paths in place of relative ones, and these by their places.
    Where a path can't be replaced in the text, the text still has it."""
    text = text.removeprefix("\ufeff")
    loaded = load_spec(text.encode())
    values = {place: str(PurePosixPath(folder, path)) for place, path in list_relative(loaded).items()}
    return (replace_values(text, values), values) if values else (text, {})
