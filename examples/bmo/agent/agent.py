"""BMO's voice, without a cloud model: it greets the room with a melody, and plays it again after it has heard someone.

In BMO itself, speech recognition, a language model and a voice stand here (`AgentSession` of livekit-agents).
"""

import asyncio
from collections.abc import Iterator

import numpy as np
from livekit import agents, rtc

RATE = 48_000
FRAME = RATE // 100

# Frequencies in Hz, each for a quarter of a second.
MELODY = (523.25, 659.25, 783.99, 1046.50)

# Of 32,767. Silence that a browser sends is far below.
LOUD = 1_000

# By default a worker counts itself as full when the machine's CPU is busy, with whatever it may be.
MAX_ROOMS = 8
server = agents.AgentServer(load_fnc=lambda server: len(server.active_jobs) / MAX_ROOMS, load_threshold=1)


@server.rtc_session()
async def talk(context: agents.JobContext) -> None:
    heard = asyncio.Event()
    heard.set()  # the greeting

    @context.room.on("track_subscribed")
    def follow(track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            listening.append(asyncio.create_task(listen(track, heard)))

    listening: list[asyncio.Task[None]] = []
    await context.connect()
    voice = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("voice", voice)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await context.room.local_participant.publish_track(track, options)
    while True:
        await heard.wait()
        heard.clear()
        for frame in play(MELODY):
            await voice.capture_frame(frame)


async def listen(track: rtc.Track, heard: asyncio.Event) -> None:
    """Set `heard` while the track is loud."""
    async for event in rtc.AudioStream(track):
        if np.abs(np.frombuffer(event.frame.data, np.int16)).max(initial=0) > LOUD:
            heard.set()


def play(melody: tuple[float, ...]) -> Iterator[rtc.AudioFrame]:
    times = np.arange(RATE // 4) / RATE
    wave = np.concatenate([np.sin(2 * np.pi * note * times) for note in melody])
    samples = (wave * 8_000).astype(np.int16)
    for start in range(0, len(samples), FRAME):
        yield rtc.AudioFrame(samples[start : start + FRAME].tobytes(), RATE, 1, FRAME)


if __name__ == "__main__":
    agents.cli.run_app(server)
