"""Participants of the Python SDK in one process: `python -m bench.people`.

Two lines on stdin let them join: `{"url", "room", "key", "people": [{"identity", "speaks", "hears"}]}`, and the secret
of the key; `hears` are the identities that somebody subscribes to. A JSON line on stdout tells each thing that happens
to one of them: `{"at", "identity", "what"}`, `at` in seconds of the monotonic clock, which all processes of the machine
share. `what` is `joined`, `reconnecting`, `anew` (it hears of a track that it knew: this is another session) or
`disconnected`, each of which begins a new count of what follows: `told` (the room's metadata reach it, which are the
moment at which they were set) and `heard` (a sound, after that). `reconnected` is what the SDK says: after a session
was resumed, always three seconds later (seen with 1.2.1).
"""

import asyncio
import json
import sys
import time
from typing import Any

import numpy as np
from livekit import api, rtc

SAMPLE_RATE, FRAME_SAMPLES = 48_000, 2_400
LOUD = 1_000

# So many join at once; before anything is measured, so that it does not matter how many.
JOINS_AT_ONCE = 2


class Somebody:
    """One participant, who listens to everybody until the first sound, and then to nobody until something happens.

    Frames of 12 speakers that 60 people read in Python would take more than a core, and nothing would be measured but
    that.
    """

    def __init__(self, url: str, identity: str, token: str, speaks: bool, hears: list[str]) -> None:
        self.url, self.identity, self.token, self.speaks = url, identity, token, speaks
        self.hears = hears
        self.room = rtc.Room()
        self.subscribed = set[str]()
        self.heard = asyncio.Event()
        self.told, self.changed = False, time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()
        self.room.on("reconnecting", lambda: self._tell("reconnecting"))
        self.room.on("reconnected", lambda: self._tell("reconnected"))
        self.room.on("disconnected", lambda reason: self._tell("disconnected"))
        self.room.on("room_metadata_changed", lambda old, new: self._read(new))
        self.room.on("track_published", self._subscribe)
        self.room.on("track_subscribed", self._listen)

    async def join(self) -> None:
        await self.room.connect(self.url, self.token, rtc.RoomOptions(auto_subscribe=False))
        for speaker in self.room.remote_participants.values():
            for publication in speaker.track_publications.values():
                self._subscribe(publication, speaker)
        self._tell("joined")
        if self.speaks:
            source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=200)
            await self.room.local_participant.publish_track(
                rtc.LocalAudioTrack.create_audio_track("tone", source),
                rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE),
            )
            self._start(_play(source))

    def _subscribe(self, publication: rtc.RemoteTrackPublication, speaker: rtc.RemoteParticipant) -> None:
        if speaker.identity in self.hears:
            publication.set_subscribed(True)

    def _read(self, metadata: str) -> None:
        if not self.told and metadata and float(metadata) > self.changed:
            self.told = True
            self._tell("told")
            self._listen_to_all()

    def _tell(self, what: str) -> None:
        now = time.monotonic()
        event = {"at": now, "identity": self.identity, "what": what}
        print(json.dumps(event), flush=True)
        if what == "heard":
            self.heard.set()
        elif what in ("joined", "reconnecting", "anew", "disconnected"):
            self.told, self.changed = False, now

    def _listen_to_all(self) -> None:
        self.heard.set()  # ends those who listen
        self.heard = asyncio.Event()
        for speaker in self.room.remote_participants.values():
            for publication in speaker.track_publications.values():
                if publication.track:
                    self._start(self._hear(publication.track))

    def _listen(self, track: rtc.Track, _: Any, speaker: rtc.RemoteParticipant) -> None:
        if speaker.identity in self.subscribed:
            self.subscribed.clear()
            self._tell("anew")
        self.subscribed.add(speaker.identity)
        if self.told and not self.heard.is_set():
            self._start(self._hear(track))

    async def _hear(self, track: rtc.Track) -> None:
        stream, heard = rtc.AudioStream(track), self.heard

        async def wait_for_sound() -> None:
            async for event in stream:
                if heard.is_set():
                    return
                if np.abs(np.frombuffer(event.frame.data, dtype=np.int16)).max() > LOUD:
                    self._tell("heard")

        sound = asyncio.create_task(wait_for_sound())
        await asyncio.wait({sound, asyncio.create_task(heard.wait())}, return_when=asyncio.FIRST_COMPLETED)
        sound.cancel()
        await stream.aclose()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _play(source: rtc.AudioSource) -> None:
    moments = np.arange(FRAME_SAMPLES)
    tone = (8_000 * np.sin(2 * np.pi * 500 * moments / SAMPLE_RATE)).astype(np.int16).tobytes()  # 25 periods a frame
    while True:
        await source.capture_frame(rtc.AudioFrame(tone, SAMPLE_RATE, 1, FRAME_SAMPLES))


async def main() -> None:
    given, secret = json.loads(sys.stdin.readline()), sys.stdin.readline().strip()
    gate = asyncio.Semaphore(JOINS_AT_ONCE)

    async def enter(each: dict[str, Any]) -> None:
        grants = api.VideoGrants(room_join=True, room=given["room"])
        token = api.AccessToken(given["key"], secret).with_identity(each["identity"]).with_grants(grants).to_jwt()
        somebody = Somebody(given["url"], each["identity"], token, each["speaks"], each["hears"])
        async with gate:
            await somebody.join()
        everybody.append(somebody)

    everybody: list[Somebody] = []
    await asyncio.gather(*map(enter, given["people"]))
    await asyncio.Event().wait()  # until it is killed


if __name__ == "__main__":
    asyncio.run(main())
