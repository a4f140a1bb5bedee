"""`lkhub check`: the files that are judged, and the exit code."""

from pathlib import Path

from tests.cli.conftest import Run

SOUND = "port: 7880\nrtc: {udp_port: 7882}\nkeys: {APIkey: 0123456789abcdef0123456789abcdef}\n"


def test_sound_files_are_well(run: Run) -> None:
    Path("livekit.yaml").write_text(SOUND)
    done = run("check", "livekit.yaml")
    assert (done.code, done.out, done.err) == (0, "livekit.yaml: livekit.yaml, ok\n", "")


def test_fault_is_told_with_its_place_and_what_to_write(run: Run) -> None:
    Path("deploy").mkdir()
    Path("deploy/livekit.yaml").write_text(SOUND)
    Path("deploy/broken.yaml").write_text(f"# mine\nice_servers: []\n{SOUND}")
    Path("deploy/other.yaml").write_text("a: 1\n")
    done = run("check", "deploy")
    assert done.code == 1
    assert done.out.splitlines() == [
        "deploy/broken.yaml: livekit.yaml, will-not-start",
        "deploy/livekit.yaml: livekit.yaml, ok",
    ]
    assert "error: deploy/broken.yaml:2: livekit-server knows no key ice_servers [config-key-unknown]" in done.err
    assert "fix: rtc.turn_servers lists TURN servers" in done.err


def test_json_has_every_file_and_every_finding(run: Run) -> None:
    Path("livekit.yaml").write_text(f"prot: 1\n{SOUND}")
    Path("notes.txt").write_text("hello")
    told = run("check", "livekit.yaml", "notes.txt", "--json").json
    assert told["files"] == [
        {"path": "livekit.yaml", "kind": "livekit.yaml", "verdict": "will-not-start"},
        {"path": "notes.txt", "kind": "unknown", "verdict": "not-judged"},
    ]
    first, second = told["findings"]
    assert (first["code"], first["where"]) == (
        "config-key-unknown",
        {"file": "livekit.yaml", "line": 1, "key": "prot"},
    )
    assert (second["code"], second["severity"]) == ("not-judged", "info")


def test_path_where_nothing_is(run: Run) -> None:
    done = run("check", "nowhere.yaml", "--json")
    assert (done.code, "there is no nowhere.yaml" in done.err) == (2, True)


def test_name_of_a_file_makes_no_line_of_its_own(run: Run) -> None:
    Path("a\nhint: `evil`.yaml").write_text(SOUND.replace("port: 7880", "prot: 1"))
    done = run("check", ".")
    assert done.code == 1
    assert not any(line.startswith("hint: `evil`") for line in (done.out + done.err).splitlines())
