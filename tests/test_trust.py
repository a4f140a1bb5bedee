import shlex

import pytest

from lkhub.trust import Guide, build_guides, file_name, show_fingerprint, split_fingerprint

SHA256 = "0123456789abcdef" * 4


def test_fingerprint_is_written_as_other_tools_write_it() -> None:
    assert show_fingerprint(SHA256).startswith("01:23:45:67:89:AB:CD:EF:01")
    assert len(show_fingerprint(SHA256).split(":")) == 32
    assert split_fingerprint(SHA256) == ("01:23:45:67:89:AB:CD:EF",) * 4
    assert ":".join(split_fingerprint(SHA256)) == show_fingerprint(SHA256)


def test_every_system_of_the_issue_has_a_guide() -> None:
    guides = {guide.key: guide for guide in build_guides("home")}
    assert {"linux", "macos", "windows", "ios", "android"} <= guides.keys()
    assert all(guide.title and guide.steps for guide in guides.values())
    assert [guide.key for guide in guides.values() if not guide.ordered] == ["linux", "programs"]


@pytest.mark.parametrize("guide", [guide for guide in build_guides("home") if guide.key != "windows"])
def test_commands_name_the_file_that_was_downloaded(guide: Guide) -> None:
    """No placeholder to replace by hand, and no character that a shell would misread."""
    for step in guide.steps:
        for command in step.commands:
            assert shlex.split(command)
            assert "<" not in command
            if ".crt" in command:
                assert file_name("home") in command


def test_every_guide_has_the_fingerprint_compared() -> None:
    for guide in build_guides("home"):
        if guide.key != "programs":
            words = " ".join([*(step.text for step in guide.steps)])
            assert "fingerprint" in words, guide.key
