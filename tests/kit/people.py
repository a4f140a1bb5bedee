"""Participants of the `livekit` Python SDK: they publish sound and pictures, and notice every gap."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from livekit import rtc
from livekit.rtc._proto.room_pb2 import ContinualGatheringPolicy

from tests.waiting import until

SAMPLE_RATE = 48_000
FRAME_SAMPLES = 480  # 10 ms
LOUD = 1_000  # of 32,767; the tone has 8,000, decoded silence is far below


@dataclass
class Ear:
    """When sound was heard and pictures seen, in seconds of the monotonic clock."""

    heard: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without sound between two moments."""
        moments = [since, *(at for at in self.heard if since <= at <= until), until]
        return max(later - earlier for earlier, later in pairwise(moments))


class Person:
    """One participant of one room. `unnamed`: its tracks have no source, as those of many programs. `gathers_once`: it
    looks for ways to the server once, and not as long as it is there, which takes a tenth of the sockets."""

    def __init__(self, url: str, token: str, *, unnamed: bool = False, gathers_once: bool = False) -> None:
        self.url, self.token, self.unnamed = url, token, unnamed
        self.options = rtc.RoomOptions()
        if gathers_once:
            policy = ContinualGatheringPolicy.GATHER_ONCE
            self.options.rtc_config = rtc.RtcConfiguration(continual_gathering_policy=policy)
        self.room = rtc.Room()
        self.ears: dict[str, Ear] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.room.on("track_subscribed", self._on_track)

    async def join(self) -> "Person":
        await self.room.connect(self.url, self.token, self.options)
        return self

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()

    async def speak(self) -> None:
        """Publish a tone until leaving."""
        source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=50)
        track = rtc.LocalAudioTrack.create_audio_track("tone", source)
        await self._publish(track, rtc.TrackSource.SOURCE_MICROPHONE)
        self._tasks.append(asyncio.create_task(_play(source)))

    async def show(self, width: int = 320, height: int = 180) -> None:
        """Publish moving pictures until leaving."""
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track("pictures", source)
        await self._publish(track, rtc.TrackSource.SOURCE_CAMERA)
        self._tasks.append(asyncio.create_task(_draw(source, width, height)))

    async def _publish(self, track: rtc.LocalTrack, source: rtc.TrackSource.ValueType) -> None:
        options = rtc.TrackPublishOptions() if self.unnamed else rtc.TrackPublishOptions(source=source)
        await self.room.local_participant.publish_track(track, options)

    def ear_of(self, identity: str) -> Ear:
        return self.ears.setdefault(identity, Ear())

    async def wait_heard(self, identity: str, count: int = 10) -> Ear:
        """Wait until `count` more loud frames of that participant have arrived."""
        ear = self.ear_of(identity)
        enough = len(ear.heard) + count
        await until(lambda: len(ear.heard) >= enough, f"{count} frames of {identity}")
        return ear

    def _on_track(self, track: rtc.Track, _: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        ear = self.ear_of(participant.identity)
        follow = _listen(track, ear) if track.kind == rtc.TrackKind.KIND_AUDIO else _watch(track, ear)
        self._tasks.append(asyncio.create_task(follow))


async def _play(source: rtc.AudioSource) -> None:
    phase = 0
    while True:
        samples = np.arange(phase, phase + FRAME_SAMPLES)
        tone = (8_000 * np.sin(2 * np.pi * 440 * samples / SAMPLE_RATE)).astype(np.int16)
        phase += FRAME_SAMPLES
        # Waits until there is space in the source's queue, which empties in real time.
        await source.capture_frame(rtc.AudioFrame(tone.tobytes(), SAMPLE_RATE, 1, FRAME_SAMPLES))


async def _draw(source: rtc.VideoSource, width: int, height: int) -> None:
    shade = 0
    while True:
        shade = (shade + 5) % 256
        picture = bytes([shade, 255 - shade, 128, 255]) * (width * height)
        source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, picture))
        await asyncio.sleep(1 / 15)


async def _listen(track: rtc.Track, ear: Ear) -> None:
    async for event in rtc.AudioStream(track):
        if np.abs(np.frombuffer(event.frame.data, dtype=np.int16)).max() > LOUD:
            ear.heard.append(time.monotonic())


async def _watch(track: rtc.Track, ear: Ear) -> None:
    async for _ in rtc.VideoStream(track):
        ear.seen.append(time.monotonic())
