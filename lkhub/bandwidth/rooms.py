"""The traffic of rooms. Media forwards each published track to every other person in the room, so what it sends grows
with the square of the people."""

from dataclasses import dataclass

from lkhub.bandwidth.media import CAMERAS, VOICE, Layer, Traffic


@dataclass(frozen=True)
class Rooms:
    """`rooms` rooms with the same shape: in each of them `voice` people have a microphone on and `video` people a
    camera. The people with a camera are among those with a microphone, as far as there are as many."""

    voice: int
    video: int
    rooms: int
    resolution: str

    @property
    def people(self) -> int:
        """In each room."""
        return max(self.voice, self.video)

    @property
    def layers(self) -> tuple[Layer | None, ...]:
        """The qualities in which people can receive the cameras, the largest first; None alone without cameras."""
        return CAMERAS[self.resolution] if self.video else (None,)

    @property
    def camera(self) -> Traffic:
        """What one camera sends: every simulcast layer."""
        return sum((layer.traffic for layer in CAMERAS[self.resolution]), Traffic())

    @property
    def received(self) -> Traffic:
        """What media receives from the people of all rooms."""
        return (VOICE * self.voice + self.camera * self.video) * self.rooms

    def sent(self, layer: Layer | None) -> Traffic:
        """What media sends to the people of all rooms, who receive every camera in this layer."""
        return self.sent_of_one(layer) * self.rooms

    def sent_of_one(self, layer: Layer | None) -> Traffic:
        """`sent` of one room."""
        streams = VOICE * self.voice + (layer.traffic if layer else Traffic()) * self.video
        return streams * (self.people - 1)

    @property
    def person_sends(self) -> Traffic:
        """What one person sends at most."""
        return VOICE * min(self.voice, 1) + self.camera * min(self.video, 1)

    def person_receives(self, layer: Layer | None) -> Traffic:
        """What one person receives at most: who publishes least receives most."""
        voices, cameras = self.voice - (self.voice >= self.video), self.video - (self.video >= self.voice)
        return VOICE * voices + (layer.traffic if layer else Traffic()) * cameras

    def count_carried(self, layer: Layer | None, uplink: int) -> int | None:
        """How many such rooms an uplink of so many bits per second carries; None where they send nothing."""
        bits = self.sent_of_one(layer).bits
        return uplink // bits if bits else None
