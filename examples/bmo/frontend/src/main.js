import { Room, RoomEvent } from "livekit-client";

const state = document.getElementById("state");
const talk = document.getElementById("talk");
const room = new Room();

room.on(RoomEvent.TrackSubscribed, (track) => {
  document.body.append(track.attach());
  state.textContent = "BMO is here";
});
room.on(RoomEvent.ParticipantDisconnected, () => {
  if (room.remoteParticipants.size === 0) state.textContent = "BMO is away for a moment";
});
room.on(RoomEvent.Disconnected, (reason) => {
  state.textContent = reason === undefined ? "asleep" : "the call has ended; somebody else may talk to BMO now";
  talk.disabled = false;
});

// Browsers play sound only after a click.
talk.addEventListener("click", async () => {
  talk.disabled = true;
  state.textContent = "waking BMO";
  try {
    // Both were put in by the build: `env` of the site in hub.yaml.
    await room.connect(import.meta.env.VITE_LIVEKIT_URL, import.meta.env.VITE_LIVEKIT_TOKEN);
    await room.localParticipant.setMicrophoneEnabled(true);
  } catch (error) {
    state.textContent = error.message;
    talk.disabled = false;
  }
});
