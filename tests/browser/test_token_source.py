"""LiveKit's own client fetches its tokens from the hub: TokenSource.endpoint of livekit-client, as it is published, in
a page of another origin."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Error, Page

from tests.documents import ROOT
from tests.kit.hub import Hub, make_hub

CLIENT = ROOT / "web/node_modules/livekit-client/dist/livekit-client.umd.js"

SPEC = """
access:
  modes: [api-keys]
  origins: ["ORIGIN"]
  roles:
    speaker: {publish: [microphone], rooms: ["voice-*"]}
"""

JOIN = """
async ([url, key, options]) => {
  const { Room, TokenSource } = LivekitClient;
  const source = TokenSource.endpoint(url, { headers: { Authorization: `Bearer ${key}` } });
  const { serverUrl, participantToken } = await source.fetch(options);
  const again = await source.fetch(options);
  const room = new Room();
  await room.connect(serverUrl, participantToken);
  const { identity, name, metadata, attributes, permissions } = room.localParticipant;
  const joined = { room: room.name, identity, name, metadata, attributes, permissions };
  await room.disconnect();
  return { ...joined, cached: again.participantToken === participantToken };
}
"""


class EmptyPage(BaseHTTPRequestHandler):
    """A web server of an application."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve_page() -> Iterator[str]:
    """The origin of a page on this machine: Chromium lets pages from elsewhere ask no address of loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def listed() -> Iterator[str]:
    with serve_page() as origin:
        yield origin


@pytest.fixture(scope="module")
def hub(listed: str) -> Iterator[Hub]:
    """A hub that gives tokens to applications with keys."""
    with make_hub() as made:
        made.write_spec(SPEC.replace("ORIGIN", listed))
        made.up("--no-verify")
        yield made


@pytest.fixture(scope="module")
def key(hub: Hub) -> str:
    return hub.run("access", "create", "page", "--role", "speaker").stdout.strip()


def open_page(context: BrowserContext, origin: str) -> Page:
    """A page of another origin with LiveKit's client."""
    page = context.new_page()
    page.goto(f"{origin}/")
    page.add_script_tag(path=CLIENT)
    return page


def join(page: Page, hub: Hub, key: str, **options: Any) -> Any:
    return page.evaluate(JOIN, [f"http://127.0.0.1:{hub.ports['web']}/api/token-source", key, options])


@pytest.mark.field
def test_client_of_a_listed_page_fetches_its_token_and_joins(
    context: BrowserContext, hub: Hub, listed: str, key: str
) -> None:
    page = open_page(context, listed)
    options = {"participantIdentity": "ann", "participantName": "Ann Ü.", "participantMetadata": '{"a":1}'}
    joined = join(page, hub, key, roomName="voice-1", participantAttributes={"k": "v"}, **options)
    assert (joined["room"], joined["identity"], joined["name"]) == ("voice-1", "ann", "Ann Ü.")
    assert (joined["metadata"], joined["attributes"]) == ('{"a":1}', {"k": "v"})
    assert joined["permissions"]["canPublishSources"] == [2], "the microphone alone"
    assert joined["cached"], "the client would ask again for each use"
    [entry] = hub.run("access", "log").stdout.splitlines()[1:]
    assert " ann " in entry


def test_client_is_told_why_it_gets_no_token(context: BrowserContext, hub: Hub, listed: str, key: str) -> None:
    page = open_page(context, listed)
    with pytest.raises(Error, match=r"received 403 .*does not lead into this room"):
        join(page, hub, key, roomName="lobby")
    with pytest.raises(Error, match="received 401 "):
        join(page, hub, key[:-1], roomName="voice-1")


def test_page_of_a_foreign_origin_gets_nothing(context: BrowserContext, hub: Hub, key: str) -> None:
    with serve_page() as foreign:
        page = open_page(context, foreign)
        with pytest.raises(Error, match="Failed to fetch"):
            join(page, hub, key, roomName="voice-1")
