"""LiveKit's own receivers, in Python, Node and Go, take what the hub delivers: events that are passed on, with fields
that the receivers do not know yet, and events that were found."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from livekit.api import TokenVerifier, WebhookReceiver

from lkhub.livekit.room_info import Participant, Room, Track
from lkhub.livekit.webhooks import dump_event, read_event, sign
from lkhub.secret import Secret
from lkhub.service.webhooks.presence import find_missed, make_event
from tests.documents import ROOT

SECRET = "S" * 40
NODE_SDK = "livekit-server-sdk@2.19.2"

# As in scripts/toolchains, so that what is compiled already is used.
GO_FLAGS = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-pgo=off -trimpath"}

PASSED_ON = {
    "event": "participant_left",
    "id": "EV_1",
    "createdAt": "1800000000",
    "room": {"sid": "RM_1", "name": "lobby ü", "turnPassword": "x", "creationTimeMs": "1800000000000"},
    "participant": {"sid": "PA_1", "identity": "ann", "disconnectReason": "CLIENT_INITIATED", "state": "DISCONNECTED"},
    "fieldOfTomorrow": {"a": [1]},
}

NODE = """
import { readFileSync } from "node:fs";
import { WebhookReceiver } from "livekit-server-sdk";
const receiver = new WebhookReceiver("APIkey", process.env.SECRET);
for (const { body, token } of JSON.parse(readFileSync(0, "utf8"))) {
  const event = await receiver.receive(body, token);
  const other = await receiver.receive(body + " ", token).then(() => true, () => false);
  if (other) throw new Error("another body was taken");
  console.log(JSON.stringify([event.event, event.id, event.room?.name, event.participant?.identity ?? ""]));
}
"""

GO = """
package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/webhook"
)

func main() {
	var events []struct{ Body, Token string }
	if err := json.NewDecoder(os.Stdin).Decode(&events); err != nil {
		panic(err)
	}
	keys := auth.NewSimpleKeyProvider("APIkey", os.Getenv("SECRET"))
	ask := func(body, token string) *http.Request {
		request, _ := http.NewRequest("POST", "http://app", strings.NewReader(body))
		request.Header.Set("Authorization", token)
		return request
	}
	for _, each := range events {
		event, err := webhook.ReceiveWebhookEvent(ask(each.Body, each.Token), keys)
		if err != nil {
			panic(err)
		}
		if _, err := webhook.ReceiveWebhookEvent(ask(each.Body+" ", each.Token), keys); err == nil {
			panic("another body was taken")
		}
		row := []string{event.Event, event.Id, event.GetRoom().GetName(), event.GetParticipant().GetIdentity()}
		json.NewEncoder(os.Stdout).Encode(row)
	}
}
"""


def make_bodies() -> list[str]:
    track = Track("TR_1", type="VIDEO", source="CAMERA", width=640, height=360, mime_type="video/vp8")
    ann = Participant("PA_1", "ann", "Ann", "ACTIVE", "AGENT", attributes={"k": "v"}, tracks=(track,))
    listed = [(Room("lobby ü", "RM_1", creation_time="1800000000", metadata="m"), [ann])]
    came = find_missed(listed, [])
    gone = find_missed([], [missed.came for missed in came if missed.came])
    _, passed_on = read_event(json.dumps(PASSED_ON).encode())
    return [dump_event(passed_on), *(make_event(missed, (), time.time())[0].body for missed in [*came, *gone])]


def make_events() -> str:
    secret = Secret(SECRET)
    signed = [(body, sign(body.encode(), "APIkey", secret, time.time())) for body in make_bodies()]
    return json.dumps([{"body": body, "token": token} for body, token in signed])


EXPECTED = [
    ["participant_left", "EV_1", "lobby ü", "ann"],
    ["room_started", "FOUND_room_started_RM_1", "lobby ü", ""],
    ["participant_joined", "FOUND_participant_joined_PA_1", "lobby ü", "ann"],
    ["track_published", "FOUND_track_published_TR_1", "lobby ü", "ann"],
    ["track_unpublished", "FOUND_track_unpublished_TR_1", "lobby ü", "ann"],
    ["participant_left", "FOUND_participant_left_PA_1", "lobby ü", "ann"],
    ["room_finished", "FOUND_room_finished_RM_1", "lobby ü", ""],
]


def test_receiver_of_the_python_sdk() -> None:
    receiver = WebhookReceiver(TokenVerifier("APIkey", SECRET))
    events = [receiver.receive(each["body"], each["token"]) for each in json.loads(make_events())]
    assert [[event.event, event.id, event.room.name, event.participant.identity] for event in events] == EXPECTED


def run(command: list[str], folder: Path, **environ: str) -> list[list[str]]:
    given = {**os.environ, **environ, "SECRET": SECRET}
    done = subprocess.run(
        command, cwd=folder, env=given, input=make_events(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.field
def test_receiver_of_the_node_sdk(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"private": true}')
    (tmp_path / "receive.mjs").write_text(NODE)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-save", NODE_SDK]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=600)
    assert run(["node", "receive.mjs"], tmp_path) == EXPECTED


@pytest.mark.field
def test_receiver_of_the_go_sdk(tmp_path: Path) -> None:
    """server-sdk-go has none of its own: it names livekit/protocol's, which the engine is built with."""
    (tmp_path / "main.go").write_text(GO)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert run(["go", "run", str(tmp_path / "main.go")], ROOT / "engine", PATH=path, **GO_FLAGS) == EXPECTED
