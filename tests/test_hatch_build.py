"""The build hook: where an engine for another system may go, and where not."""

import re

import pytest

from hatch_build import ENGINE, PLATFORM_TAGS, ROOT, engine_path, machine, stamp_path


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
