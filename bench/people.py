"""Participants of the Python SDK in one process: `python -m bench.people`.

Two lines on stdin make them join: `{"url", "room", "key", "people": [{"identity", "shows"}]}`, and the secret of the
key. `shows`: the participant publishes one picture each second, at this fraction of the second (0 to 1; null: it
publishes none). A JSON line on stdout reports each event of a participant: `{"at", "identity", "what"}`, with `at` in
seconds of the monotonic clock, which all processes of the machine share. `what` is `joined`, `reconnecting`, `anew` (a
known track is announced again: this is a new session) or `disconnected`. After each of these, the next events are
`told` (the room's metadata have arrived; they contain the time at which they were set) and `seen` (a picture of another
participant has arrived after that). `reconnected` is the SDK's own event: after a resumed session it always comes three
seconds late (seen with 1.2.1).
"""

import asyncio
import json
import sys
import time
from typing import Any

from livekit import api, rtc

WIDTH, HEIGHT = 160, 90

# So many join at once. They join before the measurement, so the number does not matter.
JOINS_AT_ONCE = 2


class Somebody:
    """One participant, which subscribes to all published pictures. The pictures are small and few, because sixty
    participants that decode twelve voices need four cores by themselves."""

    def __init__(self, url: str, identity: str, token: str, shows: float | None) -> None:
        self.url, self.identity, self.token, self.shows = url, identity, token, shows
        self.room = rtc.Room()
        self.subscribed = set[str]()
        self.told, self.seen, self.changed = False, False, time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()
        self.room.on("reconnecting", lambda: self._tell("reconnecting"))
        self.room.on("reconnected", lambda: self._tell("reconnected"))
        self.room.on("disconnected", lambda reason: self._tell("disconnected"))
        self.room.on("room_metadata_changed", lambda old, new: self._read(new))
        self.room.on("track_subscribed", self._take)

    async def join(self) -> None:
        await self.room.connect(self.url, self.token)
        self._tell("joined")
        if self.shows is not None:
            source = rtc.VideoSource(WIDTH, HEIGHT)
            encoding = rtc.VideoEncoding(max_framerate=1, max_bitrate=50_000)
            await self.room.local_participant.publish_track(
                rtc.LocalVideoTrack.create_video_track("pictures", source),
                rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, video_encoding=encoding),
            )
            self._start(_draw(source, self.shows))

    def _read(self, metadata: str) -> None:
        if not self.told and metadata and float(metadata) > self.changed:
            self.told = True
            self._tell("told")

    def _tell(self, what: str) -> None:
        now = time.monotonic()
        event = {"at": now, "identity": self.identity, "what": what}
        print(json.dumps(event), flush=True)
        if what in ("joined", "reconnecting", "anew", "disconnected"):
            self.told, self.seen, self.changed = False, False, now

    def _take(self, track: rtc.Track, _: Any, other: rtc.RemoteParticipant) -> None:
        if other.identity in self.subscribed:
            self.subscribed.clear()
            self._tell("anew")
        self.subscribed.add(other.identity)
        self._start(self._watch(track))

    async def _watch(self, track: rtc.Track) -> None:
        async for _ in rtc.VideoStream(track):
            if self.told and not self.seen:
                self.seen = True
                self._tell("seen")

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _draw(source: rtc.VideoSource, moment: float) -> None:
    shade = 0
    while True:
        await asyncio.sleep((moment - time.monotonic()) % 1)
        shade = (shade + 5) % 256
        picture = bytes([shade, 255 - shade, 128, 255]) * (WIDTH * HEIGHT)
        source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, picture))


async def main() -> None:
    given, secret = json.loads(sys.stdin.readline()), sys.stdin.readline().strip()
    gate = asyncio.Semaphore(JOINS_AT_ONCE)

    async def enter(each: dict[str, Any]) -> None:
        grants = api.VideoGrants(room_join=True, room=given["room"])
        token = api.AccessToken(given["key"], secret).with_identity(each["identity"]).with_grants(grants).to_jwt()
        somebody = Somebody(given["url"], each["identity"], token, each["shows"])
        async with gate:
            await somebody.join()
        everybody.append(somebody)

    everybody: list[Somebody] = []
    await asyncio.gather(*map(enter, given["people"]))
    await asyncio.Event().wait()  # until it is killed


if __name__ == "__main__":
    asyncio.run(main())
