"""Participants of the Python SDK in one process: `python -m bench.people`.

Two lines on stdin let them join: `{"url", "room", "key", "people": [{"identity", "speaks"}]}`, and the secret of the
key. A JSON line on stdout tells each thing that happens to one of them: `{"at", "identity", "what", "anew"}`, `at` in
seconds of the monotonic clock, which all processes of the machine share. `what` is `joined`, `reconnecting`,
`reconnected`, `disconnected`, or `heard`: the first sound after one of those. `anew`: it is another session than the
first.
"""

import asyncio
import json
import sys
import time
from typing import Any

import numpy as np
from livekit import api, rtc

SAMPLE_RATE, FRAME_SAMPLES = 48_000, 480
LOUD = 1_000

# So many join at once; before anything is measured, so that it does not matter how many.
JOINS_AT_ONCE = 2


class Somebody:
    """One participant, who listens to the first other whose sound arrives."""

    def __init__(self, url: str, identity: str, token: str, speaks: bool) -> None:
        self.url, self.identity, self.token, self.speaks = url, identity, token, speaks
        self.room = rtc.Room()
        self.subscribed, self.anew = set[str](), False
        self.deaf = True
        self.tasks: set[asyncio.Task[None]] = set()
        self.room.on("reconnecting", lambda: self._tell("reconnecting"))
        self.room.on("reconnected", lambda: self._tell("reconnected"))
        self.room.on("disconnected", lambda reason: self._tell("disconnected"))
        self.room.on("track_subscribed", self._listen)

    async def join(self) -> None:
        await self.room.connect(self.url, self.token)
        self._tell("joined")
        if self.speaks:
            source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=100)
            await self.room.local_participant.publish_track(
                rtc.LocalAudioTrack.create_audio_track("tone", source),
                rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE),
            )
            self._start(_play(source))

    def _tell(self, what: str) -> None:
        event = {"at": time.monotonic(), "identity": self.identity, "what": what, "anew": self.anew}
        print(json.dumps(event), flush=True)
        self.deaf = what != "heard"

    def _listen(self, track: rtc.Track, _: Any, speaker: rtc.RemoteParticipant) -> None:
        # The SDK keeps the old session's id. In a session that is resumed nothing is subscribed a second time.
        self.anew = self.anew or speaker.identity in self.subscribed
        self.subscribed.add(speaker.identity)
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._start(self._hear(track))

    async def _hear(self, track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track):
            if self.deaf and np.abs(np.frombuffer(event.frame.data, dtype=np.int16)).max() > LOUD:
                self._tell("heard")

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _play(source: rtc.AudioSource) -> None:
    moments = np.arange(FRAME_SAMPLES)
    tone = (8_000 * np.sin(2 * np.pi * 500 * moments / SAMPLE_RATE)).astype(np.int16).tobytes()  # 5 periods a frame
    while True:
        await source.capture_frame(rtc.AudioFrame(tone, SAMPLE_RATE, 1, FRAME_SAMPLES))


async def main() -> None:
    given, secret = json.loads(sys.stdin.readline()), sys.stdin.readline().strip()
    gate = asyncio.Semaphore(JOINS_AT_ONCE)

    async def enter(each: dict[str, Any]) -> None:
        grants = api.VideoGrants(room_join=True, room=given["room"])
        token = api.AccessToken(given["key"], secret).with_identity(each["identity"]).with_grants(grants).to_jwt()
        somebody = Somebody(given["url"], each["identity"], token, each["speaks"])
        async with gate:
            await somebody.join()
        everybody.append(somebody)

    everybody: list[Somebody] = []
    await asyncio.gather(*map(enter, given["people"]))
    await asyncio.Event().wait()  # until it is killed


if __name__ == "__main__":
    asyncio.run(main())
