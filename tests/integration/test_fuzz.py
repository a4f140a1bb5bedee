"""Requests of every kind, made from the OpenAPI document. `python -m tests.kit.fuzz applications --seconds 600` is the
long version."""

import pytest

from tests.kit.fuzz import fuzz

# What must have been answered, so that a run in which everything is refused at the door does not pass.
REACHED = {
    "open": {("POST /api/livekit/token", 200), ("POST /api/token-source", 201), ("PATCH /api/hub", 405)},
    "applications": {
        *(("POST /api/livekit/token", 200), ("POST /api/token-source", 201), ("POST /api/invites", 201)),
        *(("GET /api/events", 200), ("GET /api/events", 401), ("POST /api/webhooks/livekit", 200)),
        *(("POST /api/webhooks/livekit", 400), ("POST /api/livekit/token", 422)),
    },
    "accounts": {("POST /api/livekit/token", 200), ("POST /api/livekit/token", 401), ("POST /api/sign-out", 200)},
}


@pytest.mark.field
@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=[pytest.mark.soak, pytest.mark.long] if mode == "applications" else ())
        for mode in REACHED
    ],
)
def test_no_request_is_answered_otherwise_than_the_document_says(mode: str) -> None:
    found = fuzz(mode, seed=1, examples=12)
    assert not found.failed, found.report
    assert REACHED[mode] <= set(found.seen), found.seen
