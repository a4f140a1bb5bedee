"""The build hook: where an engine for another system is placed, and the module that is made for it."""

import re
from pathlib import Path

import pytest

import hatch_build
from hatch_build import ENGINE, PLATFORM_TAGS, ROOT, WEBRTC_EDITS, engine_path, machine, stamp_path


def test_engine_of_this_machine_is_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LKHUB_TARGET", raising=False)
    assert engine_path() == ROOT / ENGINE


@pytest.mark.parametrize("target", sorted(PLATFORM_TAGS.keys() - {machine()}))
def test_engine_of_another_system_never_replaces_it(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that fails in the middle would leave an engine here that this machine can't run."""
    monkeypatch.setenv("LKHUB_TARGET", target)
    assert not engine_path().is_relative_to(ROOT / "lkhub")
    assert not stamp_path("engine").is_relative_to(ROOT / "lkhub")


def test_a_release_has_every_system() -> None:
    targets = re.findall(r"\b(?:linux|darwin)/\w+", (ROOT / "scripts/release").read_text())
    assert sorted(targets) == sorted(PLATFORM_TAGS)


MODULE = {
    "go.mod": "module github.com/pion/webrtc/v4\n",
    "LICENSE": "MIT\n",
    "peerconnection.go": "if copied {\n\tengine.copy()\n" + WEBRTC_EDITS[0][1],
    "sdp.go": WEBRTC_EDITS[1][1] + WEBRTC_EDITS[2][1],
    "mediaengine.go": WEBRTC_EDITS[3][1] + WEBRTC_EDITS[4][1],
    "peerconnection_test.go": "package webrtc\n",
    "examples/main.go": "package main\n",
    "internal/mux/mux.go": "package mux\n",
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of pion/webrtc in Go's cache, read-only as there; the copy goes into a folder beside them."""
    folder = tmp_path / "cache"
    for name, text in MODULE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o444)
    monkeypatch.setattr(hatch_build, "WEBRTC_COPY", tmp_path / "build/pion-webrtc")
    monkeypatch.setattr(hatch_build, "_downloaded", lambda module, known_sum: folder)
    return folder


def copied() -> dict[str, str]:
    files = (path for path in hatch_build.WEBRTC_COPY.rglob("*") if path.is_file() and path.name != ".stamp")
    return {path.relative_to(hatch_build.WEBRTC_COPY).as_posix(): path.read_text() for path in files}


@pytest.mark.usefixtures("module")
def test_the_copy_of_webrtc_has_what_a_build_needs_and_the_changes() -> None:
    hatch_build.ensure_webrtc()
    made = copied()
    assert made.keys() == {*MODULE, "sped.go", "codecs.go"} - {"peerconnection_test.go", "examples/main.go"}
    assert made["peerconnection.go"].endswith(WEBRTC_EDITS[0][2])
    assert made["sdp.go"] == WEBRTC_EDITS[1][2] + WEBRTC_EDITS[2][2]
    assert made["mediaengine.go"] == WEBRTC_EDITS[3][2] + WEBRTC_EDITS[4][2]
    assert "EnableSped" in made["sped.go"]


def test_the_copy_of_webrtc_is_made_once_and_again_when_its_parts_change(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hatch_build.ensure_webrtc()
    ours = hatch_build.WEBRTC_COPY / "api.go"
    ours.write_text("a mark")
    hatch_build.ensure_webrtc()
    assert ours.exists(), "made anew although nothing has changed"
    added = tmp_path / "added"
    added.mkdir()
    (added / "other.go").write_text("package webrtc\n")
    monkeypatch.setattr(hatch_build, "WEBRTC_ADDED", added)
    hatch_build.ensure_webrtc()
    assert copied().keys() == {*MODULE, "other.go"} - {"peerconnection_test.go", "examples/main.go"}


def test_a_copy_of_webrtc_that_was_cut_short_is_made_anew(module: Path) -> None:
    edited = module / "peerconnection.go"
    edited.chmod(0o644)
    whole = edited.read_text()
    edited.write_text("package webrtc\n")
    with pytest.raises(SystemExit, match=r"peerconnection\.go has changed"):
        hatch_build.ensure_webrtc()
    edited.write_text(whole)
    hatch_build.ensure_webrtc()
    assert copied()["peerconnection.go"].endswith(WEBRTC_EDITS[0][2])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"Dir": "/tmp", "Sum": "h1:other="}', "its checksum is h1:other="),
        ('{"Error": "proxy.example: connection refused"}', "connection refused"),
        ("", "go mod download failed"),
    ],
)
def test_another_module_than_the_known_is_refused(
    answer: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "go"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(hatch_build, "WEBRTC_COPY", tmp_path / "build/pion-webrtc")
    with pytest.raises(SystemExit, match=said):
        hatch_build.ensure_webrtc()
    assert not hatch_build.WEBRTC_COPY.exists()
