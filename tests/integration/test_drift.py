"""Edits of rendered files: never in force by chance, and never lost."""

from pathlib import Path
from typing import Any

from tests.kit.hub import Hub
from tests.waiting import wait_until


def find_drift(hub: Hub) -> list[dict[str, Any]]:
    return [finding for finding in hub.status()["findings"] if finding["code"] == "drift"]


def edit(path: Path, text: str) -> str:
    edited = path.read_text() + text
    path.write_text(edited)
    return edited


def test_edit_while_the_hub_is_down_is_kept_and_shown_by_up(hub: Hub) -> None:
    hub.up("--no-verify")
    hub.run("down", "--now")
    livekit = hub.state / "rendered/livekit.yaml"
    before = livekit.read_text()
    edited = edit(livekit, f"signal_relay:\n  retry_timeout: 9s\nkeys:\n  APIx: {'SECRET' * 6}\n")
    done = hub.run("up", "--detach", "--no-verify")
    assert done.returncode == 0, done.stderr
    assert livekit.read_text() == before
    kept = livekit.with_name("livekit.yaml.edited")
    assert kept.read_text() == edited
    assert kept.stat().st_mode & 0o777 == 0o600
    assert f"the edit is kept as {kept}" in done.stderr
    assert "+  retry_timeout: 9s" in done.stderr
    assert "SECRETSECRET" not in done.stderr
    assert "was edited" in hub.log("hub")
    (finding,) = find_drift(hub)
    assert (finding["subject"], finding["severity"]) == ("livekit.yaml.edited", "warning")
    # It ends with the copy, and neither another spec nor another edit takes that.
    hub.spec.write_text(hub.spec.read_text() + "name: other\n")
    assert hub.run("up", "--detach", "--no-verify").returncode == 0
    assert kept.read_text() == edited
    kept.unlink()
    assert find_drift(hub) == []


def test_edit_while_the_hub_runs_is_kept_too(running: Hub) -> None:
    serve = running.state / "rendered/serve.json"
    before = serve.read_text()
    first = edit(serve, "\n\n")
    wait_until(lambda: serve.read_text() == before, "the file as the spec says")
    second = edit(serve, "\n")
    wait_until(lambda: len(find_drift(running)) == 2, "both edits")
    assert serve.read_text() == before
    assert serve.with_name("serve.json.edited").read_text() == first
    assert serve.with_name("serve.json.edited-2").read_text() == second


def test_change_of_the_spec_and_damage_are_no_edits(running: Hub) -> None:
    rendered = running.state / "rendered"
    running.run("down", "--now")
    (rendered / "livekit.yaml").write_text("")
    (rendered / "serve.json").unlink()
    running.spec.write_text(running.spec.read_text() + "name: other\nlivekit: {room: {max_participants: 3}}\n")
    running.up("--no-verify")
    assert find_drift(running) == []
    assert not list(rendered.glob("*.edited*"))
