"""A bandwidth plan as text and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lkhub.bandwidth.media import CAMERAS, HEADER_BYTES, UNCONFIGURED_VOICE_BITS, VOICE, Layer, Traffic
from lkhub.bandwidth.rate import describe_rate
from lkhub.bandwidth.rooms import Rooms
from lkhub.source.json_text import Json

CPU_UNKNOWN = "not measured on this machine"


@dataclass(frozen=True)
class Report:
    """Rooms on this machine: its `uplink` in bits per second, None where it is not known, and its `cores`."""

    rooms: Rooms
    uplink: int | None
    cores: int

    def as_json(self) -> dict[str, Json]:
        rooms = self.rooms
        return {
            "rooms": rooms.rooms,
            "voice": rooms.voice,
            "video": rooms.video,
            "resolution": rooms.resolution,
            "people": rooms.people * rooms.rooms,
            "received": _pack(rooms.received),
            "sent": [self._pack_sent(layer) for layer in rooms.layers],
            "person": {
                "sent": _pack(rooms.person_sends),
                "received": [{"layer": _name(layer), **_pack(rooms.person_receives(layer))} for layer in rooms.layers],
            },
            "uplink": self.uplink,
            "cpu": {"cores": self.cores, "used": None, "detail": CPU_UNKNOWN},
            "assumptions": dict(self._list_assumptions()),
        }

    def _pack_sent(self, layer: Layer | None) -> dict[str, Json]:
        carried = None if self.uplink is None else self.rooms.count_carried(layer, self.uplink)
        fits = None if self.uplink is None else self.rooms.sent(layer).bits <= self.uplink
        return {"layer": _name(layer), **_pack(self.rooms.sent(layer)), "fits": fits, "rooms_carried": carried}

    def as_text(self) -> str:
        rows: list[tuple[str, ...]] = [("the hub receives", *_show(self.rooms.received))]
        rows += [(f"the hub sends{_at(layer)}", *_show(self.rooms.sent(layer))) for layer in self.rooms.layers]
        rows += [("a person sends up to", *_show(self.rooms.person_sends))]
        rows += [
            (f"a person receives up to{_at(layer)}", *_show(self.rooms.person_receives(layer)))
            for layer in self.rooms.layers
        ]
        machine = [*self._list_uplink(), ("CPU", f"{CPU_UNKNOWN}; {_count(self.cores, 'core')}")]
        blocks = [
            [self._describe_rooms()],
            _align(rows),
            _align(machine),
            ["assumed", *_align(self._list_assumptions())],
        ]
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"

    def _describe_rooms(self) -> str:
        rooms = self.rooms
        parts = [f"{rooms.voice:,} with a microphone"] * bool(rooms.voice)
        parts += [f"{rooms.video:,} with a camera of {rooms.resolution}"] * bool(rooms.video)
        people = "1 person" if rooms.people == 1 else f"{rooms.people:,} people"
        total = f"; {rooms.people * rooms.rooms:,} people in all" if rooms.rooms > 1 else ""
        return f"{_count(rooms.rooms, 'room')} with {people}{' each' * (rooms.rooms > 1)}: {', '.join(parts)}{total}"

    def _list_uplink(self) -> Iterator[tuple[str, ...]]:
        if self.uplink is None:
            yield "uplink", "not known; --uplink 100M says what it carries"
            return
        for layer in self.rooms.layers:
            carried = self.rooms.count_carried(layer, self.uplink)
            fits = carried is None or carried >= self.rooms.rooms
            many = "any number of" if carried is None else f"{carried:,}"
            says = f"{'enough' if fits else 'NOT enough'}: it carries {many} such {'room' if carried == 1 else 'rooms'}"
            yield f"uplink of {describe_rate(self.uplink)}{_at(layer)}", says

    def _list_assumptions(self) -> Sequence[tuple[str, str]]:
        listed = [
            ("voice", f"{describe_rate(VOICE.bits)} and {VOICE.packets} packets/s each, and all speak at once"),
            ("voice at most", f"{describe_rate(UNCONFIGURED_VOICE_BITS)}: who speaks, with livekit-client's defaults"),
        ]
        if self.rooms.video:
            listed += [(f"layer {layer.name}", _describe_layer(layer)) for layer in CAMERAS[self.rooms.resolution]]
            listed += [
                ("a camera sends", "every layer; with dynacast, livekit-client sends those that are watched"),
                (
                    "a person receives",
                    "every camera in one layer; livekit-client (adaptiveStream) chooses it by the size of a tile",
                ),
                ("headers", f"{HEADER_BYTES} bytes a packet of a camera: IPv4, UDP, RTP, SRTP"),
            ]
        listed += [
            ("the hub forwards", "each track to all others in the room"),
            ("not counted", "packets sent again, RTCP, shared screens, TURN's headers"),
        ]
        return listed


def _describe_layer(layer: Layer) -> str:
    rate, wire = describe_rate(layer.bitrate), describe_rate(layer.traffic.bits)
    return f"{rate} at {layer.frames} frames/s, {wire} and {layer.traffic.packets} packets/s with headers"


def _name(layer: Layer | None) -> str | None:
    return layer.name if layer else None


def _at(layer: Layer | None) -> str:
    return f", cameras at {layer.name}" if layer else ""


def _pack(traffic: Traffic) -> dict[str, Json]:
    return {"bits_per_second": traffic.bits, "packets_per_second": traffic.packets}


def _show(traffic: Traffic) -> tuple[str, str]:
    return describe_rate(traffic.bits), f"{traffic.packets:,} packets/s"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _align(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows in columns; of numbers, the last digits are below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if len(widths) == 2:
        return [f"  {name.ljust(widths[0])}  {text}" for name, text in rows]
    return [
        f"  {name.ljust(widths[0])}  {rate.rjust(widths[1])}  {packets.rjust(widths[2])}"
        for name, rate, packets in rows
    ]
