"""An agent of livekit-agents without any model: in each room that it is called into, it plays a tone of 440 Hz.

NAME is its `agent_name`. It prints the process of each job. Before it registers it tries to read and to reach each path
in TRIES, and prints what it got.
"""

import errno
import os
import socket

import numpy as np
from livekit import agents, rtc

RATE, SAMPLES = 48000, 480

# The load of the machine is not the agent's, and would make it refuse rooms while other tests run.
server = agents.AgentServer(load_fnc=lambda *_: 0.0, num_idle_processes=1)


@server.rtc_session(agent_name=os.environ.get("NAME", ""))
async def play(context: agents.JobContext) -> None:
    print("JOB", context.job.id, os.getpid(), flush=True)
    await context.connect()
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("tone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await context.room.local_participant.publish_track(track, options)
    played = 0
    while True:
        times = (np.arange(SAMPLES) + played) / RATE
        wave = (np.sin(2 * np.pi * 440 * times) * 8000).astype(np.int16)
        await source.capture_frame(rtc.AudioFrame(wave.tobytes(), RATE, 1, SAMPLES))
        played += SAMPLES


def try_paths(paths: list[str]) -> None:
    """Try to read each path, and to connect to it."""
    for path in paths:
        try:
            with open(path) as file:
                print("READ", path, len(file.read()), flush=True)
        except OSError as error:
            print("REFUSED", path, errno.errorcode[error.errno or 0], flush=True)
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(path)
                print("REACHED", path, flush=True)
            except OSError as error:
                print("UNREACHED", path, errno.errorcode[error.errno or 0], flush=True)
    print("VARIABLES", *sorted(os.environ), flush=True)


if __name__ == "__main__":
    if "TRIES" in os.environ:
        try_paths(os.environ["TRIES"].split(":"))
    agents.cli.run_app(server)
