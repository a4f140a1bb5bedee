"""Which backups this lkhub puts in place, and which it refuses before it has written a file."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.errors import InputError
from lkhub.state.backup import FORMAT, MAX_BYTES, MAX_FILES, BackedUpFile, Manifest, dump_manifest, parse_manifest

OWN = "0.2.0"

PATHS = ("spec/hub.yaml", "spec/secrets/oidc", "state/managed-keys.yaml", "state/ca/root.key", "state/caddy/a/.b/c.key")

FILES = tuple(BackedUpFile(path, 1, "00") for path in PATHS)

MANIFEST = Manifest(FORMAT, "0.1.0", 1.5, "home", FILES, "hub.yaml", "/etc/lkhub/hub.yaml", True, ("the store",))


def refuse(manifest: Any) -> str:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    with pytest.raises(InputError) as raised:
        parse_manifest(text, OWN)
    return raised.value.message


def with_path(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(dump_manifest(MANIFEST))
    return document | {"files": [{"path": path, "size": 1, "sha256": "00"}], "spec": ""}


def test_manifest_is_read_as_it_was_written() -> None:
    assert parse_manifest(dump_manifest(MANIFEST), OWN) == MANIFEST
    assert parse_manifest(dump_manifest(MANIFEST), "0.1.0") == MANIFEST, "of this very version"
    assert MANIFEST.size == 5


def test_keys_of_a_later_version_are_ignored() -> None:
    document = json.loads(dump_manifest(MANIFEST)) | {"more": 1}
    assert parse_manifest(json.dumps(document), OWN) == MANIFEST


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"format": FORMAT + 1, "files": "another shape"}, "knows formats up to 1"),
        ({"lkhub": "0.10.0"}, "made by lkhub 0.10.0, which is newer"),
        ({"lkhub": "yesterday"}, "manifest is damaged"),
        ({"format": "1"}, "has no format"),
        ({"files": [{"path": "spec/hub.yaml"}]}, "manifest is damaged"),
        ({"spec": "other.yaml"}, "the spec is not in it"),
        ({"files": [{"path": "spec/hub.yaml", "size": -1, "sha256": ""}]}, "below zero"),
        ({"files": [{"path": "spec/hub.yaml", "size": MAX_BYTES + 1, "sha256": ""}]}, "are allowed"),
        ({"files": [{"path": "spec/hub.yaml", "size": 0, "sha256": ""}] * 2}, "is in it twice"),
        ({"files": [{"path": "spec/hub.yaml", "size": 0, "sha256": ""}] * (MAX_FILES + 1)}, "are allowed"),
    ],
    ids=str,
)
def test_manifest_that_does_not_fit_is_refused(changed: dict[str, Any], told: str) -> None:
    assert told in refuse(json.loads(dump_manifest(MANIFEST)) | changed)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "1", '{"format": true'], ids=repr)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    assert "no backup that can be restored" in refuse(text)


@pytest.mark.parametrize(
    "path",
    [
        *("", "state", "state/", "spec", "spec/", "/etc/passwd", "other/file", "state/../spec", "hub.yaml"),
        *("state/ca/../../x", "state/ca//x", "state/./ca", "state/ca", "state/run/lock", "state/logs/hub.log"),
        *("state/rendered/livekit.yaml", "state/keys.yaml/x", "state/managed-keys.yaml/x", "state/firewall.json"),
        *("spec/../x", "spec//x", "spec/.ssh/authorized_keys", "spec/a/.b", "spec/a\nb", "spec/a\0b", "state/ca/a\x1b"),
        *("spec/" + "x" * 2000, "state/ca/" + "x/" * 2000 + "x", "state/restore.json", "STATE/ca/root.key"),
    ],
)
def test_path_without_a_place_in_a_hub_is_refused(path: str) -> None:
    assert "has no place in a hub" in refuse(with_path(path))


@given(st.text(st.sampled_from("/.\0aA-\\ state/ca/spec"), max_size=40))
def test_no_path_leads_out_of_its_folder(path: str) -> None:
    try:
        manifest = parse_manifest(json.dumps(with_path(path)), OWN)
    except InputError:
        return
    parts = manifest.files[0].path.split("/")
    assert parts[0] in ("state", "spec")
    assert not {"", ".", ".."} & set(parts)


def test_names_that_a_file_system_may_take_for_one_are_refused() -> None:
    files = [{"path": f"spec/{name}", "size": 0, "sha256": ""} for name in ("hub.yaml", "Hub.yaml")]
    assert "twice" in refuse(json.loads(dump_manifest(MANIFEST)) | {"files": files})
