import json
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.log_lines import MAX_TEXT, Entry, Level, read_entry
from lkhub.shown import QUOTED

JOIN = {"level": "info", "ts": 1795821993.1, "msg": "starting RTC session", "room": "team", "participant": "ann"}
PICTURE = {"msg": "mediaTrack published", "participant": "ann", "room": "team", "kind": "video", "mime": "video/VP8"}
HOST = {"localProtocol": "udp", "remoteCandidateType": "host", "remoteAddress": "192.0.2.7", "remotePort": 45567}
SWITCHED = {"msg": "ice reconnected or switched pair", "participant": "ann", "room": "team", "existingPair": HOST}


def media(**fields: object) -> str:
    return json.dumps({"level": "info", "ts": 1795821993.1, **fields})


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (media(msg="starting RTC session", room="team", participant="ann"), "ann joins team"),
        (
            media(msg="participant active", room="team", participant="ann", connectionType="udp"),
            "ann is connected in team, over udp",
        ),
        (media(msg="participant closing", room="team", participant="ann"), "ann leaves team (?)"),
        (media(msg="room closed", room="team"), "team is closed"),
        (
            media(msg="mediaTrack published", participant="ann", room="team", kind="audio", mime="audio/red", rid=""),
            "ann publishes audio in team (audio/red)",
        ),
        (
            media(**PICTURE, rid="q", sdpRids=["q", "h", "f"]),
            "ann publishes video in team (video/VP8)",
        ),
        (
            media(**SWITCHED, newPair=HOST | {"remoteAddress": "198.51.100.9"}),
            "ann is connected in team another way, over udp",
        ),
        (media(**SWITCHED, newPair=HOST | {"localProtocol": "tcp"}), "ann is connected in team another way, over tcp"),
        (media(msg="high cpu load", load=0.9289), "the processors of this machine are busy: 93%"),
        (media(msg="high cpu load"), "the processors of this machine are busy: ?"),
        (media(msg="never seen", participant="ann", error="no"), "never seen (participant: ann, error: no)"),
        (media(msg="never seen"), "never seen"),
    ],
)
def test_lines_of_media_are_shown_in_words(line: str, text: str) -> None:
    assert read_entry("media", line) == Entry(1795821993.1, "media", "info", text)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        media(msg="stats worker active", room="team", participant="ann"),
        media(msg="starting RTC session", room="lkhub-verify-udp-1234", participant="lkhub-verify-speaker"),
        media(msg="room closed", room="lkhub-verify-udp-1234"),
        media(msg="never seen", participant="lkhub-verify-listener"),
        media(msg="dependencyDescriptorExtID mismatch", participant="ann", room="team"),
        media(**PICTURE, rid="h", sdpRids=["", "", ""]),
        media(**SWITCHED, newPair=HOST | {"remoteCandidateType": "prflx"}),
        media(msg="API RoomService.ListRooms", room=[], status="200"),
        media(msg="API RoomService.ListParticipants", room="team", status="200"),
        media(msg="API RoomService.GetParticipant", room="team", participant="ann", status="200"),
    ],
)
def test_what_tells_a_person_nothing_is_left_out(line: str) -> None:
    assert read_entry("media", line) is None


def test_what_the_supervisor_quotes_is_told_once_by_the_process_that_wrote_it() -> None:
    assert read_entry("hub", f"{QUOTED}{media(msg='room closed', room='team')}") is None
    assert read_entry("serve", f"{QUOTED}of a traceback") == Entry(None, "serve", "info", "  | of a traceback")


def test_of_the_edge_only_events_and_errors_are_shown() -> None:
    def edge(level: str, msg: str, **fields: str) -> Entry | None:
        return read_entry("edge", media(level=level, msg=msg, **fields))

    assert edge("info", "acquiring lock", identifier="rtc.example.com") is None
    got = edge("info", "certificate obtained successfully", identifier="rtc.example.com", issuer="acme")
    assert got is not None
    assert got.text == "has a certificate for rtc.example.com, from acme"
    levels: tuple[tuple[str, Level], ...] = (("warn", "warning"), ("error", "error"), ("fatal", "error"))
    for level, wanted in levels:
        told = edge(level, "could not get certificate", identifier="rtc.example.com", error="no DNS")
        assert told == Entry(
            1795821993.1, "edge", wanted, "could not get certificate (identifier: rtc.example.com, error: no DNS)"
        )


def local(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").astimezone().timestamp()


@pytest.mark.parametrize(
    ("process", "line", "entry"),
    [
        ("hub", "2026-11-27T23:26:24+0000 up", Entry(1795821984.0, "hub", "info", "up")),
        ("hub", "    went on", Entry(None, "hub", "info", "    went on")),
        (
            "relay",
            "turn ERROR: 2026/11/27 23:26:24 it failed",
            Entry(local("2026-11-27 23:26:24"), "relay", "error", "it failed"),
        ),
        ("edge", "2026/11/27 23:26:24 text", Entry(local("2026-11-27 23:26:24"), "edge", "info", "text")),
        (
            "serve",
            "serve ERROR: 2026/11/27 23:26:24 Exception in ASGI application",
            Entry(local("2026-11-27 23:26:24"), "serve", "error", "Exception in ASGI application"),
        ),
        (
            "serve",
            "Traceback (most recent call last):",
            Entry(None, "serve", "info", "Traceback (most recent call last):"),
        ),
        ("media", '{"half": ', Entry(None, "media", "info", '{"half":')),
        ("media", "{}", Entry(None, "media", "info", "{}")),
        ("relay", "2026/99/99 99:99:99 x", Entry(None, "relay", "info", "x")),
    ],
)
def test_other_programs_lines_are_told_as_they_are(process: str, line: str, entry: Entry) -> None:
    assert read_entry(process, line) == entry


def test_identity_of_a_stranger_does_not_reach_the_terminal_as_it_is() -> None:
    told = read_entry("media", json.dumps({**JOIN, "participant": "a\x1b[2Jb\u202e"}))
    assert told is not None
    assert told.text.isprintable()
    assert "a\\x1b[2Jb\\u202e" in told.text


@given(st.sampled_from(["media", "relay", "serve", "edge", "hub"]), st.text())
def test_any_line_can_be_read(process: str, line: str) -> None:
    entry = read_entry(process, line)
    assert entry is None or entry.text.isprintable()


@given(
    st.dictionaries(
        st.sampled_from(["msg", "level", "ts", "room", "participant", "error"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=2),
        ),
    )
)
def test_any_record_can_be_read(record: dict[str, object]) -> None:
    entry = read_entry("media", json.dumps(record))
    assert entry is None or entry.text.isprintable()


@pytest.mark.parametrize(
    "at", ["1e999", "-1e999", "NaN", "1e300", "-1", "1" + "0" * 400, "253402300800", "true", '"x"']
)
def test_a_damaged_time_is_no_time(at: str) -> None:
    entry = read_entry("media", f'{{"msg": "never seen", "level": "info", "ts": {at}}}')
    assert entry is not None
    assert entry.at is None or time.localtime(entry.at).tm_year <= 9999


@pytest.mark.parametrize(
    "line",
    [
        "x" * 600_000,
        "serve WARNING: 2026/11/28 07:00:00 " + "x" * 600_000,
        media(msg="m" * 600_000),
        media(msg="never seen", error="e" * 600_000),
    ],
)
def test_what_is_long_is_shown_in_part(line: str) -> None:
    entry = read_entry("media", line)
    assert entry is not None
    assert len(entry.text) <= MAX_TEXT + 1
