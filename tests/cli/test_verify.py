import json
import re
import time
from pathlib import Path

import pytest

from lkhub.checks.called import FOREIGN
from lkhub.checks.paths import PathResult, WebPart, WebResult
from lkhub.cli import verify as verify_module
from lkhub.cli.verify import show_verified
from lkhub.errors import MachineError
from lkhub.host.files import write_private
from lkhub.hub import probe as probing
from lkhub.hub import verify as hub_verify
from lkhub.hub.status import Verified
from lkhub.plan.model import Sighting
from lkhub.plan.paths import StatePaths
from lkhub.wire.engine import ProbeRequest, ProbeResult
from tests.cli.conftest import SECRET, Run
from tests.reports import hub_report

URL = "ws://127.0.0.1:1"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[ProbeRequest]:
    """What the probe is asked; it answers that every path works, but for `tcp`, which is not offered."""
    seen: list[ProbeRequest] = []

    def probe(request: ProbeRequest) -> tuple[ProbeResult, ...]:
        seen.append(request)
        return tuple(
            ProbeResult(each.path, None if each.path == "tcp" else True, "join", "not offered")
            for each in request.paths
        )

    monkeypatch.setattr(probing, "run_probe", probe)
    monkeypatch.setattr(verify_module, "run_probe", probe)
    return seen


def test_hub_is_verified_by_what_it_promises_and_that_is_kept(
    run: Run, applied: StatePaths, requests: list[ProbeRequest]
) -> None:
    done = run("verify", "--json")
    assert done.code == 0
    assert done.json["ok"] is True
    assert [path["path"] for path in done.json["paths"]] == ["udp", "turn-udp"]
    assert requests[0].url == "ws://127.0.0.1:7880"
    kept = json.loads(Path(applied.verified).read_text())
    assert [path["path"] for path in kept["paths"]] == ["udp", "turn-udp"]


def test_result_is_printed_if_it_can_not_be_recorded(
    run: Run, applied: StatePaths, requests: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no reason to say nothing of a hub."""

    def full(*_: object) -> None:
        raise MachineError(f"can't write {applied.verified}: the disk is full")

    monkeypatch.setattr(hub_verify, "write_verified", full)
    done = run("verify", "--json")
    assert (done.code, done.json["ok"]) == (0, True)
    assert "`lkhub status` will not tell of these calls: can't write" in done.err
    assert not Path(applied.verified).exists()


def test_process_that_hangs_is_named_with_what_wakes_it(
    run: Run, applied: StatePaths, requests: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls alone tell of several causes."""
    process = {"name": "media", "pid": 4711, "state": "hanging"}
    report = hub_report({"processes": [process], "hangs": {"media": "it does not answer"}, "stopped": ["media"]})
    monkeypatch.setattr(verify_module, "ask_report", lambda _: report)
    [finding] = [each for each in run("verify", "--json").json["findings"] if each["code"] == "process-hangs"]
    assert "kill -CONT 4711" in json.dumps(finding["fix"])


def test_hub_behind_its_edge_is_called_as_clients_call_it_and_reached_from_inside(
    run: Run, applied: StatePaths, requests: list[ProbeRequest]
) -> None:
    """Whether or not this machine knows the name, trusts the root, or gets past its router."""
    record = json.loads(Path(applied.applied).read_text())
    record["urls"]["livekit"] = "wss://rtc.example.com"
    record |= {"probes": ["udp", "turn-tls"], "ca": applied.ca_root, "resolve": {"rtc.example.com": "127.0.0.1"}}
    Path(applied.applied).write_text(json.dumps(record))
    assert run("verify").code == 0
    assert requests[0].url == "wss://rtc.example.com"
    assert requests[0].ca_file == applied.ca_root
    assert requests[0].resolve == {"rtc.example.com": "127.0.0.1"}
    assert [each.path for each in requests[0].paths] == ["udp", "turn-tls"]


@pytest.mark.parametrize(
    ("what", "ok", "code"), [("page", False, 1), ("api", False, 1), ("forwarded", False, 0), ("page", None, 0)]
)
def test_hub_whose_page_or_api_is_not_there_is_not_well(
    run: Run,
    applied: StatePaths,
    requests: list[ProbeRequest],
    monkeypatch: pytest.MonkeyPatch,
    what: WebPart,
    ok: bool | None,
    code: int,
) -> None:
    record = json.loads(Path(applied.applied).read_text())
    record["urls"]["local_serve"] = "http://127.0.0.1:8080"
    Path(applied.applied).write_text(json.dumps(record | {"tls": "off"}))
    monkeypatch.setattr(hub_verify, "verify_web", lambda *_: (WebResult(what, ok, URL, "refused"),))
    done = run("verify", "--json")
    assert (done.code, done.json["ok"]) == (code, code == 0)


def test_foreign_livekit_is_reached_without_resolve_overrides(
    run: Run, requests: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEKIT_API_KEY", "API")
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET.reveal())
    assert run("verify", "--url", "wss://rtc.example.com").code == 0
    assert (requests[0].ca_file, requests[0].resolve) == ("", {})


def test_one_path_alone_is_no_verification_of_the_hub(
    run: Run, applied: StatePaths, requests: list[ProbeRequest]
) -> None:
    assert run("verify", "--path", "udp").code == 0
    assert [each.path for each in requests[0].paths] == ["udp"]
    assert not Path(applied.verified).exists()


def test_path_that_the_hub_does_not_offer_has_failed(
    run: Run, applied: StatePaths, requests: list[ProbeRequest]
) -> None:
    done = run("verify", "--path", "tcp", "--json")
    assert done.code == 1
    assert done.json["ok"] is False
    assert done.json["paths"][0]["ok"] is False
    assert requests == [], "there is nothing to call"
    [finding] = [finding for finding in done.json["findings"] if finding["code"] == "path-fails"]
    assert finding["cause"].startswith("media.tcp of the spec, or its reach, leave the path out")


def test_key_and_secret_that_are_swapped_are_reported_and_not_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, requests: list[ProbeRequest]
) -> None:
    """A token made with them would carry the secret as its key, for the server and its log to read."""
    monkeypatch.setenv("LIVEKIT_API_KEY", SECRET.reveal())
    monkeypatch.setenv("LIVEKIT_API_SECRET", "APIabcdefghijk")
    done = run("verify", "--url", URL)
    assert (done.code, requests) == (2, [])
    assert "look swapped" in done.err
    assert SECRET.reveal() not in done.out + done.err


def test_foreign_livekit_is_probed_with_the_key_of_the_environment(
    run: Run, requests: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("verify", "--url", URL).code == 2
    monkeypatch.setenv("LIVEKIT_API_KEY", "API")
    assert "LIVEKIT_API_SECRET is not set" in run("verify", "--url", URL).err
    monkeypatch.setenv("LIVEKIT_API_SECRET", "")
    assert run("verify", "--url", URL).code == 2
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET.reveal())
    done = run("verify", "--url", URL, "--json")
    assert done.code == 0, "a path that a foreign deployment does not offer is no failure"
    assert {path["path"]: path["ok"] for path in done.json["paths"]} == {
        "udp": True,
        "tcp": None,
        "turn-udp": True,
        "turn-tls": True,
    }
    assert requests[0].url == URL


@pytest.mark.parametrize(("text", "count"), [("a.b.c\n", 1), ("a.b.c\nd.e.f\n", 2), ("  a.b.c  \n\n", 1)])
def test_tokens_of_a_file_are_used_as_they_are(run: Run, requests: list[ProbeRequest], text: str, count: int) -> None:
    Path("tokens").write_text(text)
    assert run("verify", "--url", URL, "--token-file", "tokens", "--path", "udp").code == 0
    assert len(requests[0].paths[0].tokens) == count


@pytest.mark.parametrize("text", ["", "a b c"])
def test_file_without_one_or_two_tokens_is_refused(run: Run, requests: list[ProbeRequest], text: str) -> None:
    Path("tokens").write_text(text)
    assert run("verify", "--url", URL, "--token-file", "tokens").code == 2
    assert run("verify", "--url", URL, "--token-file", "nowhere").code == 2
    assert requests == []


@pytest.mark.parametrize("url", ["", "127.0.0.1:7880", "ws://", "ws://a b", "ftp://x"])
def test_url_that_is_none_is_refused(
    run: Run, requests: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("LIVEKIT_API_KEY", "API")
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET.reveal())
    done = run("verify", "--url", url)
    assert (done.code, done.out) == (2, "")
    assert "bug" not in done.err


def test_nothing_that_could_be_tried_is_no_success(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "run_probe", lambda request: [])
    done = run("verify")
    assert done.code == 1
    assert "unknown" in done.out


def keep_sightings(paths: StatePaths, **seen: Sighting | None) -> None:
    """The supervisor's record of what was seen of these paths, `turn_udp` for turn-udp."""
    ways = {
        path.replace("_", "-"): {"told": "", "since": 1.0, "seen": sighting.as_json() if sighting else None}
        for path, sighting in seen.items()
    }
    write_private(paths.outside, json.dumps({"paths": ways}))


def test_use_by_clients_elsewhere_is_reported_of_the_own_hub_only(
    run: Run, applied: StatePaths, requests: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Sighting(time.time() - 7200, "2001:db8::7")
    keep_sightings(applied, udp=None, turn_udp=seen)
    assert [path["outside"] for path in run("verify", "--json").json["paths"]] == [None, seen.as_json()]
    assert "2001:db8" not in Path(applied.verified).read_text(), "it has a record of its own"
    done = run("verify")
    assert re.search(r"udp +ok +; outside: not seen\n +turn-udp ok +; outside: 2 h ago from 2001:db8::7\n", done.out)
    assert "`lkhub verify --url ws://127.0.0.1:7880` on another machine" in done.err
    assert "another machine" not in run("verify", "--path", "turn-udp").err, "it was seen"
    monkeypatch.setenv("LIVEKIT_API_KEY", "API")
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET.reveal())
    foreign = run("verify", "--url", URL)
    assert "outside" not in foreign.out + foreign.err
    assert {path["outside"] for path in run("verify", "--url", URL, "--json").json["paths"]} == {None}


def test_nothing_is_said_of_others_where_there_can_be_none(
    run: Run, applied: StatePaths, requests: list[ProbeRequest]
) -> None:
    done = run("verify")
    assert "outside" not in done.out + done.err
    assert "this proves the hub from where it was run" in done.err


def test_people_read_what_failed_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    results = (PathResult("udp", True, "media", "", 5.0), PathResult("tcp", False, "connect", "timed out"))
    show_verified(Verified(1.0, results), False, URL, FOREIGN)
    shown = capsys.readouterr()
    assert "udp" in shown.out
    assert "at stage connect: timed out" in shown.out
    assert "[path-fails]" in shown.err
