const { Room, RoomEvent, Track } = window.LivekitClient;
const find = (id) => document.getElementById(id);

find("join").addEventListener("submit", async (event) => {
  event.preventDefault();
  find("state").textContent = "joining";
  let call;
  try {
    const answer = await fetch("api/voice/join", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user: find("user").value, room: find("room").value }),
    });
    const { url, token } = await answer.json();
    call = new Room();
    call.on(RoomEvent.TrackSubscribed, (track, _, participant) => show(track, participant.identity));
    call.on(RoomEvent.Disconnected, () => (find("state").textContent = "left"));
    const rtcConfig = find("relayed").checked ? { iceTransportPolicy: "relay" } : undefined;
    await call.connect(url, token, { rtcConfig });
    find("state").textContent = `in ${call.name}`;
    const me = call.localParticipant;
    await me.enableCameraAndMicrophone().catch(() => me.setMicrophoneEnabled(true)); // there may be no camera
    const camera = me.getTrackPublication(Track.Source.Camera)?.track;
    if (camera) show(camera, me.identity);
  } catch (error) {
    await call?.disconnect(); // where both devices failed: this person would hear the others, and think otherwise
    find("state").textContent = error.message;
  }
});

function show(track, identity) {
  const element = track.attach();
  track.once("elementDetached", () => element.remove());
  element.dataset.identity = identity;
  find("people").append(element);
}
