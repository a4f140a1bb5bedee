"""The edge's answers while the process behind it does not answer."""

import json
from typing import Any, TypeAlias

from lkhub.render.message_page import render_message_page

# How many seconds a browser waits until it reloads the page, and how long programs are told to wait.
AGAIN_SECONDS = 2

# The status codes of Caddy for an upstream that can't be reached, is missing, or does not answer in time.
_UNAVAILABLE = ["502", "503", "504"]

_PAGE = render_message_page(
    "The hub does not answer",
    "It may be restarting. This page tries again every two seconds. "
    "If the hub does not come back, its operator can see with `lkhub status` what is wrong.",
    reload_seconds=AGAIN_SECONDS,
)
CaddyJson: TypeAlias = dict[str, Any]  # Caddy's own configuration: each module of it defines its keys
_ERROR = {"code": "unavailable", "message": "the hub does not answer", "hint": "`lkhub status` shows what is wrong"}


def render_error_routes() -> CaddyJson:
    """Value of `errors` of an HTTP server of Caddy's: a page for people, the shape of the hub's errors for programs."""
    unavailable = {"vars": {"{http.error.status_code}": _UNAVAILABLE}}
    opened = {**unavailable, "method": ["GET", "HEAD"], "header": {"Accept": ["*text/html*"]}}
    return {
        "routes": [
            {"match": [opened], "handle": [_answer(_PAGE, "text/html; charset=utf-8")], "terminal": True},
            {"match": [unavailable], "handle": [_answer(json.dumps({"error": _ERROR}) + "\n", "application/json")]},
        ]
    }


def _answer(body: str, media_type: str) -> CaddyJson:
    headers = {"Content-Type": [media_type], "Cache-Control": ["no-store"], "Retry-After": [str(AGAIN_SECONDS)]}
    return {
        "handler": "static_response",
        "status_code": "{http.error.status_code}",
        # Caddy leaves braces alone if it does not know the name in them (staticresp.go, ReplaceKnown).
        "body": body,
        "headers": headers,
    }
