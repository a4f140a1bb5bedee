"""A stand-in for LiveKit's RoomService, and for its dispatches of agents. Its answers, refusals too, are those that
livekit-server 1.13.11 was seen to give."""

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt

from lkhub.secret import Secret

Document = dict[str, Any]

NOT_FOUND = (404, {"code": "not_found", "msg": "participant does not exist"})
NO_ROOM = (404, {"code": "not_found", "msg": "requested room does not exist"})
NO_RESPONSE = (503, {"code": "unavailable", "msg": "no response from servers"})
NO_UNMUTE = (412, {"code": "failed_precondition", "msg": "remote unmute not enabled"})
DENIED = (401, {"code": "unauthenticated", "msg": "permissions denied"})

# A test may stop the clock.
_ANY_TIME: Any = {"verify_exp": False, "verify_nbf": False}

# How soon the stand-in ends.
POLL_SECONDS = 0.01

CREATED_MS = 1_795_903_392_110


def make_room(name: str, **more: Any) -> Document:
    """LiveKit's JSON of a room without participants."""
    return {
        "sid": f"RM_{name}",
        "name": name,
        "empty_timeout": 300,
        "departure_timeout": 20,
        "max_participants": 0,
        "creation_time": str(CREATED_MS // 1000),
        "creation_time_ms": str(CREATED_MS),
        "turn_password": "SECRETSECRET",
        "enabled_codecs": [{"mime": "audio/opus", "fmtp_line": ""}],
        "metadata": "",
        "num_participants": 0,
        "num_publishers": 0,
        "active_recording": False,
        "version": None,
        **more,
    }


def make_participant(identity: str, *tracks: Document, **more: Any) -> Document:
    """LiveKit's JSON of a participant."""
    return {
        "sid": f"PA_{identity}",
        "identity": identity,
        "state": "ACTIVE",
        "tracks": list(tracks),
        "metadata": "",
        "joined_at": str(CREATED_MS // 1000 + 1),
        "joined_at_ms": str(CREATED_MS + 1500),
        "name": "",
        "version": 6,
        "permission": {
            "can_subscribe": True,
            "can_publish": True,
            "can_publish_data": True,
            "can_publish_sources": [],
            "hidden": False,
            "recorder": False,
            "can_update_metadata": False,
            "agent": False,
            "can_subscribe_metrics": False,
            "can_manage_agent_session": False,
        },
        "region": "",
        "is_publisher": True,
        "kind": "STANDARD",
        "attributes": {},
        "disconnect_reason": "UNKNOWN_REASON",
        "kind_details": [],
        "data_tracks": [],
        "client_protocol": 2,
        "capabilities": ["CAP_PACKET_TRAILER"],
        **more,
    }


def make_track(sid: str, source: str = "MICROPHONE", **more: Any) -> Document:
    """LiveKit's JSON of a track: sound, or simulcast video for other sources."""
    sound = source in ("MICROPHONE", "SCREEN_SHARE_AUDIO")
    mime = "audio/red" if sound else "video/VP8"
    layers = (
        [] if sound else [_make_layer("LOW", "q", 320, 180, 160_000), _make_layer("HIGH", "f", 1280, 720, 3_000_000)]
    )
    codec = {"mime_type": mime, "mid": "7", "cid": "c", "layers": layers, "sdp_cid": ""}
    return {
        "sid": sid,
        "type": "AUDIO" if sound else "VIDEO",
        "name": "tone",
        "muted": False,
        "width": 0 if sound else 1280,
        "height": 0 if sound else 720,
        "simulcast": not sound,
        "source": source,
        "layers": layers,
        "mime_type": mime,
        "codecs": [{**codec, "video_layer_mode": "ONE_SPATIAL_LAYER_PER_STREAM"}],
        "encryption": "NONE",
        "version": {"unix_micro": "1795903392188244", "ticks": 0},
        **more,
    }


def _make_layer(quality: str, rid: str, width: int, height: int, bitrate: int) -> Document:
    numbers = {"width": width, "height": height, "bitrate": bitrate, "ssrc": 2797316440, "spatial_layer": 0}
    return {"quality": quality, "rid": rid, **numbers, "repair_ssrc": 0}


@dataclass
class Sfu:
    """Rooms by their names, with the participants in them. `wrong` is the answer to every call of a method, in place of
    the right one; `seen` has the calls."""

    secret: Secret
    rooms: dict[str, tuple[Document, list[Document]]] = field(default_factory=dict)
    unmutes: bool = False
    wrong: dict[str, tuple[int, object]] = field(default_factory=dict)
    seen: list[tuple[str, Document]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self, room: Document, *participants: Document) -> None:
        self.rooms[room["name"]] = (room, list(participants))

    def calls(self, method: str) -> list[Document]:
        return [body for called, body in self.seen if called == method]

    def answer(self, method: str, body: Document, authorization: str) -> tuple[int, object]:
        self.seen.append((method, body))
        token = authorization.removeprefix("Bearer ")
        try:
            video = jwt.decode(token, self.secret.reveal(), algorithms=["HS256"], options=_ANY_TIME)["video"]
        except jwt.InvalidTokenError:
            return 401, {"code": "unauthenticated", "msg": "invalid token"}
        if method in self.wrong:
            return self.wrong[method]
        methods = {
            "CreateRoom": self._create_room,
            "ListRooms": self._list_rooms,
            "DeleteRoom": self._delete_room,
            "ListParticipants": self._list_participants,
            "RemoveParticipant": self._remove_participant,
            "MutePublishedTrack": self._mute_track,
            "CreateDispatch": self._create_dispatch,
        }
        return methods[method](body, video)

    def _create_room(self, body: Document, video: Document) -> tuple[int, object]:
        if not video.get("roomCreate"):
            return DENIED
        self.rooms.setdefault(body["name"], (make_room(body["name"]), []))
        return 200, self.rooms[body["name"]][0]

    def _list_rooms(self, body: Document, video: Document) -> tuple[int, object]:
        if not video.get("roomList"):
            return DENIED
        names = body.get("names")
        return 200, {"rooms": [room for name, (room, _) in self.rooms.items() if not names or name in names]}

    def _delete_room(self, body: Document, video: Document) -> tuple[int, object]:
        if not video.get("roomCreate"):
            return DENIED
        return (200, {}) if self.rooms.pop(body["room"], None) else NO_ROOM

    def _list_participants(self, body: Document, video: Document) -> tuple[int, object]:
        if not _administers(video, body):
            return DENIED
        return 200, {"participants": self.rooms.get(body["room"], ({}, []))[1]}

    def _remove_participant(self, body: Document, video: Document) -> tuple[int, object]:
        if not _administers(video, body):
            return DENIED
        _, participants = self.rooms.get(body["room"], ({}, []))
        found = _find(participants, "identity", body["identity"])
        if found is None:
            return NOT_FOUND
        participants.remove(found)
        return 200, {}

    def _create_dispatch(self, body: Document, video: Document) -> tuple[int, object]:
        return (200, {"id": "AD_1", **body}) if _administers(video, body) else DENIED

    def _mute_track(self, body: Document, video: Document) -> tuple[int, object]:
        if not _administers(video, body):
            return DENIED
        participant = _find(self.rooms.get(body["room"], ({}, []))[1], "identity", body["identity"])
        if participant is None:
            return NO_RESPONSE
        if not body["muted"] and not self.unmutes:
            return NO_UNMUTE
        track = _find(participant["tracks"], "sid", body["track_sid"])
        if track is not None:
            track["muted"] = body["muted"]
        return 200, {"track": track}


def _administers(video: Document, body: Document) -> bool:
    return bool(video.get("roomAdmin")) and video.get("room") == body["room"]


def _find(found: list[Document], key: str, value: str) -> Document | None:
    return next((each for each in found if each[key] == value), None)


@contextmanager
def run_sfu(secret: Secret) -> Iterator[Sfu]:
    """A RoomService on a port of its own that knows this secret, without rooms."""
    sfu = Sfu(secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            method = self.path.rpartition("/")[2]
            service = "AgentDispatchService" if method == "CreateDispatch" else "RoomService"
            assert self.path == f"/twirp/livekit.{service}/{method}"
            status, said = sfu.answer(method, body, self.headers["Authorization"])
            sent = said if isinstance(said, bytes) else json.dumps(copy.deepcopy(said)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Not on the tests' terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sfu.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            yield sfu
        finally:
            server.shutdown()
            thread.join()
