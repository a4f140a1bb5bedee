"""Codecs that the spec wants for some rooms. LiveKit has one list for all rooms, `room.enabled_codecs`: no request,
token or configuration of one room has codecs (livekit-server, pkg/service/roomallocator.go)."""

from collections.abc import Iterator

from lkhub.findings.catalogue.choices import codecs_for_all_rooms
from lkhub.findings.finding import Finding, Fix
from lkhub.spec.model import Spec
from lkhub.spec.rooms import Codec

_AUDIO: tuple[Codec, ...] = ("opus", "red")


def warn_of_codecs(spec: Spec) -> Iterator[Finding]:
    """A finding for each preset whose codecs are not those of all rooms."""
    for index, preset in enumerate(spec.rooms):
        wanted = [f"audio/{codec}" if codec in _AUDIO else f"video/{codec}" for codec in preset.codecs]
        if wanted and set(wanted) != _read_enabled(spec):
            listed = ", ".join(f"{{mime: {mime}}}" for mime in dict.fromkeys(wanted))
            fix = Fix(f"write `livekit: {{room: {{enabled_codecs: [{listed}]}}}}` for all rooms, or leave them out")
            yield codecs_for_all_rooms(preset.match).about(f"rooms[{index}].codecs", fix=(fix,))


def _read_enabled(spec: Spec) -> set[str]:
    """What the spec's raw keys enable, without retransmissions, which LiveKit always adds. What is no list of codecs is
    a fault of LiveKit's own parser."""
    room = spec.livekit.get("room")
    enabled = room.get("enabled_codecs") if isinstance(room, dict) else None
    given = [each.get("mime") for each in enabled if isinstance(each, dict)] if isinstance(enabled, list) else []
    return {mime.lower() for mime in given if isinstance(mime, str)} - {"video/rtx"}
