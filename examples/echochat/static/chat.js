const { Room, RoomEvent, Track } = window.LivekitClient;
const find = (id) => document.getElementById(id);
let socket, call, room;

async function ask(path, body) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

find("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await ask("api/session", { name: find("name").value, password: find("password").value });
    await open();
  } catch (error) {
    find("refused").textContent = error.message;
  }
});

async function open() {
  const { site, rooms } = await ask("api/rooms");
  document.title = site;
  find("sign-in").hidden = true;
  find("site").hidden = false;
  find("rooms").replaceChildren(
    ...rooms.map((name) => {
      const button = Object.assign(document.createElement("button"), { textContent: name, onclick: () => enter(name) });
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
  await enter(rooms[0]);
}

async function enter(name) {
  await leave();
  room = name;
  find("room").textContent = name;
  find("messages").replaceChildren();
  listen();
}

function listen() {
  socket?.close();
  const url = new URL(`chat/${encodeURIComponent(room)}`, location.href).href.replace(/^http/, "ws");
  const own = (socket = new WebSocket(url));
  own.onopen = () => find("messages").replaceChildren(); // the server begins with the last ones
  own.onmessage = ({ data }) => {
    const { author, text } = JSON.parse(data);
    const line = document.createElement("li");
    line.append(Object.assign(document.createElement("b"), { textContent: author }), ` ${text}`);
    find("messages").append(line);
    line.scrollIntoView();
  };
  own.onclose = () => setTimeout(() => own === socket && listen(), 2000);
}

find("write").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return; // the text stays until it can be sent
  socket.send(JSON.stringify({ text: find("text").value }));
  find("text").value = "";
});

find("call").addEventListener("click", () => (call ? leave() : join()));

async function join() {
  find("call-state").textContent = "joining";
  try {
    const given = await ask("api/livekit/token", { room });
    call = new Room({ adaptiveStream: true, dynacast: true });
    call.on(RoomEvent.TrackSubscribed, (track, _, participant) => show(track, participant.identity));
    call.on(RoomEvent.Disconnected, leave);
    await call.connect(given.url, given.token);
    find("call").textContent = "Leave the call";
    find("call-state").textContent = `in ${given.room}`;
    const me = call.localParticipant;
    await me.enableCameraAndMicrophone().catch(() => me.setMicrophoneEnabled(true)); // there may be no camera
    const camera = me.getTrackPublication(Track.Source.Camera)?.track;
    if (camera) show(camera, me.identity);
  } catch (error) {
    await leave(); // also where both devices failed: this person would stay in the call without a way out
    find("call-state").textContent = error.message;
  }
}

function show(track, identity) {
  const element = track.attach();
  track.once("elementDetached", () => element.remove());
  element.dataset.identity = identity;
  find("people").append(element);
}

async function leave() {
  const ended = call;
  call = undefined;
  await ended?.disconnect();
  find("people").replaceChildren();
  find("call").textContent = "Join the call";
  find("call-state").textContent = "";
}
