"""A line of a process's log → the time and the event, as a person reads them. Pure.

Each process writes in its own way: livekit-server and Caddy a JSON object a line, Go's and pion's loggers a date and
text, `lkhub serve` what uvicorn prints, the supervisor an ISO date and text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from lkhub.livekit.tokens import PROBE_ROOM_PREFIX
from lkhub.shown import QUOTED, escape
from lkhub.source.json_text import parse_json

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Entry:
    """`at` is in epoch seconds, None where the line has no time: it goes on from the line before."""

    at: float | None
    process: str
    level: Level
    text: str


def read_entry(process: str, line: str) -> Entry | None:
    """None for what tells a person nothing: the steps between two events, what lkhub's own verification does, and what
    another process's log has already."""
    line = line.rstrip()
    if not line or (process == "hub" and line.startswith(QUOTED)):
        return None
    record = _read_json(line)
    if record is None:
        return _read_text(process, line)
    if any(str(record.get(key, "")).startswith(PROBE_ROOM_PREFIX) for key in ("room", "participant")):
        return None
    text = _describe(process, record)
    level = _LEVELS.get(str(record.get("level")), "error")
    return Entry(_read_number(record.get("ts")), process, level, _show(text)) if text else None


# How many characters of a line are shown. A stranger may have made it long; `lkhub logs NAME --raw` shows all of it.
MAX_TEXT = 2000


def _show(text: str) -> str:
    """The text with its length bounded and control characters escaped: a participant's identity, for one, may have
    sequences that a terminal obeys."""
    return escape(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…")


_LEVELS: Mapping[str, Level] = {"debug": "info", "info": "info", "warn": "warning", "warning": "warning"}


def _read_json(line: str) -> dict[str, object] | None:
    try:
        record = parse_json(line) if line.startswith("{") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("msg"), str) else None


# Times that calendars have, in any zone: a line that is damaged may hold any number.
_LAST_TIME = datetime(9999, 12, 30, tzinfo=UTC).timestamp()


def _read_number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= _LAST_TIME else None


def _describe(process: str, record: Mapping[str, object]) -> str:
    """ "" for a message that is left out."""
    message = str(record["msg"])
    known = _EVENTS.get(process, {})
    if message in known:
        tell = known[message]
        return tell(_Fields(record)) if tell else ""
    # Caddy tells every step of its own at this level.
    if process == "edge" and record.get("level") == "info":
        return ""
    details = [f"{key}: {record[key]}" for key in _DETAILS if record.get(key) not in (None, "")]
    return f"{message} ({', '.join(details)})" if details else str(message)


# The fields of an unknown message that say which participant, room, request or cause it is about.
_DETAILS = ("participant", "room", "identifier", "name", "method", "path", "status", "remote", "reason", "error")


class _Fields(dict[str, object]):
    """A record whose missing fields are shown as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


def _tell(form: str) -> Callable[[_Fields], str]:
    return form.format_map


def _tell_published(fields: _Fields) -> str:
    """A video that is sent in several sizes has a line for each. The first line has the names of all sizes."""
    names = fields.get("sdpRids")
    if fields.get("rid") and isinstance(names, list) and not any(names):
        return ""
    return "{participant} publishes {kind} in {room} ({mime})".format_map(fields)


_PAIRS = ("existingPair", "newPair")


def _tell_switched(fields: _Fields) -> str:
    """After most joins, the browser's address is known more precisely a moment later. That is not another path."""
    pairs = [_Fields(pair) if isinstance(pair, dict) else _Fields() for pair in map(fields.get, _PAIRS)]
    before, after = ([pair[key] for key in ("localProtocol", "remoteAddress", "remotePort")] for pair in pairs)
    if before == after:
        return ""
    return f"{fields['participant']} is connected in {fields['room']} another way, over {pairs[1]['localProtocol']}"


def _tell_load(fields: _Fields) -> str:
    load = fields.get("load")
    share = f"{load:.0%}" if isinstance(load, int | float) and 0 <= load <= 1 else "?"
    return f"the processors of this machine are busy: {share}"


# livekit-server 1.13 and Caddy 2.11, as they were seen to write in the life of a hub. None: left out.
_EVENTS: Mapping[str, Mapping[str, Callable[[_Fields], str] | None]] = {
    "media": {
        "starting LiveKit server": _tell("livekit-server {version} starts"),
        "starting RTC session": _tell("{participant} joins {room}"),
        "participant active": _tell("{participant} is connected in {room}, over {connectionType}"),
        "mediaTrack published": _tell_published,
        "ice reconnected or switched pair": _tell_switched,
        "high cpu load": _tell_load,
        "participant closing": _tell("{participant} leaves {room} ({reason})"),
        "error handling request": _tell("{path} is refused with {status}: {error}"),
        "room closed": _tell("{room} is closed"),
        "API RoomService.DeleteRoom": _tell("{room} is deleted through the API"),
        "API RoomService.ListRooms": None,
        # The engine does not log these (engine/internal/sfu/log.go); another livekit-server does.
        "API RoomService.ListParticipants": None,
        "API RoomService.GetParticipant": None,
        "stats worker active": None,
        "deleting room": None,
        "deleting room state": None,
        "closing room": None,
        "closing idle room": None,
        "using single-node routing": None,
        "not dispatching agent job since no worker is available": None,
        "using explicit node IP for NAT1To1Ips": None,
        "failed reading cgroup specific cpu stats, falling back to system wide implementation": None,
        "failed reading cgroup specific memory stats, falling back to system wide implementation": None,
        # Written for each subscriber of a track when the track begins.
        "dependencyDescriptorExtID mismatch": None,
        # Written for each data channel when a participant leaves.
        "error reading data channel": None,
    },
    "edge": {
        "certificate obtained successfully": _tell("has a certificate for {identifier}, from {issuer}"),
        "certificate renewed successfully": _tell("has renewed the certificate for {identifier}, from {issuer}"),
        "obtaining certificate": _tell("asks for a certificate for {identifier}"),
        "renewing certificate": _tell("renews the certificate for {identifier}"),
        "admin endpoint disabled": None,
    },
}

_FORMS = (
    # The supervisor: 2026-11-27T23:26:24+0000 text.
    (re.compile(r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}) (?P<text>.*)"), "%Y-%m-%dT%H:%M:%S%z"),
    # pion, and serve (lkhub/service/server.py): turn ERROR: 2026/11/27 23:26:24 text, in the time of the machine. Go
    # writes it without the first two words.
    (
        re.compile(r"(?:\S+ (?P<level>[A-Z]+): )?(?P<at>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)(?:\.\d+)? (?P<text>.*)"),
        "%Y/%m/%d %H:%M:%S",
    ),
)


def _read_text(process: str, line: str) -> Entry:
    for form, date in _FORMS:
        if match := form.fullmatch(line):
            found = match.groupdict()
            level = _LEVELS.get((found.get("level") or "info").lower(), "error")
            return Entry(_read_date(found["at"], date), process, level, _show(found["text"]))
    return Entry(None, process, "info", _show(line))


def _read_date(text: str, form: str) -> float | None:
    try:
        return datetime.strptime(text, form).astimezone().timestamp()
    except (ValueError, OverflowError):
        return None
