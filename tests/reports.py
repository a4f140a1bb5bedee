"""Reports of a supervisor and the engine's processes, as far as tests need them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from lkhub.source.typed import unpack
from lkhub.state.applied import AppliedRecord
from lkhub.wire.control import HubReport, ProcessReport
from lkhub.wire.engine import EdgeStatus, MediaStatus, RelayStatus

_ANY = {"pid": 4711, "state": "running"}
_PROCESS = {**_ANY, "name": "media", "since": 1.0}
_FAILURE = {"at": "2026-01-01T00:00:00Z"}


def process_report(**said: Any) -> ProcessReport:
    return unpack(ProcessReport, {**_PROCESS, **said})


def media_status(**said: Any) -> MediaStatus:
    return unpack(MediaStatus, {**_ANY, **said})


def relay_status(**said: Any) -> RelayStatus:
    return unpack(RelayStatus, {**_ANY, **said})


def edge_status(**said: Any) -> EdgeStatus:
    failures = [{**_FAILURE, **each} for each in said.get("failures", ())]
    return unpack(EdgeStatus, {**_ANY, **said, "failures": failures})


def hub_report(said: Mapping[str, Any]) -> HubReport:
    """As the supervisor would say it. What the processes say may be JSON or typed already."""
    processes = [{**_PROCESS, **each} for each in said.get("processes", ())]
    statuses = {name: said[name] for name in ("media", "edge", "relay") if said.get(name) is not None}
    made = {"media": media_status, "edge": edge_status, "relay": relay_status}
    typed = {name: made[name](**status) if isinstance(status, dict) else status for name, status in statuses.items()}
    rest = {name: value for name, value in said.items() if name not in (*made, "processes")}
    report = unpack(HubReport, {"pid": 7, **rest, "processes": processes})
    return msgspec.structs.replace(report, **typed)


_URLS = dict.fromkeys(("livekit", "web", "api", "local_media"), "http://127.0.0.1:1")


def applied_record(**said: Any) -> AppliedRecord:
    """The record of what is in force."""
    urls = {**_URLS, **said.pop("urls", {})}
    return unpack(AppliedRecord, {"name": "hub", "at": 1.0, "probes": ["udp"], "urls": urls, **said})
