"""A stranger's requests do not push earlier lines out of the logs."""

import time

import httpx

from tests.kit.hub import Hub

REQUESTS = 600

# LiveKit's own bound, and every line that a start, or one thing that happens meanwhile, writes.
LINES, OTHERS = 50, 100


def test_requests_without_a_token_do_not_fill_the_log_of_media(running: Hub) -> None:
    before, began = running.log("media").count("\n"), time.monotonic()
    with httpx.Client(base_url=f"http://127.0.0.1:{running.ports['signal']}", trust_env=False) as client:
        for _ in range(REQUESTS):
            assert client.get("/twirp/livekit.RoomService/ListRooms").status_code == 404
            assert client.post("/twirp/livekit.RoomService/ListRooms", json={}).status_code == 401
    seconds = int(time.monotonic() - began) + 2
    lines = running.log("media").count("\n") - before
    assert 0 < lines <= 3 * LINES * seconds + OTHERS
