"""What schemathesis must be told about a hub: how LiveKit signs a webhook. Loaded by schemathesis (fuzz.py)."""

import os
import time
from typing import Any

import requests
import schemathesis

from lkhub.host.keyfile import load_keys
from lkhub.livekit.webhooks import sign
from lkhub.wire.application import LIVEKIT_WEBHOOKS

KEYS = "FUZZED_HUB_KEYS"
"""The variable of the environment that names the hub's key file."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Sign what is sent as a webhook. Otherwise nothing behind the signature would be reached."""
    if case.operation.path != LIVEKIT_WEBHOOKS or case.method != "POST":
        return
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://hub")).prepare().body or b""
    body = sent if isinstance(sent, bytes) else sent.encode() if isinstance(sent, str) else b""
    key, secret = next(iter(load_keys(os.environ[KEYS]).items()))
    case.headers["Authorization"] = sign(body, key, secret, time.time())
